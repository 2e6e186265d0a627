"""Wait until something may have changed.

A wake-up is a hint, never news: it says "look again" and nothing else, so many become one and a
lost one costs only the time to the next timer. The folder's events come through watchdog, whose
handler must do nothing but set a flag: an exception there ends its thread for good, and a queue
overflow is not told (reference/houses.md 1.10). The only module that knows watchdog.
"""

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyEmitter
from watchdog.observers.inotify_c import InotifyConstants, Mask

# Not opened, read and closed: our own looks would wake us. And not IN_MOVED_FROM: watchdog holds
# back all that follows one for half a second, to pair it, and each file we claim makes one.
CHANGES = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_DELETE_SELF
)


class Wake:
    """A flag that any thread may set and one thread waits for."""

    def __init__(self) -> None:
        self._flag = threading.Event()
        self._folders: dict[Path, int] = {}
        self._observer: BaseObserver | None = None

    def set(self) -> None:
        self._flag.set()

    def wait(self, timeout_s: float) -> bool:
        """True if something may have changed, False if the time ran out."""
        woken = self._flag.wait(max(0.0, timeout_s))
        self._flag.clear()
        return woken

    def watch(self, folders: Sequence[Path]) -> bool:
        """Be woken by changes in these folders. False: not by all of them, only the timer is left.

        Safe to repeat: a folder that was replaced by another is watched anew, because the old
        watch stays silent for ever (reference/spool.md 2.6).
        """
        inodes = {folder: inode for folder in folders if (inode := _inode(folder))}
        if inodes == self._folders and self._observer is not None and self._observer.is_alive():
            return len(inodes) == len(folders)
        self.close()
        try:
            self._observer = _observe(list(inodes), _Hint(self._flag))
        except OSError:
            return False  # the kernel's limit of instances or watches is used up
        self._folders = inodes
        return len(inodes) == len(folders)

    def close(self) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer = None
        self._folders = {}


class _Hint(FileSystemEventHandler):
    def __init__(self, flag: threading.Event) -> None:
        self._flag = flag

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._flag.set()


class _Changes(InotifyEmitter):
    def get_event_mask_from_filter(self) -> Mask:
        return CHANGES


def _observe(folders: list[Path], handler: FileSystemEventHandler) -> BaseObserver:
    observer = BaseObserver(_Changes)
    try:
        for folder in folders:
            observer.schedule(handler, os.fspath(folder), recursive=False)
        observer.start()
    except OSError:
        observer.unschedule_all()  # the threads of the first folders were begun
        raise
    return observer


def _inode(folder: Path) -> int:
    try:
        return folder.stat().st_ino
    except OSError:
        return 0
