"""Turns: which of the jobs that wait for nobody start now, and what the others are told."""

import time
from collections.abc import Collection, Iterable
from functools import lru_cache

from spoolrunner import plan
from spoolrunner.request import Code, Job, Phase, Request, Status
from spoolrunner.runner import admission, holds
from spoolrunner.runner.house import House
from spoolrunner.runner.line import Line
from spoolrunner.runner.queues import MayStart, Queues
from spoolrunner.runner.waiting import Key, Waiting
from spoolrunner.spool import flags
from spoolrunner.spool.flags import Flags

Pair = tuple[Request, Job]

WEIGHED = 10_000  # patterns are slow to match
MESSAGES: dict[Code, str] = {
    Code.WAITING_ON_WORKERS: "Waiting on available workers.",
    Code.WAITING_ON_DB_WORKERS: "Waiting on available database workers.",
}
HEAVY = "Waiting on available workers: it counts for {weight:g}."


class Turns:
    """The mover's thread's alone. untold: those who are to be told once what they wait for."""

    def __init__(self, house: House, waiting: Waiting) -> None:
        self._house = house
        self._waiting = waiting
        self._queues = Queues()
        self._weight = lru_cache(WEIGHED)(house.config.weights.of)
        self._first_since_s: dict[Key, float] = {}
        self._overtaken: set[Key] = set()
        self._untold: list[Key] = []

    def queue_up(self) -> list[Pair]:
        """Have those that have become ready stand in line; returns them."""
        fresh, self._waiting.fresh = self._waiting.fresh, []
        pairs = self._ready(fresh)
        for key, pair in pairs.items():
            self._queues.add(key, self._candidate(*pair))
        self._untold += pairs
        return list(pairs.values())

    def take(self, now: Flags, lines: Collection[Line]) -> list[Pair]:
        """Those that start now. lines: of the jobs that run."""
        self.queue_up()
        held = self._held_back(now, lines) if self._waiting.ready else None
        if held:
            self.hold(*held)
            return []
        self._hold_for_database(now)
        running = {(line.request.workspace.name, line.job.action) for line in lines}
        executing = [line for line in lines if line.job.executing]
        load = plan.load_of(self._candidate(line.request, line.job) for line in executing)
        return self._take(load, lambda request, job: self._may_start(request, job, running, now))

    def hold(self, code: Code, message: str) -> None:
        """Nobody starts now, and why."""
        for pair in self._waiting.ready.values():
            self._tell(*pair, code, message)
        self._untold = list(self._waiting.ready)

    def _held_back(self, now: Flags, lines: Collection[Line]) -> tuple[Code, str] | None:
        if bad := holds.of_disk(lines):
            return bad, holds.MESSAGES[bad]
        return self._house.held_back(now)

    def _take(self, load: plan.Load, may_start: MayStart) -> list[Pair]:
        ready, most = self._waiting.ready, self._house.config.max_workers
        heads = self._queues.heads(ready, may_start, most) if load.weight < most else []
        pairs = self._ready([*heads, *self._first_since_s, *self._untold])
        taken = self._choose([pair for pair in pairs.values() if may_start(*pair)], load)
        untold = self._ready(self._untold)
        self._untold = [key for key, (_, job) in untold.items() if job.status_code not in MESSAGES]
        return taken

    def _ready(self, keys: Iterable[Key]) -> dict[Key, Pair]:
        """Those of them that are ready (still, or again), each once."""
        ready = self._waiting.ready
        return {key: ready[key] for key in keys if key in ready}

    def could_start(self) -> bool:
        """Is there a job that would start by itself once there is a worker?"""
        now = flags.flags(self._house.rooms)
        if not self._waiting.ready or self._house.held_back(now):
            return False
        return any(self._may_start(*pair, (), now) for pair in self._waiting.ready.values())

    def _hold_for_database(self, now: Flags) -> None:
        """Database jobs wait for the database; all others go on."""
        if not now.db_maintenance:
            return
        for key, (request, job) in self._waiting.ready.items():
            if code := holds.of_database(now, job):
                self._tell(request, job, code, holds.MESSAGES[code])
                self._untold.append(key)

    def _may_start(
        self, request: Request, job: Job, running: Collection[tuple[str, str]], now: Flags
    ) -> bool:
        if (request.workspace.name, job.action) in running or self._house.is_held(job):
            return False
        if holds.of_database(now, job):
            return False
        return not self._waiting.replaces_unread(request, job)

    def _choose(self, pairs: list[Pair], load: plan.Load) -> list[Pair]:
        if not pairs:
            return []
        jobs = {job.identifier: (request, job) for request, job in pairs}
        chosen = plan.choose(
            [self._candidate(request, job) for request, job in pairs],
            load,
            max_workers=self._house.config.max_workers,
            max_db_workers=self._house.config.max_db_workers,
        )
        for identifier, code in chosen.wait.items():
            self._wait(*jobs[identifier], code)
        for identifier in chosen.never:
            self._give_up(*jobs[identifier])
        self._remember(chosen, jobs)
        return [jobs[identifier] for identifier in chosen.start]

    def _remember(self, chosen: plan.Choice, jobs: dict[str, Pair]) -> None:
        """Since when each was first (see plan.Choice). A new runner starts to count again."""
        if chosen.overtaken:
            self._overtaken.add(_key(*jobs[chosen.overtaken]))
        self._overtaken &= self._waiting.ready.keys()
        now_s = time.monotonic()
        first = {_key(*jobs[identifier]) for identifier in chosen.first.values()}
        kept = first | self._overtaken
        self._first_since_s = {key: self._first_since_s.get(key, now_s) for key in kept}

    def _candidate(self, request: Request, job: Job) -> plan.Candidate:
        since_s = self._first_since_s.get(_key(request, job))
        return plan.Candidate(
            job=job.identifier,
            workspace=request.workspace.name,
            sequence=job.sequence,
            needs_db=job.requires_db,
            weight=self._weight_of(request, job),
            first_waited_s=0 if since_s is None else time.monotonic() - since_s,
        )

    def _weight_of(self, request: Request, job: Job) -> float:
        return self._weight(request.workspace.name, job.action, job.run_command)

    def _wait(self, request: Request, job: Job, code: Code) -> None:
        weight = self._weight_of(request, job)
        heavy = code is Code.WAITING_ON_WORKERS and weight > 1
        self._tell(request, job, code, HEAVY.format(weight=weight) if heavy else MESSAGES[code])

    def _tell(self, request: Request, job: Job, code: Code, message: str) -> None:
        if job.status_code != code:
            self._house.book.change(request, job, status_code=code, status_message=message)

    def _give_up(self, request: Request, job: Job) -> None:
        """It was planned when there were more workers, or when it was lighter."""
        refusal = admission.too_heavy(self._house.config, job.action, self._weight_of(request, job))
        self._house.book.change(
            request,
            job,
            status=Status.FAILED,
            status_code=Code.JOB_ERROR,
            status_message=refusal.public,
            phase=Phase.ENDED,
        )


def _key(request: Request, job: Job) -> Key:
    return (request.identifier, job.identifier)
