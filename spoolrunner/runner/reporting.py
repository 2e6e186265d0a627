"""Reporting: each change of a request becomes a file in the outbox, flushed with the change itself.

Only requests that somebody else named are reported: an id we made means nothing to job-server.
The first report of a request introduces its jobs; a large request that changes many times a second
is reported at most once a second until its end (`behind` names those that lag), because a report
is always all of its jobs. A newer report takes the place of the one that still waits, so a month
without a server leaves one for each request, and the one that introduces its jobs.
Knows: spool (outbox), wire.
"""

import contextlib
from collections.abc import Callable

from spoolrunner import files, wire
from spoolrunner.errors import BadMachine
from spoolrunner.record import changed
from spoolrunner.request import Level, Request
from spoolrunner.runner import clock
from spoolrunner.spool import outbox
from spoolrunner.spool.outbox import Report, Waiting
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
        self._new: set[str] = set()
        # What an earlier runner left: one line for each request, however long the server is away.
        self._lying = {request: lie[-1] for request, lie in outbox.waiting(rooms).items()}
        self.behind: set[str] = set()

    def introduce(self, request: Request) -> None:
        """It has just got its jobs: nobody outside has heard of them."""
        self._new.add(request.identifier)

    def put(self, disk: files.Changes, request: Request) -> None:
        """Report a request that is being written; durable with it."""
        if not request.jobs or not is_reported(request):
            self._new.discard(request.identifier)
            return
        if is_new := request.identifier in self._new:
            self._new.remove(request.identifier)
            outbox.put(self._rooms, disk, self._introduction(request))
        if self._is_early(request):
            self.behind.add(request.identifier)
            return
        report = of(request, self._outputs, self._next_sequence())
        self._put_newest(disk, report, introduced=is_new)
        self.behind.discard(request.identifier)

    def _put_newest(self, disk: files.Changes, report: Report, *, introduced: bool) -> None:
        """In the place of the one before it, if that still waits."""
        identifier = report.request
        lying, is_first = self._lying.pop(identifier, None), identifier not in self._last_s
        if is_first and lying is None and not introduced and not report.final:
            # Killed between noting the jobs and introducing them, nobody would have heard of them.
            report = changed(report, introduces=True)
        elif lying and not (is_first and _introduces(lying)):
            disk.remove(lying.path)
        put = outbox.put(self._rooms, disk, report)
        self._last_s[identifier] = clock.monotonic_s()
        if report.final:
            del self._last_s[identifier]
        elif not report.introduces:
            self._lying[identifier] = put

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


def _introduces(lying: Waiting) -> bool:
    """Of what an earlier runner left; one that is torn says nothing."""
    with contextlib.suppress(BadMachine):
        report = outbox.read(lying)
        return report is not None and report.introduces
    return False


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
