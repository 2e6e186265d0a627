"""Queues: ready jobs, each kind by age, so that a free worker costs no look at all of them.

Of a request of 2,500 jobs as many may be ready; to look at each whenever one ends would cost more
than running it. But where an older job does not fit, no younger one of its kind does: as many of
each kind as there is ever room for, and one that waits, are all that `plan.choose` has to see.
"""

import bisect
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from spoolrunner.plan import Candidate
from spoolrunner.request import Job, Request
from spoolrunner.runner.waiting import Key

Kind = tuple[str, bool, float]
Ready = Mapping[Key, tuple[Request, Job]]
MayStart = Callable[[Request, Job], bool]


class Queues:
    """Who leaves need not say so: he is missed when his turn comes."""

    def __init__(self) -> None:
        self._queues: dict[Kind, list[tuple[int, Key]]] = defaultdict(list)
        self._queued: set[Key] = set()

    def add(self, key: Key, one: Candidate) -> None:
        """Safe to repeat."""
        if key not in self._queued:
            self._queued.add(key)
            kind = (one.workspace, one.needs_db, one.weight)
            bisect.insort(self._queues[kind], (one.sequence, key))

    def heads(self, ready: Ready, may_start: MayStart, max_workers: int) -> list[Key]:
        """Of each kind the oldest of those ready that may start."""
        heads: list[Key] = []
        for kind, queue in list(self._queues.items()):
            weight = kind[-1]
            most = int(max_workers / weight) + 1 if weight else len(queue)
            heads += itertools.islice(self._in_line(queue, ready, may_start), most)
            if not queue:
                del self._queues[kind]
        return heads

    def _in_line(
        self, queue: list[tuple[int, Key]], ready: Ready, may_start: MayStart
    ) -> Iterator[Key]:
        place = 0
        while place < len(queue):
            key = queue[place][1]
            if key not in ready:
                del queue[place]
                self._queued.remove(key)
                continue
            place += 1
            if may_start(*ready[key]):
                yield key
