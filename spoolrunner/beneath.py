"""Beneath: reaching, copying and removing what lies in a folder that somebody else has filled.

A job may leave anything: links to /etc, links to itself, pipes, devices, folders without
permission, a thousand folders deep. Here every name is opened without following links, one step at
a time, and looked at through the open handle before anything is done with it, so what was looked
at is what is used. Nothing of the job may still be running.
Knows: files. Needs /proc, to open for reading what is held by an O_PATH handle.
"""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from spoolrunner import files

FICLONE = 0x40049409  # ioctl_ficlone(2): share the blocks, copy on write
CHUNK_BYTES = 1 << 30
_NOT_HERE = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM}
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True)
class Found:
    """Something beneath a folder. path: relative to it, may hold any byte (surrogateescape)."""

    path: str
    about: os.stat_result

    @property
    def regular(self) -> bool:
        return stat.S_ISREG(self.about.st_mode)

    @property
    def kind(self) -> str:
        """In words for people."""
        return _KINDS.get(stat.S_IFMT(self.about.st_mode), "something unknown")


_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Tree:
    """An open folder whose content is not to be trusted. Paths are relative to it."""

    def __init__(self, folder: Path) -> None:
        """Raises FileNotFoundError, NotADirectoryError (also for a link)."""
        self.folder = folder
        self._top = os.open(folder, _FOLDER | os.O_NOFOLLOW)

    def __enter__(self) -> "Tree":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._top)

    def make_ours(self) -> None:
        """Nobody but us can reach into it any more: only what was opened before is still open."""
        if os.fstat(self._top).st_uid != os.geteuid():
            os.fchown(self._top, os.geteuid(), os.getegid())
        os.fchmod(self._top, files.PRIVATE_FOLDER)

    def walk(self, deepest_bytes: int) -> Iterator[Found]:
        """Everything in it that is not a folder, and folders that can't be entered or whose path is
        longer than deepest_bytes. In no order; a million files take a few seconds."""
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            with self._entered(folder) as descriptor:
                entries = list(_stat_all(descriptor, folder))
            for found in entries:
                if stat.S_ISDIR(found.about.st_mode) and self._may_enter(found, deepest_bytes):
                    waiting.append(found.path)
                else:
                    yield found

    def _may_enter(self, found: Found, deepest_bytes: int) -> bool:
        if len(os.fsencode(found.path)) > deepest_bytes:
            return False
        try:
            with self._entered(found.path):
                return True
        except PermissionError:
            return False

    def open(self, path: str) -> int:
        """A descriptor for reading a regular file. Raises OSError: EINVAL if it is not regular."""
        with self._parent(path) as (folder, name):
            handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            try:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise OSError(errno.EINVAL, "not a regular file", path)
                return _reopen(handle, _READ)
            finally:
                os.close(handle)

    def create(self, path: str, mode: int) -> int:
        """A descriptor for writing a new file; whatever is in its way is removed, links included."""
        with self._way(path) as (folder, name):
            _remove_entry(folder, name)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(name, flags, mode, dir_fd=folder)
            os.fchmod(descriptor, mode)
            return descriptor

    def move_out(self, path: str, target: Path) -> Path:
        """Rename a file of it over target. Returns the folder it lay in, which is to be flushed."""
        with self._parent(path) as (folder, name):
            os.rename(name, target, src_dir_fd=folder)
        return (self.folder / path).parent

    def remove(self, path: str) -> None:
        """Unlink one name."""
        with self._parent(path) as (folder, name), contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)

    def hand_over(self, user: int, group: int) -> None:
        """Give all of it to the job's user. Only root can give to another."""
        if (user, group) == (os.geteuid(), os.getegid()):
            return
        self._each(lambda folder, name: os.lchown_at(folder, name, user, group))

    def _each(self, change: Callable[[int, str], None]) -> None:
        raise NotImplementedError
