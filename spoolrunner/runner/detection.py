"""Detection: is the database in maintenance? A command of the operator's is asked now and then.

It says so by ending well with `db-maintenance` as its last line, as job-runner's images do; it says
no by ending well and saying nothing. Anything else is no answer, and nothing changes by it
(reference 6, row 28). What a person decided is never touched.
"""

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from spoolrunner import files
from spoolrunner.spool import flags
from spoolrunner.spool.rooms import Rooms

log = logging.getLogger(__name__)

YES = "db-maintenance"
TIMEOUT_S = 60.0
SHORTEST_S = 1.0


class Detection:
    """command: its words; it is run without a shell. environment: makes all it is given, each time
    it is asked: the database's address may change in a running service."""

    def __init__(
        self, rooms: Rooms, command: Sequence[str], environment: Callable[[], Mapping[str, str]]
    ) -> None:
        self._rooms = rooms
        self._stamp = rooms.locks / "detection"
        self._command = list(command)
        self._environment = environment

    def run(self, every_s: float, stopped: threading.Event) -> None:
        self.once_in(every_s)
        while not stopped.wait(max(self._due_s(every_s), SHORTEST_S)):
            self.once_in(every_s)

    def once_in(self, every_s: float) -> None:
        """Ask, unless that was done within every_s, by whichever runner: cron starts one each
        minute."""
        if self._due_s(every_s) <= 0:
            self.once()

    def _due_s(self, every_s: float) -> float:
        try:
            age_s = time.time() - self._stamp.stat().st_mtime
        except OSError:
            return 0.0
        return every_s - age_s if age_s >= 0 else 0.0

    def once(self) -> None:
        """Ask, and put the flag up or take it down. Never raises: this thread has to live on."""
        try:
            with files.Changes() as disk:
                disk.touch(self._stamp)
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
