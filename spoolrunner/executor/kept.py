"""A kept job: the folder of one name as its keeper writes it, seen from the runner.

keeper.py says what the files mean. Everything asked here is asked of the kernel or the disk, so any
runner finds any job, whoever began it.
Knows: errors, files, record, executor.
"""

import contextlib
import fcntl
import math
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from spoolrunner import files, record
from spoolrunner.errors import TryLater
from spoolrunner.executor import Absent, Exit, Look, Running, Used

KEEPER = Path(__file__).with_name("keeper.py")
BEGIN_TIMEOUT_S = 60.0
KILL_TIMEOUT_S = 30.0
BRIEFLY_S = 0.02
RECORD_BYTES = 65536
FORGOTTEN = "forgotten"


class Started(record.Frozen, frozen=True, kw_only=True):
    """The keeper's file `started`."""

    format: int = 1
    pid: int
    started_at: str
    log: str
    image_id: str


class Counted(record.Frozen, frozen=True, kw_only=True):
    """What the kernel told the keeper, as in Used."""

    cpu_s: float
    memory_peak_bytes: int
    read_bytes: int
    written_bytes: int


class Ended(record.Frozen, frozen=True, kw_only=True):
    """The keeper's file `status`. used: None in one of an older keeper."""

    format: int = 1
    status: int
    reason: str
    started_at: str
    finished_at: str
    image_id: str
    used: Counted | None = None


R = TypeVar("R")


class KeptJob:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def started(self) -> Started | None:
        return self._read("started", Started)

    def begin(self, description: str, descriptors: Sequence[int]) -> None:
        """Returns when the keeper has the lock and has written down that the job is begun.

        description: JSON, with secrets, so it goes through a pipe. descriptors: those it mentions.
        A name that was begun before is left as it is. Raises TryLater.
        """
        if os.path.lexists(self._folder / FORGOTTEN):
            os.unlink(self._folder / FORGOTTEN)
        command = [sys.executable, "-I", "-S", str(KEEPER), str(self._folder)]
        try:
            done = subprocess.run(
                command,
                input=description,
                capture_output=True,
                text=True,
                timeout=BEGIN_TIMEOUT_S,
                start_new_session=True,
                pass_fds=descriptors,
                env={},  # the runner's own tokens are nobody's business
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise TryLater("The keeper of a job does not answer.") from error
        if done.stdout == "already":
            self._await_start()
        elif done.stdout != "begun":
            raise TryLater("The keeper of a job could not begin.", detail=done.stderr)

    def _await_start(self) -> None:
        """Another keeper has the lock, such as that of a runner that was killed just now; until it
        has written down that it begins, the job would be taken for lost."""
        deadline = time.monotonic() + BEGIN_TIMEOUT_S
        while self.started is None:
            if time.monotonic() > deadline or not (self._held() or self.started):
                raise TryLater("The keeper of a job could not begin.")
            time.sleep(BRIEFLY_S)

    def look(self) -> Look:
        started = self.started
        if started is None:
            return Absent()
        # In this order: a status that is written between the two questions is still seen.
        alive = self._held()
        if ended := self._read("status", Ended):
            times = (ended.started_at, ended.finished_at)
            used = Used(**record.builtins(ended.used)) if ended.used else Used()
            return Exit(ended.status, ended.reason, *times, ended.image_id, used)
        return Running(started.started_at, started.image_id) if alive else Absent()

    def wait(self, timeout_s: float) -> None:
        """The kernel tells when the keeper ends, so this returns at once then."""
        with self._keeper() as keeper:
            if keeper is not None:
                _ends(keeper, timeout_s)
            elif self._held():  # the keeper was killed and its guard is burying the job
                time.sleep(min(timeout_s, BRIEFLY_S))

    def stop(self, grace_s: float) -> None:
        """By the keeper, so that the end is recorded. Raises TryLater if it outlives SIGKILL."""
        with self._keeper() as keeper:
            if keeper is not None and not _tell(keeper, signal.SIGTERM, grace_s):
                _tell(keeper, signal.SIGUSR1, KILL_TIMEOUT_S)
        deadline = time.monotonic() + KILL_TIMEOUT_S
        while self._held():
            if time.monotonic() > deadline:
                raise TryLater("A job does not end although it was killed.", kind="does_not_end")
            time.sleep(BRIEFLY_S)

    def forget(self) -> None:
        """Remove the folder. `started` goes last: half forgotten must not mean startable.

        A keeper whose runner was killed may only be about to begin: it asks for `forgotten` once it
        has the lock, we for the lock once that is there. Raises TryLater if it came first.
        """
        if self.started is None:
            files.write_unflushed(self._folder / FORGOTTEN, b"", files.PRIVATE_FILE)
            if self._held():
                raise TryLater("A job begins while it is cleared away.", kind="does_not_end")
        last = ("started", FORGOTTEN)
        for name in (*(set(os.listdir(self._folder)) - {*last}), *last):  # drafts as well
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._folder / name)
        os.rmdir(self._folder)
        files.sync_folder(self._folder.parent)

    @contextlib.contextmanager
    def _keeper(self) -> Iterator[int | None]:
        """A descriptor of the living keeper, or None."""
        started = self.started
        try:
            keeper = os.pidfd_open(started.pid) if started else None
        except ProcessLookupError:
            keeper = None
        if keeper is None:
            yield None
            return
        try:
            # Asked after opening: a free lock means that the number may be somebody else's by now.
            yield keeper if self._held() else None
        finally:
            os.close(keeper)

    def _held(self) -> bool:
        """Is anybody alive who keeps this job? The lock is asked about, never taken."""
        whole_file = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        try:
            lock = os.open(self._folder / "lock", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            answer = fcntl.fcntl(lock, fcntl.F_OFD_GETLK, whole_file)
        finally:
            os.close(lock)
        return bool(struct.unpack_from("h", answer)[0] != fcntl.F_UNLCK)

    def _read(self, name: str, kind: type[R]) -> R | None:
        try:
            data, _ = files.read_regular(self._folder / name, RECORD_BYTES)
        except FileNotFoundError:
            return None
        return record.from_json(data, kind, name)


def _tell(keeper: int, number: signal.Signals, timeout_s: float) -> bool:
    """Send it a signal; True if it ended within timeout_s."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(keeper, number)
    return _ends(keeper, timeout_s)


def _ends(keeper: int, timeout_s: float) -> bool:
    poller = select.poll()
    poller.register(keeper, select.POLLIN)
    return bool(poller.poll(math.ceil(timeout_s * 1000)))
