"""What comes in: the requests that job-server lists, dropped into the inbox like anybody's.

A listing is not believed further than a file from a stranger: it may be endless, it may change its
mind, and one bad item holds up none of the others. So there is a most of what is let in at a time;
the rest is listed again.
Knows: spool, wire, jobserver, reporting.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable
from typing import Any

from spoolrunner import files, wire
from spoolrunner.errors import BadMachine
from spoolrunner.jobserver import JobServer
from spoolrunner.request import Request
from spoolrunner.runner import clock, reporting
from spoolrunner.spool import outbox
from spoolrunner.spool.outbox import Report
from spoolrunner.spool.requests import Requests
from spoolrunner.spool.rooms import Rooms

log = logging.getLogger(__name__)

MOST_ACTIVE = 5_000  # each is a file that is read at every look; real servers list some dozens
ANSWER_AGAIN_S = 60.0
MEANWHILE_S = 10.0


class Listed(set[str]):
    """Identifiers that the server listed in the last whole listing or since: it has not heard their
    end. is_whole: there was one, so that who is not in here is not listed."""

    is_whole = False


class Incoming:
    """listed: since the first whole listing. fact: what is to be known of the server and is
    nobody's trouble, or ""."""

    def __init__(self, rooms: Rooms, server: JobServer, outputs: str) -> None:
        self._rooms = rooms
        self._server = server
        self._outputs = outputs
        self._requests = Requests(rooms)
        self._dropped: dict[str, bytes] = {}
        self._answered_s: dict[str, float] = {}
        self._waiting: set[str] = set()
        self._room = 0
        self.listed = Listed()
        self.fact = ""

    def fetch(self, meanwhile: Callable[[], object]) -> None:
        """Drop what is new, or has new cancellations, into the inbox.

        meanwhile: done every ten seconds, between two pages or drops: a crowd takes minutes.
        Raises NotNow, BadMachine (token_refused); what came before that is dropped.
        """
        self._waiting = set(outbox.waiting(self._rooms))
        self._room = MOST_ACTIVE - _count(self._rooms.running) - _count(self._rooms.inbox)
        listed = Listed()
        try:
            due_s = clock.monotonic_s() + MEANWHILE_S
            for item in self._server.requests():
                self._take(item, listed)
                if clock.monotonic_s() >= due_s:
                    meanwhile()
                    due_s = clock.monotonic_s() + MEANWHILE_S
        except wire.NotNow as error:
            if error.kind != "no_listing":
                raise
            self.fact = error.public
            return
        self.fact, listed.is_whole = "", True
        self._dropped = {name: said for name, said in self._dropped.items() if name in listed}
        self._answered_s = {name: at for name, at in self._answered_s.items() if name in listed}
        self.listed = listed

    def _take(self, item: dict[str, Any] | wire.Unusable, listed: Listed) -> None:
        backend = item.backend if isinstance(item, wire.Unusable) else item.get("backend")
        identifier = item.identifier if isinstance(item, wire.Unusable) else item["identifier"]
        if backend != self._server.backend or not identifier:
            return
        try:
            if self._consider(identifier, item):
                listed.add(identifier)
                self.listed.add(identifier)
        except (BadMachine, OSError) as error:
            # A torn file of ours, or a stranger's folder in the inbox under the name of our drop.
            log.error("request=%s can't be taken from job-server: %s", identifier, error)

    def _consider(self, identifier: str, item: dict[str, Any] | wire.Unusable) -> bool:
        """False: there is no room for it now."""
        active = self._requests.read_active(identifier)
        if active is None and self._requests.find_done(identifier):
            self._answer_again(identifier)
        elif active is None and self._room <= 0 and identifier not in self._dropped:
            return False
        elif isinstance(item, wire.Unusable):
            if active is None:
                self._tell_unusable(item)
        elif active is not None:
            self._look_again(active, item)
        elif identifier not in self._waiting:  # else it is told what became of that first
            outbox.expect(self._rooms, identifier)
            self._drop(identifier, item)
        return True

    def _look_again(self, active: Request, item: dict[str, Any]) -> None:
        """Only cancellations count, whatever else the server says now; and what a person dropped
        before the server listed it is introduced like any other, unless one of its jobs has run."""
        begun = active.status.final or any(job.attempt and not job.active for job in active.jobs)
        if not begun:
            outbox.expect(self._rooms, active.identifier)
        if _cancellations(item) - set(active.cancelled_actions):
            cancelled = {"cancelled_actions": item["cancelled_actions"]}
            self._drop(active.identifier, active.original | cancelled)

    def _drop(self, identifier: str, item: dict[str, Any]) -> None:
        """Into the inbox like anybody's; never the same words twice, whatever became of them."""
        data = json.dumps(wire.drop_of(item), indent=1).encode() + b"\n"
        said = hashlib.sha256(data).digest()
        if self._dropped.get(identifier) != said:
            files.drop(self._rooms.inbox / f"job-server-{identifier}.json", data)
            self._dropped[identifier] = said
            self._room -= 1
            log.info("request=%s read from job-server", identifier)

    def _answer_again(self, identifier: str) -> None:
        """It ended here and the server still lists it: its stored end is sent once more."""
        if not self._is_answered(identifier) and (done := self._requests.read_done(identifier)):
            self._put(reporting.of(done, self._outputs, clock.wall_ms()))

    def _tell_unusable(self, item: wire.Unusable) -> None:
        if not self._is_answered(item.identifier):
            if item.identifier not in self._answered_s:
                outbox.expect(self._rooms, item.identifier)
            jobs = wire.error_jobs(item, clock.now())
            self._put(
                Report(request=item.identifier, sequence=clock.wall_ms(), final=True, jobs=jobs)
            )
            self._room -= 1

    def _is_answered(self, identifier: str) -> bool:
        """Its end waits to be sent, or was sent a moment ago: some servers never take it."""
        at_s = self._answered_s.get(identifier)
        again = at_s is None or clock.monotonic_s() - at_s >= ANSWER_AGAIN_S
        return identifier in self._waiting or not again

    def _put(self, report: Report) -> None:
        with files.Changes() as disk:
            outbox.put(self._rooms, disk, report)
        self._answered_s[report.request] = clock.monotonic_s()


def _cancellations(item: dict[str, Any]) -> set[str]:
    return set(item.get("cancelled_actions") or [])


def _count(folder: os.PathLike[str]) -> int:
    return sum(name.endswith(".json") for name in os.listdir(folder))
