"""Folding: what was only noted of a workspace comes into its files once nothing of it runs.

Manifests are for others to read, and lag behind while a large request runs (workspace/ledger.py).
They are right again when the last running job of the workspace has ended, and before a request is
finished. What a killed runner left is folded by the sweep.
"""

import contextlib
import logging
import time
from collections.abc import Iterator
from functools import partial

from spoolrunner.errors import SpoolrunnerError
from spoolrunner.request import Request
from spoolrunner.runner.book import Stopping
from spoolrunner.runner.house import House

log = logging.getLogger(__name__)

RETRY_S = 5.0


class Folding:
    """All but `_fold` is the mover's thread's."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._open: dict[str, Request] = {}
        self._under_way: dict[str, list[Request]] = {}
        self._again_s = 0.0

    def take_up(self, request: Request) -> None:
        """What an earlier runner may not have folded."""
        if any(job.attempt for job in request.jobs):
            self.runs(request)

    def runs(self, request: Request) -> None:
        """A job of it starts."""
        self._open[request.identifier] = request

    def requests(self) -> set[str]:
        """Identifiers of those whose workspaces may lag."""
        batches = [self._open.values(), *self._under_way.values()]
        return {request.identifier for batch in batches for request in batch}

    @property
    def busy(self) -> bool:
        return bool(self._under_way)

    def due_s(self) -> Iterator[float]:
        """In how many seconds what failed is tried again."""
        if self._open and self._again_s > time.monotonic():
            yield self._again_s - time.monotonic()

    def fold(self, running: list[Request]) -> None:
        """Have threads fold each workspace of which nothing runs, or a request has ended.

        running: those of which a job runs.
        """
        if self._again_s > time.monotonic():
            return
        workspaces = {request.workspace.name for request in running}
        busy = {request.identifier for request in running}
        resting = [one for one in self._open.values() if one.identifier not in busy]
        for request in resting:
            name = request.workspace.name
            if request.status.final or name not in workspaces:
                self._begin(name, [one for one in resting if one.workspace.name == name])

    def _begin(self, name: str, batch: list[Request]) -> None:
        if name in self._under_way:
            return
        for request in batch:
            self._open.pop(request.identifier, None)
        if batch and self._house.workspace(name).lags:
            self._under_way[name] = batch
            self._house.stoppers.do(partial(self._fold, name))

    def _fold(self, name: str) -> None:
        """In a thread."""
        left = False
        try:
            self._house.workspace(name).fold()
        except OSError as error:
            left = True
            log.error("workspace=%r is not folded yet: %s", name, error)
        except SpoolrunnerError as error:
            log.error("workspace=%r can't be folded: %s %s", name, error.message, error.detail)
        with contextlib.suppress(Stopping):
            self._house.book.tell(partial(self._done, name, left=left))

    def _done(self, name: str, *, left: bool) -> None:
        batch = self._under_way.pop(name)
        if left:
            self._again_s = time.monotonic() + RETRY_S
            self._open = {request.identifier: request for request in batch} | self._open
