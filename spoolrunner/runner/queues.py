"""Queues: the jobs that are ready, each kind by age, so that a round looks only at the heads.

Of a request of 2,500 jobs as many may be ready; to look at all of them whenever one ends would cost
more than running it. Where an older job does not fit, no younger one of its kind does.
"""

import bisect
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from spoolrunner import plan
from spoolrunner.request import Job, Request
from spoolrunner.runner.waiting import Key

Pair = tuple[Request, Job]
Kind = tuple[str, bool, float]


class Queues:
    """ready: those that are, at any moment; who has left it is found and taken out here."""

    def __init__(self, ready: Mapping[Key, Pair]) -> None:
        self._ready = ready
        self._queues: dict[Kind, list[tuple[int, Key]]] = defaultdict(list)
        self._queued: set[Key] = set()

    def add(self, key: Key, one: plan.Candidate) -> None:
        """Have it stand in line; once, however often it is added."""
        if key not in self._queued:
            self._queued.add(key)
            kind = (one.workspace, one.needs_db, one.weight)
            bisect.insort(self._queues[kind], (one.sequence, key))

    def heads(self, max_workers: int, may_start: Callable[[Pair], bool]) -> list[Key]:
        """Of each kind the oldest that may start: as many as there is ever room for, and one."""
        heads: list[Key] = []
        for kind, queue in list(self._queues.items()):
            weight = kind[-1]
            most = int(max_workers / weight) + 1 if weight else len(queue)
            heads += itertools.islice(self._in_line(queue, may_start), most)
            if not queue:
                del self._queues[kind]
        return heads

    def _in_line(
        self, queue: list[tuple[int, Key]], may_start: Callable[[Pair], bool]
    ) -> Iterator[Key]:
        place = 0
        while place < len(queue):
            key = queue[place][1]
            pair = self._ready.get(key)
            if pair is None:
                del queue[place]
                self._queued.remove(key)
                continue
            place += 1
            if may_start(pair):
                yield key
