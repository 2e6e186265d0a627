"""Turns: which of the jobs that wait for nobody start now, and what the others are told."""

import bisect
import itertools
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from spoolrunner import plan
from spoolrunner.request import Code, Job, Phase, Request, Status
from spoolrunner.runner.house import House
from spoolrunner.runner.line import Line
from spoolrunner.runner.waiting import Key, Waiting

Pair = tuple[Request, Job]
Kind = tuple[str, bool, float]

MESSAGES: dict[Code, str] = {
    Code.WAITING_ON_WORKERS: "Waiting on available workers.",
    Code.WAITING_ON_DB_WORKERS: "Waiting on available database workers.",
}


class Turns:
    """The mover's thread's alone.

    Of a request of 2,500 jobs as many may be ready; to look at all of them whenever one ends would
    cost more than running it. So ready jobs stand in queues, each of one kind and by age: where an
    older one does not fit, no younger one of its kind does, so only the heads are looked at.
    """

    def __init__(self, house: House, waiting: Waiting) -> None:
        self._house = house
        self._waiting = waiting
        self._first_since_s: dict[str, float] = {}
        self._first: list[Key] = []
        self._queues: dict[Kind, list[tuple[int, Key]]] = defaultdict(list)
        self._queued: set[Key] = set()
        self._untold: list[Key] = []

    def queue_up(self) -> list[Pair]:
        """Have those that have become ready stand in line; returns them."""
        fresh, self._waiting.fresh = self._waiting.fresh, []
        pairs = self._ready(fresh)
        for key, (request, job) in pairs.items():
            if key not in self._queued:
                self._queued.add(key)
                kind = _kind(self._candidate(request, job))
                bisect.insort(self._queues[kind], (job.sequence, key))
        self._untold += pairs
        return list(pairs.values())

    def take(self, lines: Collection[Line]) -> list[Pair]:
        """Those that start now. lines: of the jobs that run."""
        self.queue_up()
        held = self._house.held_back() if self._waiting.ready else None
        if held:
            for request, job in self._waiting.ready.values():
                self._tell(request, job, *held)
            self._untold = list(self._waiting.ready)
            return []
        running = {(line.request.workspace.name, line.job.action) for line in lines}
        full = sum(line.executing for line in lines) >= self._house.config.max_workers
        heads = [] if full else self._heads(running)
        pairs = self._ready([*heads, *self._first, *self._untold])
        taken = self._choose(
            [pair for pair in pairs.values() if self._may_start(*pair, running)], lines
        )
        untold = self._ready(self._untold)
        self._untold = [key for key, (_, job) in untold.items() if job.status_code not in MESSAGES]
        return taken

    def _ready(self, keys: Iterable[Key]) -> dict[Key, Pair]:
        """Those of them that are ready (still, or again), each once."""
        ready = self._waiting.ready
        return {key: ready[key] for key in keys if key in ready}

    def _heads(self, running: Collection[tuple[str, str]]) -> list[Key]:
        """Of each kind the oldest that may start: as many as there is ever room for, and one."""
        heads: list[Key] = []
        for kind, queue in list(self._queues.items()):
            weight = kind[-1]
            most = int(self._house.config.max_workers / weight) + 1 if weight else len(queue)
            heads += itertools.islice(self._in_line(queue, running), most)
            if not queue:
                del self._queues[kind]
        return heads

    def _in_line(
        self, queue: list[tuple[int, Key]], running: Collection[tuple[str, str]]
    ) -> Iterator[Key]:
        """Those that may start; who is found to have left is taken out."""
        place = 0
        while place < len(queue):
            key = queue[place][1]
            pair = self._waiting.ready.get(key)
            if pair is None:
                del queue[place]
                self._queued.remove(key)
                continue
            place += 1
            if self._may_start(*pair, running):
                yield key

    def could_start(self) -> bool:
        """Is there a job that would start by itself once there is a worker?"""
        if not self._waiting.ready or self._house.held_back():
            return False
        return any(self._may_start(*pair, ()) for pair in self._waiting.ready.values())

    def _may_start(self, request: Request, job: Job, running: Collection[tuple[str, str]]) -> bool:
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
        self._first = [_key(*jobs[identifier]) for identifier in first]
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


def _key(request: Request, job: Job) -> Key:
    return (request.identifier, job.identifier)


def _kind(one: plan.Candidate) -> Kind:
    """Of two that are alike in this, the older one fits wherever the younger one does."""
    return (one.workspace, one.needs_db, one.weight)
