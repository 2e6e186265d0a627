"""The order: which of the jobs that could start now do start.

The workspace with the fewest running jobs goes first, within and across workspaces the oldest
(reference/opensafely.md 6, row 23: one large request must not hog all workers). A job that came
first and did not fit is overtaken by smaller ones, but not for ever: after PATIENCE_S it goes
before all others, and the workers it lacks are kept for it.
A job's kind is what it lacks: who waits for a worker keeps all others back, who waits for a
database worker other database jobs.
Paused jobs, and those held by maintenance or a missing image, are no candidates and hence in
nobody's way. Pure: how long a job has waited is told by the caller. Knows: request.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum

from spoolrunner.request import Code

PATIENCE_S = 600.0
ROUNDING = 1e-9  # 0.1 + 0.2 + 0.3 + 0.4 are one worker


@dataclass(frozen=True)
class Candidate:
    """A job that waits for nothing but its turn.

    sequence: over the whole spool, unique. weight: how many workers it counts for (>= 0).
    first_waited_s: for how long it has been first (see Choice); 0 if it is not.
    """

    job: str
    workspace: str
    sequence: int
    needs_db: bool
    weight: float = 1.0
    first_waited_s: float = 0.0


@dataclass(frozen=True)
class Load:
    """What runs now: the sum of weights, database jobs, and jobs of each workspace."""

    weight: float = 0.0
    database: int = 0
    workspaces: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """Every candidate is in exactly one of start (in that order), wait and never.

    wait: job -> the limit it waits for. never: heavier than all workers together, or a database
    job where none may run: waiting does not help. first: for each limit, the first in order that
    did not fit. overtaken: the one of these that lacked workers while others started, or "".
    The caller remembers since when each was first: as long as it is, and once it was overtaken,
    until it starts or ends.
    """

    start: tuple[str, ...]
    wait: Mapping[str, Code]
    never: tuple[str, ...]
    first: Mapping[Code, str]
    overtaken: str = ""


@dataclass(frozen=True)
class Reader:
    """A job that still has to copy the outputs of an action.

    reads: the job that made them. accepted: the sequence of the reader's request.
    """

    job: str
    reads: str
    accepted: int


def choose(
    candidates: Sequence[Candidate], load: Load, *, max_workers: int, max_db_workers: int
) -> Choice:
    """Who starts now. A database job counts in both limits. O(n log n)."""
    room = _Room(load, max_workers, max_db_workers)
    start: list[str] = []
    wait: dict[str, Code] = {}
    first: dict[Code, str] = {}
    overtaken = ""
    possible = [one for one in candidates if room.could_hold(one)]
    running = defaultdict(int, load.workspaces)
    for one in _in_order(possible, running):
        lacking = room.lacking(one)
        if not lacking:
            room.take(one)
            running[one.workspace] += 1
            start.append(one.job)
            overtaken = first.get(Code.WAITING_ON_WORKERS, "")
            continue
        wait[one.job] = lacking[0]
        first.setdefault(lacking[0], one.job)
        if _overdue(one) and lacking == [Code.WAITING_ON_WORKERS]:
            room.keep()
    never = tuple(one.job for one in candidates if not room.could_hold(one))
    return Choice(tuple(start), wait, never, first, overtaken)


def load_of(running: Iterable[Candidate]) -> Load:
    """The load that these jobs are."""
    jobs = list(running)
    workspaces: dict[str, int] = defaultdict(int)
    for job in jobs:
        workspaces[job.workspace] += 1
    return Load(fsum(job.weight for job in jobs), sum(job.needs_db for job in jobs), workspaces)


def blocked_by_readers(job: str, accepted: int, readers: Iterable[Reader]) -> str:
    """The reader that must have its copy before this job replaces its inputs, or "".

    readers: those of this job's action in its workspace. accepted: the sequence of the job's
    request. Requests are compared, not jobs: a job that was planned again is younger than those
    that wait for it, and by the age of jobs two of them could wait for each other for ever.
    """
    before = (one for one in readers if one.reads != job and one.accepted < accepted)
    return next((one.job for one in before), "")


class _Room:
    """What is still free."""

    def __init__(self, load: Load, max_workers: int, max_db_workers: int) -> None:
        self._workers = max_workers - load.weight
        self._db_workers = max_db_workers - load.database
        self._max_workers = max_workers
        self._max_db_workers = max_db_workers

    def could_hold(self, one: Candidate) -> bool:
        """Would it fit if nothing else ran? A weight that is not a number never does."""
        light_enough = one.weight <= self._max_workers + ROUNDING
        return light_enough and (self._max_db_workers > 0 or not one.needs_db)

    def lacking(self, one: Candidate) -> list[Code]:
        """The limits that keep it from starting; the narrower one first."""
        lacking = []
        if one.needs_db and self._db_workers < 1:
            lacking.append(Code.WAITING_ON_DB_WORKERS)
        if one.weight > self._workers + ROUNDING:
            lacking.append(Code.WAITING_ON_WORKERS)
        return lacking

    def take(self, one: Candidate) -> None:
        self._workers -= one.weight
        self._db_workers -= one.needs_db

    def keep(self) -> None:
        """Nobody gets the free workers: they are kept until there are enough for one who waits.

        Database workers need no keeping: jobs differ in weight, but each takes one of these.
        """
        self._workers = min(self._workers, 0)


def _overdue(one: Candidate) -> bool:
    return one.first_waited_s >= PATIENCE_S


def _in_order(candidates: Iterable[Candidate], running: Mapping[str, int]) -> Iterator[Candidate]:
    """Overdue ones, then by fair share. running may grow while this is walked."""
    overdue: list[Candidate] = []
    others: list[Candidate] = []
    for one in candidates:
        (overdue if _overdue(one) else others).append(one)
    yield from sorted(overdue, key=lambda one: (-one.first_waited_s, one.sequence))
    yield from _fairly(others, running)


def _fairly(candidates: Iterable[Candidate], running: Mapping[str, int]) -> Iterator[Candidate]:
    """The oldest of the workspace that has the fewest running at that moment, again and again."""
    queues: dict[str, list[Candidate]] = defaultdict(list)
    for one in sorted(candidates, key=lambda one: -one.sequence):
        queues[one.workspace].append(one)
    turns = [(running.get(name, 0), queue[-1].sequence, name) for name, queue in queues.items()]
    heapq.heapify(turns)
    while turns:
        name = heapq.heappop(turns)[2]
        yield queues[name].pop()
        if queues[name]:
            heapq.heappush(turns, (running.get(name, 0), queues[name][-1].sequence, name))
