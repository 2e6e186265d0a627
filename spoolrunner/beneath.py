"""Beneath: reaching and removing what lies in a folder that somebody else has filled.

A job may leave anything: links to /etc, links to itself, pipes, devices, folders without
permission, a thousand folders deep. Here every name is opened without following links, one step at
a time, and looked at through the open handle before anything is done with it, so what was looked
at is what is used. Nothing of the job may still be running.
Knows: files. Needs /proc, to open for reading what is held by an O_PATH handle.
"""

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from spoolrunner import files

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True)
class Found:
    """Something beneath a folder. path: relative to it, may hold any byte (surrogateescape).

    shut: why a folder was not entered, or "".
    """

    path: str
    about: os.stat_result
    shut: str = ""

    @property
    def regular(self) -> bool:
        return stat.S_ISREG(self.about.st_mode)

    @property
    def folder(self) -> bool:
        return stat.S_ISDIR(self.about.st_mode)

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
        """Nobody else can reach into it any more."""
        if os.fstat(self._top).st_uid != os.geteuid():
            os.fchown(self._top, os.geteuid(), os.getegid())
        os.fchmod(self._top, files.PRIVATE_FOLDER)

    def hand_over(self, user: int, group: int) -> None:
        """Give all of it to the job's user, links themselves included. Only root can."""
        if user == os.geteuid():
            return
        for folder, found in self._walk(sys.maxsize):
            name = os.path.basename(found.path)
            os.chown(name, user, group, dir_fd=folder, follow_symlinks=False)
        os.fchown(self._top, user, group)

    def walk(
        self, deepest_bytes: int, enter: Callable[[str], bool] = lambda path: True
    ) -> Iterator[Found]:
        """Everything in it, in no order. Folders with longer paths than this are not entered, nor
        those whose paths `enter` declines. What goes away meanwhile is left out.

        A million files take some seconds.
        """
        for _, found in self._walk(deepest_bytes, enter):
            yield found

    def open(self, path: str) -> int:
        """A descriptor for reading a regular file. Raises OSError: EINVAL if it is not regular."""
        with self._parent(path) as (folder, name), _handle(name, folder) as handle:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
            return _reopen(handle, _READ)

    def create(self, path: str, mode: int) -> int:
        """A descriptor for writing a new file. Whatever is in its way is removed, also a link where
        a folder has to be: a study's `output -> /etc` must not redirect what we write."""
        with self._parent(path, make=True) as (folder, name):
            _remove_entry(folder, name)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(name, flags, mode, dir_fd=folder)
            os.fchmod(descriptor, mode)
            return descriptor

    def link(self, path: str, target: str) -> None:
        """A symbolic link of this name; what is in its way is removed, as by `create`."""
        with self._parent(path, make=True) as (folder, name):
            _remove_entry(folder, name)
            os.symlink(target, name, dir_fd=folder)

    def read_link(self, path: str) -> str:
        with self._parent(path) as (folder, name):
            return os.readlink(name, dir_fd=folder)

    def move_out(self, path: str, target: Path) -> None:
        """Rename a file of it over target."""
        with self._parent(path) as (folder, name):
            os.rename(name, target, src_dir_fd=folder)

    def remove(self, path: str) -> None:
        """Remove whatever has this name; nothing there is fine."""
        with contextlib.suppress(FileNotFoundError), self._parent(path) as (folder, name):
            _remove_entry(folder, name)

    def _walk(
        self, deepest_bytes: int, enter: Callable[[str], bool] = lambda path: True
    ) -> Iterator[tuple[int, Found]]:
        """With the descriptor of the folder each lies in, open until the next is asked for."""
        waiting = [""]
        while waiting:
            path = waiting.pop()
            with contextlib.suppress(FileNotFoundError), self._folder(path) as folder:
                for found in _listed(folder, path):
                    shut = _why_shut(folder, found, deepest_bytes)
                    if found.folder and not shut and enter(found.path):
                        waiting.append(found.path)
                    yield folder, replace(found, shut=shut) if shut else found

    @contextlib.contextmanager
    def _parent(self, path: str, make: bool = False) -> Iterator[tuple[int, str]]:
        parent, _, name = path.rpartition("/")
        with self._folder(parent, make) as folder:
            yield folder, name

    @contextlib.contextmanager
    def _folder(self, path: str, make: bool = False) -> Iterator[int]:
        folder = os.dup(self._top)
        try:
            for name in path.split("/") if path else ():
                below = _make_and_enter(folder, name) if make else _enter(folder, name)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)


