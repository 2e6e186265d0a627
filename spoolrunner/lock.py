"""Kernel locks: the kernel says who is alive, and nobody else is believed.

A lock is dropped the moment its holder dies, and never while it only pauses. Its file is never
unlinked and never replaced: two could hold "the same" lock then (reference/spool.md 2.5).
The only module that knows filelock.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

MODE = 0o600


class Lock:
    """A kernel lock on a file that is never unlinked: the kernel says who is alive.

    filelock falls back to a weaker lock where flock is missing unless told not to.
    """

    def __init__(self, path: Path) -> None:
        from filelock import FileLock  # 15 ms that commands which only look do not need

        self._lock = FileLock(path, mode=MODE, fallback_to_soft=False, thread_local=False)

    def take(self, timeout_s: float = 0) -> bool:
        """True if it is ours now."""
        from filelock import Timeout

        try:
            self._lock.acquire(timeout=timeout_s)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        self._lock.release()


@contextlib.contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Wait for one's turn among all threads and processes that work in this folder. Raises OSError.

    The folder itself is locked: a file for that would be another user's if root came first. And it
    is unlocked, not only closed: a program that another thread starts just now has the descriptor
    too, for a moment.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def is_locked(path: Path) -> bool | None:
    """Does somebody hold this lock now? None: we may not look.

    Takes it shared for an instant; whoever wants it for good must be ready to try twice.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    except PermissionError:
        return _is_listed(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _is_listed(path: Path) -> bool | None:
    """The kernel's own list, which anybody may read (proc_locks(5)); None: we may not even stat it.

    By inode alone where the filesystem gives each file a device that the list does not use (btrfs).
    """
    try:
        about = os.stat(path)
        listed = Path("/proc/locks").read_bytes().decode()
    except OSError:
        return None
    device = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}"
    own = {f"{device}:{about.st_ino}"}
    held = [line.split() for line in listed.splitlines() if " FLOCK " in line]
    places = {words[words.index("FLOCK") + 4] for words in held}
    if os.major(about.st_dev) == 0:
        own, places = {str(about.st_ino)}, {place.rpartition(":")[2] for place in places}
    return bool(own & places)
