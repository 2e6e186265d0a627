"""Packed: a .svgz, unpacked piece by piece and never beyond the limit of a file.

A few hundred bytes can unpack to terabytes, so what comes out is counted before it is kept.
Format: RFC 1952. Knows: reading.
"""

import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from spoolrunner.release import reading
from spoolrunner.release.reading import Unreadable

MAGIC = b"\x1f\x8b\x08"
_HIDING = 0x04 | 0x10  # flags of an extra field and of a comment


class TooLarge(Exception):
    """It unpacks to more than a file may hold."""


def unpacked(stream: BinaryIO, limit_bytes: int) -> BinaryIO:
    """Raises Unreadable, TooLarge."""
    whole = io.BytesIO()
    try:
        for piece in _pieces(stream):
            whole.write(piece)
            if whole.tell() > limit_bytes:
                raise TooLarge
    except zlib.error as error:
        raise Unreadable from error
    return whole


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    """Of one member; more of them, or anything behind it, is nothing that a figure needs."""
    stream.seek(0)
    start = stream.read(4)
    if not start.startswith(MAGIC) or start[3] & _HIDING:
        raise Unreadable
    unpacker = zlib.decompressobj(wbits=31)
    for data in reading.chunks(stream):
        if unpacker.eof:
            raise Unreadable
        yield unpacker.decompress(data, reading.CHUNK_BYTES)
        while unpacker.unconsumed_tail:
            yield unpacker.decompress(unpacker.unconsumed_tail, reading.CHUNK_BYTES)
    if not unpacker.eof or unpacker.unused_data:
        raise Unreadable
