"""The courier: carries requests from job-server into the inbox, and reports from the outbox to it.

One at a time (`.locks/uploader`), in a thread or as `spoolrunner sync`; it moves no request file
and needs no mover. What the server lists goes through the same door as anything else: a file in
the inbox. What it can't be told now waits in the outbox, for a month if need be.
"""

import logging
import random
import threading
from collections.abc import Callable

from spoolrunner.errors import BadMachine, TryLater
from spoolrunner.jobserver import JobServer
from spoolrunner.lock import Lock
from spoolrunner.runner import clock
from spoolrunner.runner.incoming import Incoming
from spoolrunner.runner.outgoing import SILENT, Outgoing
from spoolrunner.spool import outbox
from spoolrunner.spool.rooms import Rooms
from spoolrunner.wake import Wake

log = logging.getLogger(__name__)

REFRESH_S = 60.0
LONGEST_PAUSE_S = 60.0
LONGEST_ASKED_S = 600.0  # a server may ask for years
DOUBLINGS = 6
OUR_TROUBLE = "Talking to job-server fails for a reason of our own; see the runner's log."


class Courier:
    """behind: which active requests the outbox lags behind (reporting.Reporter)."""

    def __init__(
        self,
        rooms: Rooms,
        server: JobServer,
        outputs: str,
        behind: Callable[[], set[str]],
        *,
        refresh_s: float = REFRESH_S,
    ) -> None:
        self._rooms = rooms
        self._incoming = Incoming(rooms, server, outputs)
        self._outgoing = Outgoing(rooms, server, outputs, behind=behind, refresh_s=refresh_s)
        self._failures = 0

    def run(self, poll_s: float, stopped: threading.Event) -> None:
        """Until stopped: read every poll_s, send whenever something lies in the outbox.

        At least once a minute, whatever poll_s is: active requests are told again then, and the
        server calls a backend that is silent for five minutes lost.
        """
        poll_s = min(poll_s, REFRESH_S)
        lock, wake = Lock(self._rooms.locks / "uploader"), Wake()
        while not stopped.is_set():
            if not _taken(lock):
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
            if wake.wait(left_s) and self._errors([self._send]):
                return  # the next round says what it is and waits for it

    def round(self) -> float:
        """Read and send once. In how many seconds to come again beyond the usual time.

        Never raises for what the server or the disk does: this thread is the only voice we have.
        """
        before = self._outgoing.sent
        errors = self._errors([self._fetch, self._send, self._outgoing.refresh])
        self._say(errors[0].public if errors else "", self._incoming.fact)
        if not errors:
            self._failures = 0
            return 0.0
        # Who takes some reports is not away: the one it fails at must not slow down all others.
        self._failures = 1 if self._outgoing.sent > before else self._failures + 1
        return self._pause_s(errors)

    def _fetch(self) -> None:
        tell = [self._send, self._outgoing.refresh]
        self._incoming.fetch(lambda: self._errors(tell))  # the round says what is wrong with it

    def _send(self) -> None:
        self._outgoing.send(self._incoming.listed)

    def _errors(self, steps: list[Callable[[], None]]) -> list[TryLater | BadMachine]:
        """Each step on its own: a listing that can't be read is no reason to keep reports back."""
        errors: list[TryLater | BadMachine] = []
        for step in steps:
            try:
                step()
            except (TryLater, BadMachine) as error:
                log.warning("job-server: %s %s", error.public, error.detail)
                errors.append(error)
                if error.kind in SILENT:
                    break
            except Exception:  # a disk, or a bug: dead, we would tell nobody
                log.exception("job-server: %s", OUR_TROUBLE)
                errors.append(TryLater(OUR_TROUBLE))
        return errors

    def _say(self, trouble: str, fact: str) -> None:
        try:
            outbox.note_trouble(self._rooms, trouble)
            if outbox.note_fact(self._rooms, fact) and fact:
                log.info("job-server: %s", fact)
        except (OSError, BadMachine) as error:
            log.error("the courier's trouble can't be noted: %s", error)

    def _pause_s(self, errors: list[TryLater | BadMachine]) -> float:
        asked_s = max(getattr(error, "retry_after_s", None) or 0.0 for error in errors)
        doubled_s = 2.0 ** min(self._failures, DOUBLINGS)
        growing_s = min(doubled_s, LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)  # noqa: S311
        return max(min(asked_s, LONGEST_ASKED_S), growing_s)


def _taken(lock: Lock) -> bool:
    """A disk that fails just now must not end the courier for as long as this runner lives."""
    try:
        return lock.take()
    except OSError as error:
        log.error("the courier can't begin: %s", error)
        return False
