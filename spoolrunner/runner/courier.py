"""The courier: carries requests from job-server into the inbox, and reports from the outbox to it.

One at a time (`.locks/uploader`), in a thread or as `spoolrunner sync`; it moves no request file
and needs no mover. What the server lists goes through the same door as anything else: a file in
the inbox. What it can't be told now waits in the outbox, for a month if need be.
"""

import json
import logging
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

from spoolrunner import files, wire
from spoolrunner.errors import BadMachine, TryLater
from spoolrunner.jobserver import JobServer
from spoolrunner.lock import Lock
from spoolrunner.request import Request
from spoolrunner.runner import clock, reporting
from spoolrunner.spool import find, outbox
from spoolrunner.spool.outbox import Report, Waiting
from spoolrunner.spool.requests import Requests
from spoolrunner.spool.rooms import Rooms
from spoolrunner.wake import Wake

log = logging.getLogger(__name__)

REFRESH_S = 60.0
LONGEST_PAUSE_S = 60.0
TOKEN_PAUSE_S = 300.0


class Courier:
    """behind: which active requests the outbox lags behind (reporting.Reporter)."""

    def __init__(
        self, rooms: Rooms, server: JobServer, outputs: str, behind: Callable[[], set[str]]
    ) -> None:
        self._rooms = rooms
        self._server = server
        self._outputs = outputs
        self._behind = behind
        self._requests = Requests(rooms)
        self._unknown: set[str] = set()
        self._refreshed_s: dict[str, float] = {}
        self._failures = 0
        self._dropped: dict[str, bytes] = {}

    def run(self, poll_s: float, stopped: threading.Event) -> None:
        """Until stopped: read every poll_s, send whenever something lies in the outbox."""
        lock, wake = Lock(self._rooms.locks / "uploader"), Wake()
        while not stopped.is_set():
            if not lock.take():
                stopped.wait(poll_s)  # another one carries; take over when it dies
                continue
            wake.watch([self._rooms.outbox])
            pause_s = self.round()
            self._send_as_it_comes(wake, stopped, poll_s if not pause_s else 0)
            stopped.wait(pause_s)

    def once(self) -> bool:
        """One round, unless another courier is at work. False: what there is could not be done."""
        lock = Lock(self._rooms.locks / "uploader")
        if not lock.take():
            return True
        try:
            return self.round() == 0
        finally:
            lock.release()

    def _send_as_it_comes(self, wake: Wake, stopped: threading.Event, for_s: float) -> None:
        end_s = clock.monotonic_s() + for_s
        while (left_s := end_s - clock.monotonic_s()) > 0 and not stopped.is_set():
            if wake.wait(left_s):
                try:
                    self.send()
                except (TryLater, BadMachine):
                    return  # the next round says what it is and waits for it

    def round(self) -> float:
        """Read and send once. In how many seconds to come again beyond the usual time.

        Never raises for what the server does: that is noted where `status` shows it.
        """
        try:
            self.fetch()
            self.send()
            self.refresh()
        except (TryLater, BadMachine) as error:
            return self._pause_s(error)
        self._failures = 0
        outbox.note_trouble(self._rooms, "")
        return 0.0

    def fetch(self) -> None:
        """Drop what is new, or has new cancellations, into the inbox."""
        for item in self._server.requests():
            if isinstance(item, wire.Unusable):
                self._tell_unusable(item)
            elif item["backend"] == self._server.backend:
                self._unknown.discard(item["identifier"])
                self._consider(item)

    def _consider(self, item: dict[str, Any]) -> None:
        identifier = item["identifier"]
        active = self._requests.read_active(identifier)
        if active is not None:
            if set(item.get("cancelled_actions") or []) - set(active.cancelled_actions):
                self._drop(item)
        elif self._requests.find_done(identifier):
            self._answer_again(identifier)
        else:
            self._drop(item)

    def _drop(self, item: dict[str, Any]) -> None:
        """Into the inbox like anybody's; never the same words twice, whatever became of them."""
        identifier = item["identifier"]
        data = json.dumps(wire.drop_of(item), indent=1).encode() + b"\n"
        if self._dropped.get(identifier) != data:
            files.drop(self._rooms.inbox / f"job-server-{identifier}.json", data)
            self._dropped[identifier] = data
            log.info("request=%s read from job-server", identifier)

    def _answer_again(self, identifier: str) -> None:
        """It ended here and the server still lists it: its stored end is sent once more."""
        done = self._requests.read_done(identifier)
        if done is not None and identifier not in outbox.waiting(self._rooms):
            self._put(reporting.of(done, self._outputs, clock.wall_ms()))

    def _tell_unusable(self, item: wire.Unusable) -> None:
        if item.identifier and item.backend == self._server.backend:
            jobs = wire.error_jobs(item, clock.now())
            report = Report(
                request=item.identifier, sequence=clock.wall_ms(), final=True, jobs=jobs
            )
            self._put(report)

    def _put(self, report: Report) -> None:
        with files.Changes() as disk:
            outbox.put(self._rooms, disk, report)

    def send(self) -> None:
        """Every request's newest report; before it the one that introduced its jobs."""
        for identifier, reports in outbox.waiting(self._rooms).items():
            if identifier not in self._unknown:
                self._send_all(reports)

    def _send_all(self, reports: list[Waiting]) -> None:
        *older, newest = reports
        try:
            for one in older:
                if (report := outbox.read(one)).introduces:
                    self._tell(report)
                outbox.confirm([one])
            self._tell(outbox.read(newest))
        except wire.ReportRefused as error:
            self._refused(newest, error)
        else:
            outbox.confirm([newest])

    def _tell(self, report: Report) -> None:
        if not report.url:
            self._server.post(report.jobs)
        elif report.answer:
            self._server.patch(report.url, report.answer)

    def _refused(self, waiting: Waiting, error: wire.ReportRefused) -> None:
        """An id the server does not know may be listed yet; what it can't read is set aside."""
        if error.kind == "unknown_ids":
            self._unknown.add(waiting.request)
            return
        log.error("request=%s report refused: %s", waiting.request, error.detail)
        outbox.set_aside(self._rooms, waiting, error.public, clock.now())

    def refresh(self) -> None:
        """Active requests, once a minute: after 30 the server's page calls a job stale."""
        now_s = clock.monotonic_s()
        behind = self._behind()
        for request in self._reported():
            due_s = self._refreshed_s.get(request.identifier, now_s) + REFRESH_S
            self._refreshed_s.setdefault(request.identifier, now_s)
            if due_s <= now_s or request.identifier in behind:
                report = reporting.of(request, self._outputs, 0)
                self._server.post(wire.refreshed(report.jobs, clock.now()))
                self._refreshed_s[request.identifier] = now_s

    def _reported(self) -> Iterator[Request]:
        """Active requests the server knows and that no report waits for."""
        told_otherwise = outbox.waiting(self._rooms).keys() | self._unknown
        for request in find.all_active(self._rooms):
            by_v2 = reporting.is_reported(request) and "url" not in request.original
            if by_v2 and request.jobs and request.identifier not in told_otherwise:
                yield request

    def _pause_s(self, error: TryLater | BadMachine) -> float:
        log.warning("job-server: %s %s", error.public, error.detail)
        outbox.note_trouble(self._rooms, error.public)
        self._failures += 1
        if isinstance(error, BadMachine):
            return TOKEN_PAUSE_S
        asked_s = getattr(error, "retry_after_s", None) or 0.0
        growing_s = min(2.0**self._failures, LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)  # noqa: S311
        return max(asked_s, growing_s)
