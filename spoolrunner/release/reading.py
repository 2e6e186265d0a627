"""Reading: bytes become text in whatever encoding they are, piece by piece, or are no text at all.

Knows nothing of the package. Pure: it is given an open stream that can be read twice.
"""

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO

CHUNK_BYTES = 1 << 20
MOST_LETTERS = 1 << 20  # of a line that is looked at as a whole


class Unreadable(ValueError):
    """It can't be read as what it says it is, so nobody can tell what is in it."""


_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
# Text has tabs, ends of lines and pages; logs have bells, backspaces and colours.
_NO_TEXT = re.compile("[\0-\x06\x0e-\x1a\x1c-\x1f\x7f]")
_ASCII = bytes(range(128))
_MOST_FOREIGN = 0.3


def chunks(stream: BinaryIO) -> Iterator[bytes]:
    """All of it, from its beginning."""
    stream.seek(0)
    while data := stream.read(CHUNK_BYTES):
        yield data


def text(stream: BinaryIO) -> Iterator[str]:
    """Raises Unreadable, also after some of it has been read."""
    decoder = codecs.getincrementaldecoder(_encoding(stream))()
    try:
        for data in chunks(stream):
            yield _checked(decoder.decode(data))
        yield _checked(decoder.decode(b"", final=True))
    except UnicodeError as error:
        raise Unreadable from error


def _encoding(stream: BinaryIO) -> str:
    """By its mark; else UTF-8, or Latin-1, which reads every byte: the names we look for are ASCII,
    as in cp1252, which old Windows programs write. A NUL tells of UTF-16 without a mark or of no
    text; mostly foreign bytes tell of EBCDIC, or of no text."""
    stream.seek(0)
    start = stream.read(4)
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for data in chunks(stream):
            decoder.decode(data)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return _latin(stream)
    return "utf-8"


def _latin(stream: BinaryIO) -> str:
    counts = [(len(data), len(data.translate(None, _ASCII))) for data in chunks(stream)]
    if sum(foreign for _, foreign in counts) > _MOST_FOREIGN * sum(size for size, _ in counts):
        raise Unreadable
    return "latin-1"


def _checked(piece: str) -> str:
    if _NO_TEXT.search(piece):
        raise Unreadable
    return piece


def blocks(stream: BinaryIO) -> Iterator[tuple[str, bool]]:
    """Many lines at a time, and whether they are whole: a line that is too long comes in pieces."""
    pending, is_whole = "", True
    for piece in text(stream):
        pending += piece
        end = max(pending.rfind("\n"), pending.rfind("\r")) + 1
        if end:
            yield pending[:end], is_whole
            pending, is_whole = pending[end:], True
        if len(pending) > MOST_LETTERS:
            yield pending, False
            pending, is_whole = "", False
    if pending:
        yield pending, is_whole
