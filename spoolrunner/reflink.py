"""Reflink: whole copies of open files, sharing their blocks where the filesystem can.

A copy is never a hard link: a job must not be able to change what was published.
Knows: files, headway.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from spoolrunner import files
from spoolrunner.headway import UNHEARD, Headway

FICLONE = 0x40049409  # ioctl_ficlone(2): share the blocks, copy on write
_MOST_AT_ONCE = 1 << 30
_NOT_HERE = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM}


def copy(source: int, target: int, headway: Headway = UNHEARD) -> None:
    """All bytes of one open file to another, empty one: shared by reflink, else copied.

    Holes stay holes. Both are read and written from their beginning, whatever their positions.
    """
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        size = os.fstat(source).st_size
        os.ftruncate(target, size)
        copied = 0
        for start, end in _segments(source, size):
            headway.add(start - copied)
            _copy_range(source, target, start, end, headway)
            copied = end
        headway.add(size - copied)


def _segments(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Where there are data; the rest is holes."""
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end


def _copy_range(source: int, target: int, start: int, end: int, headway: Headway) -> None:
    while start < end:
        try:
            done = os.copy_file_range(source, target, min(end - start, _MOST_AT_ONCE), start, start)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            done = os.pwrite(target, os.pread(source, min(end - start, 1 << 20), start), start)
        if done == 0:
            raise OSError(errno.EIO, "the file became shorter while it was copied")
        headway.add(done)
        start += done


def publish_copy(
    disk: files.Changes,
    source: int,
    target: Path,
    mode: int,
    tail: bytes = b"",
    headway: Headway = UNHEARD,
) -> None:
    """Copy an open file beside target, add tail, flush it and rename it over target."""
    headway.expect(os.fstat(source).st_size)
    draft = files.draft_of(target)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(draft, flags, mode)
    try:
        os.fchmod(descriptor, mode)
        copy(source, descriptor, headway)
        os.lseek(descriptor, 0, os.SEEK_END)
        files.write_all(descriptor, tail)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    disk.replace(draft, target)