def _listed(folder: int, path: str) -> list[Found]:
    prefix = f"{path}/" if path else ""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                found.append(Found(prefix + entry.name, entry.stat(follow_symlinks=False)))
    return found


def _why_shut(folder: int, found: Found, deepest_bytes: int) -> str:
    if not found.folder:
        return ""
    if len(os.fsencode(found.path)) > deepest_bytes:
        return "its path is too long"
    try:
        os.close(_enter(folder, os.path.basename(found.path)))
    except FileNotFoundError:
        return "it is gone"
    except PermissionError:
        return "we have no permission to enter it"
    return ""


@contextlib.contextmanager
def _handle(name: str, folder: int) -> Iterator[int]:
    """A handle on whatever has this name: opening it so has no effect on pipes and devices."""
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        yield handle
    finally:
        os.close(handle)


def _reopen(handle: int, flags: int) -> int:
    path = f"/proc/self/fd/{handle}"
    try:
        return os.open(path, flags)
    except PermissionError:  # ours, but the job took the permissions away (mode 000)
        os.chmod(path, files.PRIVATE_FOLDER)
        return os.open(path, flags)


def _enter(folder: int, name: str) -> int:
    with _handle(name, folder) as handle:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
        return _reopen(handle, _FOLDER)


def _make_and_enter(folder: int, name: str) -> int:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=folder)
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=folder)
    return _enter(folder, name)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it; a name that is gone, or is no folder, is fine."""
    with contextlib.suppress(FileNotFoundError):
        parent = os.open(folder.parent, _FOLDER)
        try:
            _remove_entry(parent, folder.name)
        finally:
            os.close(parent)


def _remove_entry(folder: int, name: str) -> None:
    """Folders of folders are first pulled up to the top and then emptied there: so neither depth
    nor open files grow with what a job made (shutil.rmtree gives up at a thousand levels)."""
    try:
        if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            return os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return None
    top = _enter_to_empty(folder, name)
    try:
        pulled = 0
        while names := os.listdir(top):
            for inner in names:
                pulled = _flatten(top, inner, pulled)
    finally:
        os.close(top)
    return os.rmdir(name, dir_fd=folder)


def _flatten(top: int, name: str, pulled: int) -> int:
    """Remove one name of top; folders in it become names of top. Returns how many so far."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=top, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=top)
        return pulled
    folder = _enter_to_empty(top, name)
    try:
        for inner in os.listdir(folder):
            if stat.S_ISDIR(os.stat(inner, dir_fd=folder, follow_symlinks=False).st_mode):
                os.close(_enter_to_empty(folder, inner))
                pulled += 1
                os.rename(inner, _free_name(top, pulled), src_dir_fd=folder, dst_dir_fd=top)
            else:
                os.unlink(inner, dir_fd=folder)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=top)
    return pulled


def _free_name(top: int, number: int) -> str:
    name = f"{os.getpid()}-{number}"
    while True:
        try:
            os.stat(name, dir_fd=top, follow_symlinks=False)
        except FileNotFoundError:
            return name
        name = f"{os.urandom(8).hex()}-{number}"


def _enter_to_empty(folder: int, name: str) -> int:
    descriptor = _enter(folder, name)
    if os.fstat(descriptor).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.fchmod(descriptor, files.PRIVATE_FOLDER)
    return descriptor
