"""The few ways we change a disk, made durable.

    with files.Changes() as disk:
        disk.write(path, data)      beside, flushed, renamed over the old one
        disk.move(source, target)   never replaces; both names of one file count as moved
        disk.remove(path)

On leaving the block every folder that was touched is flushed, destinations before sources; only
then may anybody be told. Flushes are the whole budget of a spool (reference/spool.md 3.1), so
changes that come together share one block, and a step that another must outlive gets its own.
Every change spoolrunner makes to a disk goes through this module (and `beneath`, for what a job
left), so that tests can stop at each one.
Knows nothing of the package.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import signal
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
PIECE_BYTES = 1 << 20
DRAFT = ".draft-"


class Changes:
    """Changes of a disk whose folders are flushed together when the block ends."""

    def __init__(self) -> None:
        self._targets: dict[Path, None] = {}
        self._sources: dict[Path, None] = {}

    def __enter__(self) -> "Changes":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()

    def flush(self) -> None:
        """Make all of it outlive a power cut. Destinations first: reference/spool.md 2.1."""
        folders = [*self._targets, *(path for path in self._sources if path not in self._targets)]
        self._targets.clear()
        self._sources.clear()
        for folder in folders:
            sync_folder(folder)

    def write(self, path: Path, data: bytes, mode: int = PRIVATE_FILE) -> None:
        """Create or replace a whole file: readers see the old or the new one, never a part."""
        self.write_parts(path, [data], mode)

    def write_parts(self, path: Path, parts: Iterable[bytes], mode: int = PRIVATE_FILE) -> None:
        """The same of parts that are never in memory together (a job's log)."""
        draft = draft_of(path)
        write_parts_flushed(draft, parts, mode)
        os.rename(draft, path)
        self._targets[path.parent] = None

    def fill(self, path: Path, write: Callable[[IO[bytes]], None]) -> None:
        """Create or replace a whole file by what somebody writes into it."""
        draft = draft_of(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(draft, flags, PRIVATE_FILE), "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(draft, path)
        self._targets[path.parent] = None

    def touch(self, path: Path, mode: int = PRIVATE_FILE) -> None:
        """An empty file, or a new time for one that is there. Any number may do so at once, which
        `write` with its one draft does not allow."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
        descriptor = os.open(path, flags, mode)
        try:
            os.utime(descriptor)
        finally:
            os.close(descriptor)
        self._targets[path.parent] = None

    def move(self, source: Path, target: Path) -> None:
        """Rename without replacing anything. Raises FileExistsError, FileNotFoundError.

        A power cut can leave one file under both names (reference/spool.md, finding 1); then
        rename would silently do nothing (finding 2), so the earlier name is unlinked.
        """
        if _same_file(source, target):
            os.unlink(source)
        elif os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        else:
            os.rename(source, target)
        self._moved(source, target)

    def replace(self, source: Path, target: Path) -> None:
        """Rename over whatever is there. The source must have been flushed by its writer."""
        if _same_file(source, target):
            os.unlink(source)
        else:
            os.rename(source, target)
        self._moved(source, target)

    def link(self, source: Path, target: Path) -> None:
        """A second name for a file. Raises FileExistsError."""
        os.link(source, target)
        self._targets[target.parent] = None

    def remove(self, path: Path) -> None:
        """Unlink; a file that is gone already is fine."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self._sources[path.parent] = None

    def touched(self, folder: Path) -> None:
        """Flush this folder too: something in it was changed by other means."""
        self._targets[folder] = None

    def _moved(self, source: Path, target: Path) -> None:
        self._targets[target.parent] = None
        self._sources[source.parent] = None


def draft_of(path: Path) -> Path:
    """Where the next version of a file is written: beside it, always the same hidden name.

    A fixed name, because there is one writer for each file; a draft that a crash left is then
    overwritten by the next one instead of staying for ever. Hashed, to stay below 255 bytes.
    """
    return path.parent / f"{DRAFT}{hashlib.sha1(os.fsencode(path.name)).hexdigest()[:16]}"


def write_flushed(path: Path, data: bytes, mode: int) -> None:
    """Write a new file and flush it. Not yet durable by name: its folder is not flushed."""
    write_parts_flushed(path, [data], mode)


def write_parts_flushed(path: Path, parts: Iterable[bytes], mode: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(descriptor, mode)  # the umask is not ours to trust
        for part in parts:
            write_all(descriptor, part)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_unflushed(path: Path, data: bytes, mode: int) -> None:
    """Replace a file that is only looked at: readers see the old or the new one, a power cut may
    leave none."""
    draft = draft_of(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(descriptor, mode)
        write_all(descriptor, data)
    finally:
        os.close(descriptor)
    os.rename(draft, path)


def write_all(descriptor: int, data: bytes) -> None:
    """os.write may be short without an error (reference/spool.md 2.1, rule 8)."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def drop(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put a whole file into a folder we may not list, such as an inbox.

    Its folder can't be flushed then; flushing the file once more after the rename makes its name
    last too (reference/spool.md 2.1, row e4). It is opened before: a runner may take it at once.
    """
    draft = draft_of(path)
    write_flushed(draft, data, mode)
    descriptor = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.rename(draft, path)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append_flushed(
    path: Path, data: bytes, mode: int = PRIVATE_FILE, owner: tuple[int, int] | None = None
) -> None:
    """Add to the end of a file and flush it. owner: (uid, gid) it is given to, as root can."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, mode)
    try:
        if owner:
            os.fchown(descriptor, *owner)
        write_all(descriptor, data)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, mode: int = PRIVATE_FOLDER) -> None:
    """Make a folder and its missing ancestors, each flushed into its parent; safe to repeat."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, mode)
            os.chmod(path, mode)
            sync_folder(path.parent)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def set_owner(path: Path, mode: int, group: int | None) -> None:
    """Mode and group as we want them, whatever the umask; None leaves the group."""
    if group is not None:
        os.chown(path, -1, group)
    os.chmod(path, mode)


def read_regular(path: Path, limit_bytes: int) -> tuple[bytes, os.stat_result]:
    """At most limit_bytes + 1 bytes of a regular file, never through a link, never blocking.

    Raises OSError with ELOOP for a link, EINVAL for what is not a regular file.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = os.open(path, flags)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return _read(descriptor, limit_bytes + 1), about
    finally:
        os.close(descriptor)


def _read(descriptor: int, most: int) -> bytes:
    parts = []
    while most > 0 and (part := os.read(descriptor, most)):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def pieces(path: Path) -> Iterator[bytes]:
    """All of a regular file, a piece at a time, never through a link. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    with open(descriptor, "rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def being_written(path: Path) -> bool | None:
    """Has somebody this file open for writing? None: the kernel won't tell (another's file, NFS).

    A read lease is only granted while nobody writes; it is given back at once, because a held one
    makes a writer's open wait (fcntl(2), F_SETLEASE; reference/spool.md 2.4).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        # A writer that opens it in that instant makes the kernel signal us; the default, SIGIO,
        # would end the runner (seen within a second of appends). SIGURG is ignored by default.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    else:
        return False
    finally:
        os.close(descriptor)


def _same_file(first: Path, second: Path) -> bool:
    try:
        return os.path.samestat(os.lstat(first), os.lstat(second))
    except FileNotFoundError:
        return False
