"""Turns: which of the jobs that wait for nobody start now, and what the others are told."""

import math
import time
from collections import defaultdict
from collections.abc import Collection
from functools import lru_cache

from spoolrunner import plan
from spoolrunner.request import Code, Job, Phase, Request, Status
from spoolrunner.runner import admission
from spoolrunner.runner.house import House
from spoolrunner.runner.line import Line
from spoolrunner.runner.waiting import Waiting

Pair = tuple[Request, Job]
Kind = tuple[str, bool, float]  # workspace, does it need the database, weight
Behind = list[tuple[Request, Job, str]]  # a job, and one of its kind that starts before it

WEIGHED = 10_000  # a round looks at every job that is ready, and patterns are slow to match
MESSAGES: dict[Code, str] = {
    Code.WAITING_ON_WORKERS: "Waiting on available workers.",
    Code.WAITING_ON_DB_WORKERS: "Waiting on available database workers.",
}
HEAVY = "Waiting on available workers: it counts for {weight:g}."


class Turns:
    """The mover's thread's alone."""

    def __init__(self, house: House, waiting: Waiting) -> None:
        self._house = house
        self._waiting = waiting
        self._weight = lru_cache(WEIGHED)(house.config.weights.of)
        self._first_since_s: dict[str, float] = {}
        self._overtaken: set[str] = set()

    def take(self, lines: Collection[Line]) -> list[Pair]:
        """Those that start now. lines: of the jobs that run."""
        ready = self._waiting.ready.values()
        held = self._house.held_back() if ready else None
        if held:
            for request, job in ready:
                self._tell(request, job, *held)
            return []
        executing = [line for line in lines if line.executing]
        load = plan.load_of(self._candidate(line.request, line.job) for line in executing)
        if load.weight >= self._house.config.max_workers and self._all_told():
            # Most rounds end here: looking at 2,500 jobs again would cost more than running one.
            return []
        running = {(line.request.workspace.name, line.job.action) for line in lines}
        return self._choose(*self._in_reach(running), load)

    def could_start(self) -> bool:
        """Is there a job that would start by itself once there is a worker?"""
        if not self._waiting.ready or self._house.held_back():
            return False
        return any(self._may_start(*pair, ()) for pair in self._waiting.ready.values())

    def _all_told(self) -> bool:
        """Do all that are ready know what they wait for?"""
        return all(job.status_code in MESSAGES for _, job in self._waiting.ready.values())

    def _may_start(self, request: Request, job: Job, running: Collection[tuple[str, str]]) -> bool:
        if (request.workspace.name, job.action) in running or self._house.is_held(job):
            return False
        return not self._waiting.replaces_unread(request, job)

    def _in_reach(self, running: Collection[tuple[str, str]]) -> tuple[list[Pair], Behind]:
        """Those that may start, and those behind as many of their like as there are workers.

        The latter can't start before these do, and each round would look at thousands of them. Who
        has been first once may go before older ones, so these are always looked at.
        """
        pairs: list[Pair] = []
        behind: Behind = []
        alike: dict[Kind, list[Job]] = defaultdict(list)
        for request, job in sorted(self._waiting.ready.values(), key=_age):
            kind = request.workspace.name, job.requires_db, self._weight_of(request, job)
            if job.identifier in self._first_since_s and self._may_start(request, job, running):
                pairs.append((request, job))
            elif len(alike[kind]) > self._most_at_once(kind[2]):
                if job.status_code not in MESSAGES:
                    behind.append((request, job, alike[kind][-1].identifier))
            elif self._may_start(request, job, running):
                pairs.append((request, job))
                alike[kind].append(job)
        return pairs, behind

    def _most_at_once(self, weight: float) -> float:
        most = self._house.config.max_workers
        return most / weight if 0 < weight <= most else math.inf

    def _choose(self, pairs: list[Pair], behind: Behind, load: plan.Load) -> list[Pair]:
        jobs = {job.identifier: (request, job) for request, job in pairs}
        chosen = plan.choose(
            [self._candidate(request, job) for request, job in pairs],
            load,
            max_workers=self._house.config.max_workers,
            max_db_workers=self._house.config.max_db_workers,
        )
        for identifier, code in chosen.wait.items():
            self._wait(*jobs[identifier], code)
        for request, job, before in behind:
            self._wait(request, job, chosen.wait.get(before, Code.WAITING_ON_WORKERS))
        for identifier in chosen.never:
            self._give_up(*jobs[identifier])
        self._remember(chosen)
        return [jobs[identifier] for identifier in chosen.start]

    def _remember(self, chosen: plan.Choice) -> None:
        """Since when each was first (see plan.Choice). A new runner starts to count again."""
        if overtaken := {*self._overtaken, chosen.overtaken} - {""}:
            ready = {job.identifier for _, job in self._waiting.ready.values()}
            self._overtaken = overtaken & ready
        now_s = time.monotonic()
        kept = {*chosen.first.values(), *self._overtaken}
        self._first_since_s = {job: self._first_since_s.get(job, now_s) for job in kept}

    def _candidate(self, request: Request, job: Job) -> plan.Candidate:
        since_s = self._first_since_s.get(job.identifier)
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


def _age(pair: Pair) -> int:
    return pair[1].sequence
