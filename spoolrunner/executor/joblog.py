"""A job's log as the keeper leaves it: one growing file, its middle cut out when it got too long.

The cut is a hole in the file, so the filesystem tells where it is and how much is missing.
Knows: files.
"""

import io
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from spoolrunner import files

PIECE_BYTES = 1 << 20
NOTICE_BYTES = 100


def save(source: Path, target: Path, limit_bytes: int) -> None:
    """Write its head and tail to target, at most limit_bytes (0 = all), saying what was cut.

    The two may be the same file, and saving again changes nothing.
    """
    with io.FileIO(source) as log, files.Changes() as disk:
        (start, head), (tail, end) = _kept(log, limit_bytes)
        gap = [notice(tail - head)] if tail > head else []
        parts = (_pieces(log, start, head), gap, _pieces(log, tail, end))
        disk.write_parts(target, itertools.chain(*parts))


def unread(log: io.FileIO) -> Iterator[bytes]:
    """What lies between the file's position and its present end, with a notice for what was cut."""
    position, size = log.tell(), os.fstat(log.fileno()).st_size
    while position < size:
        data, hole = _next_span(log, position, size)
        if data > position:
            yield notice(data - position)
        yield from _pieces(log, data, hole)
        position = hole
    log.seek(position)


def notice(cut_bytes: int) -> bytes:
    return f"\n[spoolrunner: {cut_bytes} bytes of this log were cut out here]\n".encode()


def _kept(log: io.FileIO, limit_bytes: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The two ranges to show; without a cut the second is empty."""
    size = os.fstat(log.fileno()).st_size
    _, head = _next_span(log, 0, size)
    tail, _ = _next_span(log, head, size)
    if limit_bytes and head + size - tail > limit_bytes:
        after_hole = tail if head < size else 0
        tail = max(after_hole, size - max(0, limit_bytes // 2 - NOTICE_BYTES))
        head = min(head, limit_bytes // 2)
    return (0, head), (tail, size)


def _next_span(log: io.FileIO, position: int, size: int) -> tuple[int, int]:
    """The next stretch of data at or after position: its start and its end."""
    if position >= size:
        return size, size
    try:
        data = os.lseek(log.fileno(), position, os.SEEK_DATA)
        return data, min(size, os.lseek(log.fileno(), data, os.SEEK_HOLE))
    except OSError:  # nothing but a hole up to the end
        return size, size


def _pieces(log: io.FileIO, start: int, end: int) -> Iterator[bytes]:
    while start < end and (piece := os.pread(log.fileno(), min(PIECE_BYTES, end - start), start)):
        yield piece
        start += len(piece)
