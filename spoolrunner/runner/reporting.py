"""Reporting: each change of a request becomes a file in the outbox, flushed with the change itself.

Only requests that somebody else named are reported: an id we made means nothing to job-server.
A large request that changes many times a second is reported at most once a second until its end
(`behind` names those that lag), because a report is always all of its jobs. A newer report takes
the place of the one that still waits, so a month without a server leaves one for each request.
Knows: spool (outbox), wire.
"""

from collections.abc import Callable

from spoolrunner import files, wire
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
    """Did its identifier, or the address where it is answered, come from outside?"""
    theirs = "identifier" in request.original or "url" in request.original
    return theirs and request.source not in OURS


class Reporter:
    """outputs: REPORT_OUTPUTS. All of it in the mover's thread, but `behind` is read by others."""

    def __init__(self, rooms: Rooms, outputs: str, next_sequence: Callable[[], int]) -> None:
        self._rooms = rooms
        self._outputs = outputs
        self._next_sequence = next_sequence
        self._last_s: dict[str, float] = {}
        # What an earlier runner left: one line for each request, however long the server is away.
        self._lying = {request: lie[-1] for request, lie in outbox.waiting(rooms).items()}
        self.behind: set[str] = set()

    def put(self, disk: files.Changes, request: Request) -> None:
        """Report a request that is being written; durable with it."""
        is_told_its_end_alone = "url" in request.original and not request.status.final
        if not request.jobs or not is_reported(request) or is_told_its_end_alone:
            return
        if self._is_early(request):
            self.behind.add(request.identifier)
            return
        self._put_newest(disk, of(request, self._outputs, self._next_sequence()))
        self.behind.discard(request.identifier)

    def _put_newest(self, disk: files.Changes, report: Report) -> None:
        """In the place of the one before it, if that still waits."""
        put = outbox.put(self._rooms, disk, report)
        if lying := self._lying.pop(report.request, None):
            disk.remove(lying.path)
        if report.final:
            self._last_s.pop(report.request, None)
        else:
            self._last_s[report.request] = clock.monotonic_s()
            self._lying[report.request] = put

    def _is_early(self, request: Request) -> bool:
        last_s = self._last_s.get(request.identifier)
        if request.status.final or last_s is None:
            return False
        return clock.monotonic_s() - last_s < EVERY_S


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
