"""Unrun jobs: those that failed without running, until their workspace's index tells of them.

They are their actions' newest runs all the same: whoever needs one next has it run again
(reference 4.5). A request is finished only after that, so that a kill in between loses nothing.
"""

import contextlib
import logging
import time
from functools import partial

from spoolrunner.errors import SpoolrunnerError
from spoolrunner.request import Code, Job, Request
from spoolrunner.runner.book import Stopping
from spoolrunner.runner.house import House

log = logging.getLogger(__name__)

RETRY_S = 5.0
Pair = tuple[Request, Job]


class Unrun:
    """All but `_remember` is the mover's thread's."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._new: list[Pair] = []
        self._under_way: dict[int, list[Pair]] = {}
        self._again_s = 0.0

    def take_up(self, request: Request) -> None:
        """Those that an earlier runner may not have come to remember."""
        for job in request.jobs:
            if job.status_code is Code.DEPENDENCY_FAILED and not job.attempt:
                self.add(request, job)

    def add(self, request: Request, job: Job) -> None:
        self._new.append((request, job))

    def requests(self) -> set[str]:
        """Identifiers of those whose jobs the index does not tell of yet."""
        batches = [self._new, *self._under_way.values()]
        return {request.identifier for batch in batches for request, _ in batch}

    def remember(self) -> None:
        """Have a thread write down all new ones, each workspace's together."""
        if self._again_s > time.monotonic():
            return
        batches: dict[str, list[Pair]] = {}
        for request, job in self._new:
            batches.setdefault(request.workspace.name, []).append((request, job))
        self._new = []
        for batch in batches.values():
            self._under_way[id(batch)] = batch
            self._house.stoppers.do(partial(self._remember, batch))

    def _remember(self, batch: list[Pair]) -> None:
        """In a thread."""
        left = False
        try:
            self._house.remember_unrun(batch)
        except OSError as error:
            left = True
            log.error("the index does not tell yet of %d that never ran: %s", len(batch), error)
        except SpoolrunnerError as error:
            log.error("the index does not tell of %d jobs that never ran: %s", len(batch), error)
        with contextlib.suppress(Stopping):
            self._house.book.tell(partial(self._done, batch, left=left))

    def _done(self, batch: list[Pair], *, left: bool) -> None:
        del self._under_way[id(batch)]
        if left:
            self._again_s = time.monotonic() + RETRY_S
            self._new += batch
