"""A job's log as the keeper leaves it: one growing file, its middle cut out when it got too long.

The cut is a hole in the file, so the filesystem tells where it is and how much is missing. What is
saved ends and goes on with whole lines: half a secret at a cut would be no secret that is masked.
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
LINE_BYTES = 1 << 16  # a longer line is cut anywhere


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
    shown = position
    while position < size:
        data, hole = _next_span(log, position, size)
        start = _next_line(log, data, size) if data > position else data
        end = _end_of_line(log, hole) if hole < size else hole
        if start > shown:
            yield notice(start - shown)
        yield from _pieces(log, start, end)
        position, shown = hole, end
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
    if tail > head:
        head, tail = _end_of_line(log, head), _next_line(log, tail, size)
    return (0, head), (tail, size)


def _end_of_line(log: io.FileIO, position: int) -> int:
    """Where the last whole line before this position ends."""
    start = max(0, position - LINE_BYTES)
    found = os.pread(log.fileno(), position - start, start).rfind(b"\n")
    return start + found + 1 if found >= 0 or start == 0 else position


def _next_line(log: io.FileIO, position: int, size: int) -> int:
    """Where the first line after this position begins."""
    start = max(0, position - 1)
    found = os.pread(log.fileno(), LINE_BYTES, start).find(b"\n")
    if found >= 0:
        return start + found + 1
    return size if size - start <= LINE_BYTES else position


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
