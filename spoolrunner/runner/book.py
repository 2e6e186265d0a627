"""The book: all active requests, in memory as they are on disk, and the one who writes in it.

Only the mover's thread changes it. Other threads tell what became of their work and, where the
next step must not outrun the disk, wait until it is flushed. Many notes become one flush.
"""

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from spoolrunner import audit
from spoolrunner.audit import Event
from spoolrunner.request import Job, Request, overall_status
from spoolrunner.runner import clock
from spoolrunner.spool.audit import Trail
from spoolrunner.spool.requests import Requests

log = logging.getLogger(__name__)


class Stopping(Exception):
    """The mover has stopped: drop everything, the next runner finds it as it is."""


@dataclass
class _Change:
    """Of a request, not on disk yet: of these jobs only, or (whole) of more than its jobs."""

    request: Request
    jobs: dict[str, Job] = field(default_factory=dict)
    whole: bool = False


class Book:
    """requests: identifier -> request, in order of acceptance. outcomes: status code -> how many
    jobs have ended with it since this runner began."""

    def __init__(self, store: Requests, trail: Trail, wake: Callable[[], None]) -> None:
        self.store = store
        self._trail = trail
        self._events: list[Event] = []
        self.requests: dict[str, Request] = {}
        self._spellings: dict[str, str] = {}
        self.ended: list[tuple[Request, Job]] = []
        self.outcomes: Counter[str] = Counter()
        self._wake = wake
        self._dirty: dict[str, _Change] = {}
        self._told: queue.SimpleQueue[tuple[Callable[[], None], threading.Event]] = (
            queue.SimpleQueue()
        )
        self._heard: list[tuple[Callable[[], None], threading.Event]] = []
        self._unsaved: list[threading.Event] = []
        self._stopped = threading.Event()

    def add(self, request: Request) -> None:
        """A request whose file is durably in running/ already."""
        self.requests[request.identifier] = request
        self._spellings[request.identifier.lower()] = request.identifier

    def find(self, identifier: str) -> Request | None:
        """By any spelling of its case: two that differ only in case would share files."""
        return self.requests.get(self._spellings.get(identifier.lower(), ""))

    def drop(self, request: Request) -> None:
        self.requests.pop(request.identifier, None)
        self._spellings.pop(request.identifier.lower(), None)
        self._dirty.pop(request.identifier, None)

    def tell(self, change: Callable[[], None]) -> None:
        """From a thread: have the mover make this change; returns once it is flushed.

        Raises Stopping if the mover has stopped.
        """
        flushed = threading.Event()
        self._told.put((change, flushed))
        self._wake()
        while not flushed.wait(timeout=1):
            if self._stopped.is_set():
                raise Stopping

    def note(
        self, request: Request, job: Job, event: Event | None = None, **fields: object
    ) -> None:
        """From a thread: change fields of a job; returns once it is flushed, after the event."""

        def change() -> None:
            self.change(request, job, **fields)
            if event:
                self.record(event)

        self.tell(change)

    def hear(self) -> None:
        """Make the changes that threads have told. Mover's thread, as everything below.

        One for which the disk fails is made again next time: who told it waits for that.
        """
        while self._heard or not self._told.empty():
            self._heard = self._heard or [self._told.get()]
            change, flushed = self._heard[0]
            change()
            self._heard.clear()
            self._unsaved.append(flushed)

    def change(self, request: Request, job: Job, **fields: object) -> None:
        """Change fields of a job; notices when it ends."""
        was_active = job.active
        for name, value in fields.items():
            setattr(job, name, value)
        job.updated_at = clock.now()
        if was_active and not job.active:
            job.completed_at = job.completed_at or job.updated_at
            self.ended.append((request, job))
            self.outcomes[job.status_code] += 1
        self._change_of(request).jobs[job.identifier] = job

    def record(self, event: Event) -> None:
        """To be audited before anything that has changed in this round is saved."""
        self._events.append(event)

    def audit(self, events: Sequence[Event]) -> None:
        """Now, before what they tell of is done. Raises OSError: then it must not be done."""
        if events:
            self._trail.append(events, clock.now())

    def changed(self, request: Request) -> None:
        """More of the request has changed than fields of its jobs: it has to be written whole."""
        self._change_of(request).whole = True

    def _change_of(self, request: Request) -> _Change:
        if self.requests.get(request.identifier) is not request:
            return _Change(request)  # nobody's any more: it is not written
        return self._dirty.setdefault(request.identifier, _Change(request))

    def save(self) -> list[Request]:
        """Write all that changed with one flush. Whoever waits for that goes on with `release`.

        Returns the requests whose files a person has withdrawn or changed: nothing was written of
        them, so their jobs have to be told to stop before anybody goes on.
        """
        self.audit(self._events)
        self._events = []
        dirty = [change.request for change in self._dirty.values()]
        for request in dirty:
            _settle(request)
        jobs = {
            name: list(change.jobs.values())
            for name, change in self._dirty.items()
            if not change.whole
        }
        touched = self.store.save(dirty, jobs) if dirty else []
        self._dirty.clear()  # only now: on a full disk all is still to be written
        return touched

    def release(self) -> None:
        """Let those go on whose changes are on disk, or are nobody's any more."""
        unsaved, self._unsaved = self._unsaved, []
        for flushed in unsaved:
            flushed.set()

    def missing(self) -> list[Request]:
        """Those whose files a person has taken away."""
        return [one for one in self.requests.values() if self.store.is_gone(one)]

    def withdrawn(self, request: Request) -> None:
        """A person took its file away or changed it."""
        log.warning("request=%s was moved or changed by hand: withdrawn", request.identifier)
        self.audit([audit.withdraw(request)])

    def has_job(self, identifier: str) -> bool:
        """Is this a job of an active request?"""
        return any(request.job(identifier) for request in self.requests.values())

    def finished(self) -> list[Request]:
        """Requests that are expanded and whose jobs have all ended."""
        return [
            request
            for request in self.requests.values()
            if request.expanded and request.jobs and request.status.final
        ]

    def stop(self) -> None:
        """Whoever tells something from now on is sent away."""
        self._stopped.set()


def _settle(request: Request) -> None:
    """The request's own status and time follow from its jobs'."""
    if not request.expanded:
        return
    request.status = overall_status(request.jobs)
    if request.status.final and request.completed_at is None:
        request.completed_at = clock.now()
