"""Detection: is the database in maintenance? A command of the operator's is asked now and then.

It says so by ending well with `db-maintenance` as its last line, as job-runner's images do; it says
no by ending well and saying nothing. Anything else is no answer, and nothing changes by it
(reference 6, row 28). What a person decided is never touched.
"""

import logging
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence

from spoolrunner.spool import flags
from spoolrunner.spool.rooms import Rooms

log = logging.getLogger(__name__)

YES = "db-maintenance"
TIMEOUT_S = 60.0


class Detection:
    """command: its words; it is run without a shell. environment: makes all it is given, each time
    it is asked: the database's address may change in a running service."""

    def __init__(
        self, rooms: Rooms, command: Sequence[str], environment: Callable[[], Mapping[str, str]]
    ) -> None:
        self._rooms = rooms
        self._command = list(command)
        self._environment = environment

    def run(self, every_s: float, stopped: threading.Event) -> None:
        while not stopped.is_set():
            self.once()
            stopped.wait(every_s)

    def once(self) -> None:
        """Ask, and put the flag up or take it down. Never raises: this thread has to live on."""
        try:
            if flags.is_up(self._rooms, flags.NO_CHECKS):
                return
            answer = self._ask()
            if answer is not None:
                self._enter(in_maintenance=answer)
        except OSError as error:
            log.error("DB_MAINTENANCE_COMMAND: %s", error)

    def _ask(self) -> bool | None:
        """None: that is no answer."""
        try:
            done = subprocess.run(
                self._command,
                env=dict(self._environment()),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            log.warning("DB_MAINTENANCE_COMMAND does not answer within %g s", TIMEOUT_S)
            return None
        said = done.stdout.decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(said) if line.strip()), "")
        if done.returncode or last not in (YES, ""):
            # What it said may hold the database's address: nothing of it is repeated.
            log.warning("DB_MAINTENANCE_COMMAND gave no answer, exit=%d", done.returncode)
            return None
        return last == YES

    def _enter(self, *, in_maintenance: bool) -> None:
        if in_maintenance == flags.is_up(self._rooms, flags.DETECTED):
            return
        if in_maintenance:
            log.warning("the database is in maintenance")
            flags.put_up(self._rooms, flags.DETECTED)
        else:
            log.info("the database is out of maintenance")
            flags.take_down(self._rooms, flags.DETECTED)
