"""Fates: what became of the very job whose outputs another one needs.

Asked while jobs are planned or taken up. A workspace's index is read once for all of them: a
request may have 2,500 jobs, and the index as many actions.
"""

import functools
import logging

from spoolrunner.errors import BadMachine
from spoolrunner.index import WorkspaceIndex
from spoolrunner.request import Job, Need, Request, Status
from spoolrunner.runner.book import Book
from spoolrunner.spool import registry
from spoolrunner.spool.rooms import Rooms

log = logging.getLogger(__name__)


class Fates:
    """As they are now, for the needs of one request's jobs."""

    def __init__(self, rooms: Rooms, book: Book, request: Request) -> None:
        self._rooms = rooms
        self._book = book
        self._request = request
        self._jobs: dict[str, dict[str, Job]] = {}

    def of(self, need: Need) -> Status:
        """Gone without trace is failed."""
        owner = self._book.requests.get(need.request)
        if owner is not None and (job := self._jobs_of(owner).get(need.job)) is not None:
            return job.status
        state = self._index.actions.get(need.action) if self._index else None
        published = state.published if state else None
        return Status.SUCCEEDED if published and published.job == need.job else Status.FAILED

    def lost(self, need: Need) -> bool:
        """Was that job another request's, and was it cancelled before it gave its outputs?"""
        if need.request == self._request.identifier or self.of(need) is Status.SUCCEEDED:
            return False
        owner = self._book.requests.get(need.request) or self._finished(need.request)
        job = self._jobs_of(owner).get(need.job) if owner else None
        return job is not None and bool(job.cancel) and job.status is not Status.SUCCEEDED

    def _jobs_of(self, owner: Request) -> dict[str, Job]:
        if owner.identifier not in self._jobs:
            self._jobs[owner.identifier] = {job.identifier: job for job in owner.jobs}
        return self._jobs[owner.identifier]

    @functools.cached_property
    def _index(self) -> WorkspaceIndex | None:
        """None also for a torn one: its jobs fail, the runner and all other workspaces go on."""
        try:
            return registry.find(self._rooms, self._request.workspace.name)
        except BadMachine as error:
            log.error("workspace=%r: %s", self._request.workspace.name, error)
            return None

    @functools.cache  # noqa: B019 - lives as long as one look
    def _finished(self, identifier: str) -> Request | None:
        try:
            return self._book.store.read_done(identifier)
        except BadMachine as error:
            log.error("request=%s: %s", identifier, error)
            return None
