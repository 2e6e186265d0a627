"""What goes out: the reports that wait in the outbox, and once a minute how the active ones stand.

For each request in order, never an older report after a newer one, whoever sent that and however
the older one came back. Jobs that the server has not heard of are introduced to it before it hears
that they run or have ended. One report that it can't take holds up none of the others.
Knows: spool, wire, jobserver, reporting.
"""

import logging
from collections.abc import Callable, Iterator

from spoolrunner import files, wire
from spoolrunner.jobserver import JobServer
from spoolrunner.record import NEWER, changed
from spoolrunner.request import Request
from spoolrunner.runner import clock, reporting
from spoolrunner.runner.incoming import Listed
from spoolrunner.spool import find, outbox
from spoolrunner.spool.outbox import Refusal, Report, Waiting
from spoolrunner.spool.requests import Requests
from spoolrunner.spool.rooms import Rooms

log = logging.getLogger(__name__)

MOST_FAILURES = 3
MOST_JOBS = 500  # in one post: about 300 kB
UNKNOWN_S = 600.0
SILENT = ("unreachable", "too_slow", "tls_refused", "rate_limited")


class Outgoing:
    """behind: which active requests the outbox lags behind (reporting.Reporter); what is told of
    them here is taken out. sent: reports that the server took."""

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
        self._listed = Listed()
        self._unknown_until_s: dict[str, float] = {}
        self._failed: set[str] = set()
        self._refreshed_s: dict[str, float] = {}
        self.sent = 0

    def send(self, listed: Listed) -> None:
        """Every request's newest report.

        Raises NotNow when the server takes no more now, BadMachine (token_refused).
        """
        self._listed = listed
        waiting = outbox.waiting(self._rooms)
        if waiting:
            self._make_last()
        failures = []
        for identifier in sorted(waiting.keys() - self._unknown(), key=self._turn(waiting)):
            try:
                self._send(waiting[identifier])
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

    def _send(self, reports: list[Waiting]) -> None:
        *stale, newest = reports
        try:
            report = outbox.read(newest)
            if report and self._is_overtaken(report):
                stale.append(newest)
            elif report and self._may_be_told(report):
                self._introduce([report])
                self._tell(report)
                self._confirm(newest, report)
        except wire.ReportRefused as error:
            self._refused(newest, error)
        except outbox.Torn as error:
            if error.kind == NEWER:
                log.warning("request=%s report left: %s", newest.request, error.message)
            else:
                self._set_aside(newest, error.message, "")
        if stale:
            outbox.discard(stale)

    def _is_overtaken(self, report: Report) -> bool:
        """An end is never: it says the same as any other. Nothing else is said after an end."""
        if report.final:
            return False
        heard = outbox.heard(self._rooms, report.request)
        late = heard is not None and report.sequence <= heard.sequence
        return late or self._has_ended(report.request)

    def _may_be_told(self, report: Report) -> bool:
        """False: whether it has to be introduced first can't be known before the server lists."""
        is_known = self._listed.is_whole or not self._has_heard_the_end(report.request)
        return is_known or self._introduction(report) is None

    def _introduction(self, report: Report) -> Report | None:
        """What the server has heard once it was told of jobs that it has not seen; None if it has
        seen all, or they wait as they began."""
        heard = None if report.url else outbox.heard(self._rooms, report.request)
        if heard is None:
            return None
        first = wire.introduction(report.jobs, {job["identifier"] for job in heard.jobs})
        return changed(heard, jobs=first) if first else None

    def _introduce(self, reports: list[Report]) -> None:
        """Noted before the server is told more, so that an introduction never comes after that.
        Raises as send does, and ReportRefused."""
        first = [one for report in reports if (one := self._introduction(report))]
        first = [one for one in first if not self._has_heard_the_end(one.request)]
        self._server.post([job for one in first for job in one.jobs])
        outbox.note_heard(self._rooms, first)

    def _has_heard_the_end(self, request: str) -> bool:
        """Our note that it has not may have come back from a backup: the server itself knows."""
        return request not in self._listed and self._has_ended(request)

    def _has_ended(self, request: str) -> bool:
        return self._requests.find_done(request) is not None

    def _tell(self, report: Report) -> None:
        if not report.url:
            self._server.post(report.jobs)
        elif report.answer:
            self._server.patch(report.url, report.answer)

    def _confirm(self, one: Waiting, report: Report) -> None:
        self.sent += 1
        outbox.confirm(self._rooms, one, report)
        if report.final:
            self._listed.discard(report.request)  # and so it is until the next listing

    def _unknown(self) -> set[str]:
        """Requests that the server did not know when it was told of them. They wait until it lists
        them, or for a while: a v1 job is in no list."""
        now_s = clock.monotonic_s()
        self._unknown_until_s = {
            name: until_s
            for name, until_s in self._unknown_until_s.items()
            if name not in self._listed and until_s > now_s
        }
        return set(self._unknown_until_s)

    def _is_unknown(self, request: str) -> None:
        self._unknown_until_s[request] = clock.monotonic_s() + UNKNOWN_S

    def _refused(self, waiting: Waiting, error: wire.ReportRefused) -> None:
        """An id the server does not know may be listed yet; what it can't read is set aside."""
        if error.kind == "unknown_ids":
            self._is_unknown(waiting.request)
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
        apart = waiting | self._unknown()
        known = {request.identifier for request in active}
        if self._listed.is_whole:
            outbox.forget_sent(self._rooms, known | waiting | self._listed)
        now_s = clock.monotonic_s()
        self._refreshed_s = {name: self._refreshed_s.get(name, now_s) for name in known}
        return [
            request
            for request in active
            if _is_by_v2(request)
            and request.identifier not in apart
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
            self._introduce(reports)
            self._server.post(wire.refreshed(jobs, clock.now()))
        except wire.ReportRefused as error:
            if len(batch) > 1:
                for request in batch:
                    self._tell_again([request])
            elif error.kind == "unknown_ids":
                self._is_unknown(batch[0].identifier)
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
