"""Turns: which of the jobs that wait for nobody start now, and what the others are told."""

import functools
import time
from collections.abc import Collection, Iterable

from spoolrunner import plan
from spoolrunner.request import Code, Job, Phase, Request, Status
from spoolrunner.runner.house import House
from spoolrunner.runner.line import Line
from spoolrunner.runner.queues import Queues
from spoolrunner.runner.waiting import Key, Waiting

Pair = tuple[Request, Job]

MESSAGES: dict[Code, str] = {
    Code.WAITING_ON_WORKERS: "Waiting on available workers.",
    Code.WAITING_ON_DB_WORKERS: "Waiting on available database workers.",
}


class Turns:
    """The mover's thread's alone."""

    def __init__(self, house: House, waiting: Waiting) -> None:
        self._house = house
        self._waiting = waiting
        self._queues = Queues(house.config.max_workers)
        self._untold: list[Key] = []
        self._first: list[Key] = []
        self._first_since_s: dict[str, float] = {}

    def queue_up(self) -> list[Pair]:
        """Have those that have become ready stand in line; returns them."""
        fresh, self._waiting.fresh = self._ready(self._waiting.fresh), []
        for key, pair in fresh.items():
            self._queues.add(key, self._candidate(*pair))
        self._untold += fresh
        return list(fresh.values())

    def take(self, lines: Collection[Line]) -> list[Pair]:
        """Those that start now. lines: of the jobs that run."""
        self.queue_up()
        held = self._house.held_back() if self._waiting.ready else None
        if held:
            for request, job in self._waiting.ready.values():
                self._tell(request, job, *held)
            self._untold = list(self._waiting.ready)
            return []
        taken = self._choose(self._possible(lines), lines)
        untold = self._ready(self._untold)
        self._untold = [key for key, (_, job) in untold.items() if job.status_code not in MESSAGES]
        return taken

    def _possible(self, lines: Collection[Line]) -> list[Pair]:
        """Those whose turn it may be, and those that have not been told yet what they wait for."""
        running = {(line.request.workspace.name, line.job.action) for line in lines}
        may_start = functools.partial(self._may_start, running=running)
        keys = [*self._first, *self._untold]
        if sum(line.executing for line in lines) < self._house.config.max_workers:
            keys += self._queues.heads(self._waiting.ready, may_start)
        return [pair for pair in self._ready(keys).values() if may_start(*pair)]

    def _ready(self, keys: Iterable[Key]) -> dict[Key, Pair]:
        """Those of them that are ready (still, or again), each once."""
        ready = self._waiting.ready
        return {key: ready[key] for key in keys if key in ready}

    def could_start(self) -> bool:
        """Is there a job that would start by itself once there is a worker?"""
        if not self._waiting.ready or self._house.held_back():
            return False
        return any(self._may_start(*pair, running=()) for pair in self._waiting.ready.values())

    def _may_start(
        self, request: Request, job: Job, *, running: Collection[tuple[str, str]]
    ) -> bool:
        if (request.workspace.name, job.action) in running or self._house.is_held(job):
            return False
        return not self._waiting.replaces_unread(request, job)

    def _choose(self, pairs: list[Pair], lines: Collection[Line]) -> list[Pair]:
        if not pairs:
            return []
        jobs = {job.identifier: (request, job) for request, job in pairs}
        load = [self._candidate(line.request, line.job) for line in lines if line.executing]
        chosen = plan.choose(
            [self._candidate(request, job) for request, job in pairs],
            plan.load_of(load),
            max_workers=self._house.config.max_workers,
            max_db_workers=self._house.config.max_db_workers,
        )
        for identifier, code in chosen.wait.items():
            self._tell(*jobs[identifier], code, MESSAGES[code])
        for identifier in chosen.never:
            self._give_up(*jobs[identifier])
        now_s = time.monotonic()
        first = chosen.first.values()
        self._first = [(jobs[job][0].identifier, job) for job in first]
        self._first_since_s = {job: self._first_since_s.get(job, now_s) for job in first}
        return [jobs[identifier] for identifier in chosen.start]

    def _candidate(self, request: Request, job: Job) -> plan.Candidate:
        since_s = self._first_since_s.get(job.identifier)
        return plan.Candidate(
            job=job.identifier,
            workspace=request.workspace.name,
            sequence=job.sequence,
            needs_db=job.requires_db,
            first_waited_s=0 if since_s is None else time.monotonic() - since_s,
        )

    def _tell(self, request: Request, job: Job, code: Code, message: str) -> None:
        if job.status_code != code:
            self._house.book.change(request, job, status_code=code, status_message=message)

    def _give_up(self, request: Request, job: Job) -> None:
        self._house.book.change(
            request,
            job,
            status=Status.FAILED,
            status_code=Code.JOB_ERROR,
            status_message="It needs more workers than this server has.",
            phase=Phase.ENDED,
        )
