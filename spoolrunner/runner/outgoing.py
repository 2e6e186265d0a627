"""What goes out: the reports that wait in the outbox, and once a minute how the active ones stand.

For each request in order, never an older report after a newer one, whoever sent that and however
the older one came back. One report that the server can't take holds up none of the others.
Knows: spool, wire, jobserver, reporting.
"""

import logging
from collections.abc import Callable, Iterator

from spoolrunner import files, wire
from spoolrunner.errors import BadMachine
from spoolrunner.jobserver import JobServer
from spoolrunner.record import NEWER
from spoolrunner.request import Request
from spoolrunner.runner import clock, reporting
from spoolrunner.spool import find, outbox
from spoolrunner.spool.outbox import Refusal, Report, Waiting
from spoolrunner.spool.requests import Requests
from spoolrunner.spool.rooms import Rooms

log = logging.getLogger(__name__)

MOST_FAILURES = 3
MOST_JOBS = 500  # in one post: about 300 kB
SILENT = ("unreachable", "too_slow", "tls_refused", "rate_limited")


class Outgoing:
    """behind: which active requests the outbox lags behind (reporting.Reporter); what is told of
    them here is taken out. listed: what the server listed lately. sent: reports it took."""

    def __init__(
        self,
        rooms: Rooms,
        server: JobServer,
        outputs: str,
        *,
        behind: Callable[[], set[str]],
        refresh_s: float,
    ) -> None:
        self._rooms = rooms
        self._server = server
        self._outputs = outputs
        self._behind = behind
        self._refresh_s = refresh_s
        self._requests = Requests(rooms)
        self._unknown: set[str] = set()
        self._failed: set[str] = set()
        self._refreshed_s: dict[str, float] = {}
        self.sent = 0

    def send(self, listed: set[str]) -> None:
        """Every request's newest report; before it the one that introduced its jobs.

        Raises NotNow when the server takes no more now, BadMachine (token_refused).
        """
        self._unknown -= listed
        waiting = outbox.waiting(self._rooms)
        if waiting:
            self._make_last()
        failures = []
        for identifier in sorted(waiting.keys() - self._unknown, key=self._turn(waiting)):
            try:
                self._send_all(waiting[identifier])
                self._failed.discard(identifier)
            except wire.NotNow as error:
                failures.append(error)
                self._failed.add(identifier)
                if error.kind in SILENT or len(failures) == MOST_FAILURES:
                    break
        self._failed &= waiting.keys()
        if failures:
            raise failures[-1]

    def _make_last(self) -> None:
        """We may see files before their writer has flushed their folder; what the server was told
        must not be undone by a power cut."""
        for folder in (self._rooms.running, self._rooms.outbox):
            files.sync_folder(folder)

    def _turn(self, waiting: dict[str, list[Waiting]]) -> Callable[[str], tuple[bool, int]]:
        """Longest waiting first, but those at which the server failed (500 for a job id that it
        has under another request, for ever) after all others."""
        return lambda name: (name in self._failed, waiting[name][0].sequence)

    def _send_all(self, reports: list[Waiting]) -> None:
        *older, newest = reports
        try:
            for one in older:
                self._send(one, is_newest=False)
            self._send(newest, is_newest=True)
        except wire.ReportRefused as error:
            self._refused(newest, error)

    def _send(self, one: Waiting, *, is_newest: bool) -> None:
        try:
            report = outbox.read(one)
        except BadMachine as error:
            if error.kind == NEWER:
                log.warning("request=%s report left: %s", one.request, error.message)
            else:
                self._set_aside(one, error.message, "")
            return
        if report is None:
            return
        if self._is_overtaken(report, is_newest=is_newest):
            outbox.discard(one)
            return
        self._tell(report)
        self.sent += 1
        outbox.confirm(self._rooms, one, report)

    def _is_overtaken(self, report: Report, *, is_newest: bool) -> bool:
        """An end is never: it says the same as any other. Nothing else is said after an end."""
        if report.final:
            return False
        if not is_newest:
            skipped = not report.introduces
        else:
            skipped = self._requests.find_done(report.request) is not None
        return skipped or report.sequence <= outbox.last_sent(self._rooms, report.request)

    def _tell(self, report: Report) -> None:
        if not report.url:
            self._server.post(report.jobs)
        elif report.answer:
            self._server.patch(report.url, report.answer)

    def _refused(self, waiting: Waiting, error: wire.ReportRefused) -> None:
        """An id the server does not know may be listed yet; what it can't read is set aside."""
        if error.kind == "unknown_ids":
            self._unknown.add(waiting.request)
        else:
            self._set_aside(waiting, error.public, error.detail)

    def _set_aside(self, waiting: Waiting, message: str, answer: str) -> None:
        log.error("request=%s report set aside: %s %s", waiting.request, message, answer)
        reason = Refusal(message=message, answer=answer, refused_at=clock.now())
        outbox.set_aside(self._rooms, waiting, reason)

    def refresh(self) -> None:
        """Active requests, once a minute: after 30 the server's page calls a job stale.

        Raises as send does.
        """
        behind = self._behind()
        lagging = set(behind)
        behind -= lagging  # before their files are read: what lags from now on is noted anew
        active = find.all_active(self._rooms)
        try:
            for batch in _batches(self._due(active, lagging)):
                self._tell_again(batch)
                lagging -= {request.identifier for request in batch}
        finally:
            behind |= lagging & {request.identifier for request in active}

    def _due(self, active: list[Request], lagging: set[str]) -> list[Request]:
        # The outbox after running/: what lies in it would otherwise be sent after something newer.
        waiting = outbox.waiting(self._rooms).keys()
        known = {request.identifier for request in active}
        outbox.forget_sent(self._rooms, known | waiting)
        now_s = clock.monotonic_s()
        self._refreshed_s = {name: self._refreshed_s.get(name, now_s) for name in known}
        return [
            request
            for request in active
            if _is_by_v2(request)
            and request.identifier not in waiting | self._unknown
            and (
                request.identifier in lagging
                or now_s - self._refreshed_s[request.identifier] >= self._refresh_s
            )
        ]

    def _tell_again(self, batch: list[Request]) -> None:
        """Together, because it is the same for all; each alone if one of them is refused."""
        reports = [reporting.of(request, self._outputs, 0) for request in batch]
        jobs = [job for report in reports for job in report.jobs]
        try:
            self._server.post(wire.refreshed(jobs, clock.now()))
        except wire.ReportRefused as error:
            if len(batch) > 1:
                for request in batch:
                    self._tell_again([request])
            elif error.kind == "unknown_ids":
                self._unknown.add(batch[0].identifier)
            else:
                log.warning("request=%s refused: %s", batch[0].identifier, error.detail)
        for request in batch:
            self._refreshed_s[request.identifier] = clock.monotonic_s()


def _is_by_v2(request: Request) -> bool:
    by_v2 = reporting.is_reported(request) and "url" not in request.original
    return by_v2 and bool(request.jobs)


def _batches(requests: list[Request]) -> Iterator[list[Request]]:
    batch: list[Request] = []
    for request in requests:
        if batch and sum(len(one.jobs) for one in (*batch, request)) > MOST_JOBS:
            yield batch
            batch = []
        batch.append(request)
    if batch:
        yield batch
