"""Reporting: each change of a request becomes a file in the outbox, flushed with the change itself.

Only requests that somebody else named are reported: an id we made means nothing to job-server.
The first report of a request introduces its jobs; a large request that changes many times a second
is reported at most once a second until its end (`behind` names those that lag), because a report
is always all of its jobs.
Knows: spool (outbox), wire.
"""

from collections.abc import Callable

from spoolrunner import files, wire
from spoolrunner.record import changed
from spoolrunner.request import Level, Request
from spoolrunner.runner import clock
from spoolrunner.spool import outbox
from spoolrunner.spool.outbox import Report
from spoolrunner.spool.rooms import Rooms

EVERY_S = 1.0
OURS = ("submit", "retry")


def declared(request: Request) -> dict[str, list[tuple[str, Level]]]:
    """What project.yaml says that each action makes, as noted when it was planned."""
    return {job.action: list(job.declared.items()) for job in request.jobs}


def is_reported(request: Request) -> bool:
    """Did its identifier come from outside?"""
    return "identifier" in request.original and request.source not in OURS


class Reporter:
    """outputs: REPORT_OUTPUTS. All of it in the mover's thread, but `behind` is read by others."""

    def __init__(self, rooms: Rooms, outputs: str, next_sequence: Callable[[], int]) -> None:
        self._rooms = rooms
        self._outputs = outputs
        self._next_sequence = next_sequence
        self._last_s: dict[str, float] = {}
        self._new: set[str] = set()
        self.behind: set[str] = set()

    def introduce(self, request: Request) -> None:
        """It has just got its jobs: nobody outside has heard of them."""
        self._new.add(request.identifier)

    def put(self, disk: files.Changes, request: Request) -> None:
        """Report a request that is being written; durable with it."""
        if not request.jobs or not is_reported(request):
            self._new.discard(request.identifier)
            return
        if request.identifier in self._new:
            self._new.remove(request.identifier)
            outbox.put(self._rooms, disk, self._introduction(request))
        if self._is_early(request):
            self.behind.add(request.identifier)
            return
        outbox.put(self._rooms, disk, of(request, self._outputs, self._next_sequence()))
        self._last_s[request.identifier] = clock.monotonic_s()
        self.behind.discard(request.identifier)
        if request.status.final:
            del self._last_s[request.identifier]

    def _is_early(self, request: Request) -> bool:
        last_s = self._last_s.get(request.identifier)
        if request.status.final or last_s is None:
            return False
        return clock.monotonic_s() - last_s < EVERY_S

    def _introduction(self, request: Request) -> Report:
        report = of(request, self._outputs, self._next_sequence())
        return changed(
            report, jobs=wire.as_pending(report.jobs), answer={}, final=False, introduces=True
        )


def of(request: Request, outputs: str, sequence: int) -> Report:
    """The report of a request as it is now."""
    known = declared(request)
    url = request.original.get("url")
    answer = wire.v1_answer(request, outputs=outputs, declared=known) if url else None
    return Report(
        request=request.identifier,
        sequence=sequence,
        final=request.status.final,
        jobs=wire.jobs_of(request, outputs=outputs, declared=known),
        url=str(url or ""),
        answer=answer or {},
    )
