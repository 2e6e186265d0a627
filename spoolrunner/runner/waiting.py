"""Who waits for whom: kept up as jobs come and end, so that no round looks at every job.

A job names the very jobs whose outputs it will read. It is ready when all of them have succeeded;
it fails when one has failed or is gone without trace. And it must not start while a job of an
earlier request still has to read the outputs it would replace.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from spoolrunner.plan import Reader, blocked_by_readers
from spoolrunner.request import Job, Need, Request, Status

Key = tuple[str, str]  # (request, job)
Waiter = tuple[Request, Job, Need]


@dataclass
class Waiting:
    """ready: jobs that wait for nobody. fresh: those of them that `Turns` has not seen yet.

    failed: jobs one of whose needs failed, with that need.
    """

    ready: dict[Key, tuple[Request, Job]] = field(default_factory=dict)
    fresh: list[Key] = field(default_factory=list)
    failed: list[Waiter] = field(default_factory=list)
    _open: dict[Key, set[Key]] = field(default_factory=dict)
    _dependants: dict[Key, list[Waiter]] = field(default_factory=lambda: defaultdict(list))
    _readers: dict[tuple[str, str], dict[Key, Reader]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def add(self, request: Request, job: Job, needs: dict[Need, Status]) -> None:
        """A pending job and what is true of each of its needs now."""
        key = (request.identifier, job.identifier)
        waits_for = set()
        for need, status in needs.items():
            reader = Reader(job.identifier, need.job, request.sequence)
            self._readers[(request.workspace.name, need.action)][key] = reader
            if status is Status.FAILED:
                self.failed.append((request, job, need))
            elif status is not Status.SUCCEEDED:
                waits_for.add((need.request, need.job))
                self._dependants[(need.request, need.job)].append((request, job, need))
        self._open[key] = waits_for
        if not waits_for:
            self.back(request, job)

    def ended(self, request: Request, job: Job) -> None:
        """A job has ended: those who waited for it become ready, or fail."""
        key = (request.identifier, job.identifier)
        self.started(request, job)
        self._open.pop(key, None)
        for waiter_request, waiter, need in self._dependants.pop(key, []):
            if job.status is Status.FAILED:
                self.failed.append((waiter_request, waiter, need))
            else:
                self._satisfied(waiter_request, waiter, key)

    def _satisfied(self, request: Request, job: Job, done: Key) -> None:
        key = (request.identifier, job.identifier)
        waits_for = self._open.get(key)
        if waits_for is None:
            return
        waits_for.discard(done)
        if not waits_for:
            self.back(request, job)

    def started(self, request: Request, job: Job) -> None:
        """It is nobody's business here any more, but it may not have read its inputs yet."""
        self.ready.pop((request.identifier, job.identifier), None)

    def staged(self, request: Request, job: Job) -> None:
        """It has its inputs, or will never want them: their next version may be made."""
        key = (request.identifier, job.identifier)
        for need in job.needs:
            self._readers[(request.workspace.name, need.action)].pop(key, None)

    def replaces_unread(self, request: Request, job: Job) -> bool:
        """Would it replace outputs that a job of an earlier request still has to read?"""
        readers = self._readers.get((request.workspace.name, job.action), {})
        return bool(blocked_by_readers(job.identifier, request.sequence, readers.values()))

    def dependants(self, request: Request, job: Job) -> list[Waiter]:
        """Those who wait for this very job."""
        return list(self._dependants.get((request.identifier, job.identifier), []))

    def leave(self, request: Request, job: Job) -> None:
        """It waits for other jobs from now on: `add` it again."""
        key = (request.identifier, job.identifier)
        self.ready.pop(key, None)
        self._open.pop(key, None)
        self.failed = [one for one in self.failed if one[1] is not job]
        for waiters in self._dependants.values():
            waiters[:] = [one for one in waiters if one[1] is not job]

    def back(self, request: Request, job: Job) -> None:
        """It waits for its turn, for the first time or, after it was started, once more."""
        key = (request.identifier, job.identifier)
        self.ready[key] = (request, job)
        self.fresh.append(key)
