"""Images: is a .png or .jpg an image from its first byte to its last, and nothing else?

Both formats are chains of parts, each with its length: what stands behind their end, in parts that
nobody knows or in long texts would be carried along unseen. What the pixels show is not looked at.
Formats: PNG, third edition (W3C); ITU-T T.81, annex B (JPEG).
Knows: identifiers, tables.
"""

import struct
import zlib

from spoolrunner.release.tables import Tables

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
KNOWN = (PNG, JPEG)
MOST_TEXT_BYTES = 64 * 1024

DAMAGED = "It is not a whole image of its type."
BEHIND = "Something stands behind the end of the image."
UNKNOWN = "The image carries data that are not part of the picture."
TEXT = "The image carries a table or a long text."

_PIXELS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT"}
_COLOURS = {b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"bKGD"}
_COLOURS |= {b"hIST", b"pHYs", b"sPLT", b"tIME", b"oFFs", b"sCAL", b"vpAg", b"orNT", b"eXIf"}
_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_ALONE = {0x01, *range(0xD0, 0xD8)}  # JPEG's markers without a length
_COMMENT, _END, _SCAN = 0xFE, 0xD9, 0xDA


class _Problem(Exception):
    """Its text is the reason."""


def problem(data: bytes) -> str:
    """Why a PNG or JPEG may not be released, or "" if it may."""
    try:
        _png(data) if data.startswith(PNG) else _jpeg(data)
    except _Problem as found:
        return str(found)
    except (struct.error, IndexError):
        return DAMAGED
    return ""


def _png(data: bytes) -> None:
    at, kind, carried = len(PNG), b"", 0
    while kind != b"IEND":
        (size,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + min(size, MOST_TEXT_BYTES)]
        if kind in _TEXTS:
            carried += size
            _text(_inflated(body) if kind != b"tEXt" else body, carried)
        elif kind not in _PIXELS | _COLOURS:
            raise _Problem(UNKNOWN)
        elif kind == b"eXIf":
            carried += size
            _text(body, carried)
        at += 12 + size
    _end(data, at)


def _inflated(body: bytes) -> bytes:
    """The text with what is packed in it unpacked, as far as it is of a bounded length."""
    _, _, packed = body.partition(b"\0")
    start = packed.find(b"\x78")
    if start < 0:
        return body
    try:
        return body + b"\n" + zlib.decompressobj().decompress(packed[start:], MOST_TEXT_BYTES + 1)
    except zlib.error:
        return body


def _jpeg(data: bytes) -> None:
    at, carried = 2, 0
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:
            at += 1
        if data[at] != 0xFF:
            raise _Problem(DAMAGED)
        marker = data[at + 1]
        at += 2
        if marker == _END:
            return _end(data, at)
        if marker in _ALONE:
            continue
        (size,) = struct.unpack_from(">H", data, at)
        if marker == _COMMENT or 0xE0 <= marker < 0xF0:
            is_profile = data[at + 2 : at + 13] == b"ICC_PROFILE"
            carried += 0 if is_profile else size
            _text(data[at + 2 : at + size], carried)
        at += size
        if marker == _SCAN:
            at = _after_scan(data, at)


def _after_scan(data: bytes, at: int) -> int:
    """The next marker that is not part of the coded pixels."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise _Problem(DAMAGED)
        if data[at + 1] not in {0, *_ALONE}:
            return at
        at += 2


def _text(body: bytes, carried_bytes: int) -> None:
    if carried_bytes > MOST_TEXT_BYTES or len(body) > MOST_TEXT_BYTES:
        raise _Problem(TEXT)
    tables = Tables()
    for line in body.replace(b"\0", b"\n").decode("latin-1").splitlines():
        tables.line(line)
    if tables.found:
        raise _Problem(TEXT)


def _end(data: bytes, at: int) -> None:
    if at > len(data):
        raise _Problem(DAMAGED)
    if data[at:].strip(b"\0\r\n"):
        raise _Problem(BEHIND)
