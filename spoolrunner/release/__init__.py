"""Release: may this output be seen at medium privacy? Every doubt keeps it back.

Size, then type by name and by content, then what it holds: identifiers as a column of a table or
as the key of a record, rows of tables, things from elsewhere (reference/opensafely.md 4.11 has
job-runner's checks, and how each was got round where an error let the file pass).

    findings   what may be released, and what was found         reading      bytes -> text
    identifiers, tables   the name, and tables in lines         prose grid objects markup (links)
    images packed         what is not text                      logs names   a log, tables cut out

Meant for accidents and for the careless: who wants to hide data can always draw them.
Pure: it is given an open stream. Knows: nothing else of the package.
"""

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import BinaryIO

from spoolrunner.release import grid, images, markup, objects, packed, prose, reading
from spoolrunner.release.findings import FILE_TYPES, Finding, Findings, Rules, too_big
from spoolrunner.release.markup import Markup
from spoolrunner.release.reading import Unreadable

__all__ = ["FILE_TYPES", "Finding", "Rules", "inside", "outside"]

NOT_ITS_TYPE = "Its content is not what its type says."
UNREADABLE = "It could not be read as what its type says."
_HEAD_BYTES = 4096


def outside(path: str, size_bytes: int, rules: Rules) -> Finding:
    """What can be told without reading: size and type."""
    if size_bytes > rules.max_size_bytes:
        return Finding((too_big(size_bytes, rules.max_size_bytes),), "its size")
    if PurePosixPath(path).suffix not in rules.file_types:
        reason = "Its type is not one of those that may be released."
        return Finding((reason,), "its size and type")
    return Finding()


def inside(path: str, stream: BinaryIO, rules: Rules) -> Finding:
    """What its content tells. stream: all of it, can be read again from its beginning.

    Takes memory for at most the largest line, tag or image, and time in proportion to its size.
    """
    words, check = _KINDS.get(PurePosixPath(path).suffix.lower(), _ANY_TEXT)
    checked = f"its size, its type, its content: {words}"
    findings = Findings(rules)
    try:
        check(stream, findings)
    except Unreadable as error:
        findings.add(str(error) or UNREADABLE)
    except (ValueError, RecursionError):  # a number of a million digits, for one
        findings.add(UNREADABLE)
    except packed.TooLarge:
        findings.add("What it unpacks to is above the limit of a file.")
    return findings.finding(checked)


def _head(stream: BinaryIO) -> bytes:
    stream.seek(0)
    return stream.read(_HEAD_BYTES)


_OTHER_FILES = (
    *(
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"\x1f\x8b",
        b"BZh",
        b"\xfd7zXZ",
        b"\x28\xb5\x2f\xfd",
        b"7z\xbc",
    ),
    *(
        b"%PDF",
        b"{\\rtf",
        b"\xd0\xcf\x11\xe0",
        b"SQLite format 3",
        b"\x89HDF",
        b"\x7fELF",
        b"MZ\x90",
    ),
    *(b"ARROW1", b"FEA1", b"PAR1", b"RDX", b"RDA", b"<stata_dta>", b"GIF8", *images.KNOWN),
)
_MARKUP = (b"<!doctype", b"<html", b"<table", b"<svg", b"<?xml", b"<body", b"<head")


def _refuse_others(stream: BinaryIO, *, markup_too: bool = False) -> None:
    start = _head(stream)
    if start.startswith(_OTHER_FILES):
        raise Unreadable(NOT_ITS_TYPE)
    if markup_too and start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_MARKUP):
        raise Unreadable(NOT_ITS_TYPE)


def _csv(stream: BinaryIO, findings: Findings) -> None:
    _refuse_others(stream, markup_too=True)
    grid.check(stream, findings)


def _text(stream: BinaryIO, findings: Findings) -> None:
    _refuse_others(stream)
    prose.check(stream, findings, rows=True)


def _log(stream: BinaryIO, findings: Findings) -> None:
    _refuse_others(stream)
    prose.check(stream, findings, rows=False)


def _json(stream: BinaryIO, findings: Findings) -> None:
    _refuse_others(stream, markup_too=True)
    objects.check(stream, findings)


def _html(stream: BinaryIO, findings: Findings) -> None:
    _refuse_others(stream)
    _read(Markup(findings, strict=True), stream, findings)


def _svg(stream: BinaryIO, findings: Findings) -> None:
    _refuse_others(stream)
    figure = Markup(findings, strict=True, svg=True)
    _read(figure, stream, findings)
    if not findings.suffice and "svg" not in figure.tags:
        raise Unreadable(NOT_ITS_TYPE)


def _svgz(stream: BinaryIO, findings: Findings) -> None:
    _svg(packed.unpacked(stream, findings.rules.max_size_bytes), findings)


def _read(document: markup.Markup, stream: BinaryIO, findings: Findings) -> None:
    for piece in reading.text(stream):
        document.feed(piece)
        if findings.suffice:
            return
    document.close()


def _image(magic: bytes) -> Callable[[BinaryIO, Findings], None]:
    def check(stream: BinaryIO, findings: Findings) -> None:
        if not _head(stream).startswith(magic):
            raise Unreadable(NOT_ITS_TYPE)
        stream.seek(0)
        if problem := images.problem(stream.read()):
            findings.add(problem)

    return check


_TABLES = "identifiers, rows of tables"
_EMBEDDED = "identifiers, rows of tables, what is embedded and what is loaded"
# Types that an operator has added to LEVEL4_FILE_TYPES: what is no text can't be checked.
_ANY_TEXT = (_TABLES, _text)
_KINDS: dict[str, tuple[str, Callable[[BinaryIO, Findings], None]]] = {
    ".csv": (_TABLES, _csv),
    ".txt": (_TABLES, _text),
    ".md": (_TABLES, _text),
    ".log": ("identifiers", _log),
    ".json": (_TABLES, _json),
    ".html": (_EMBEDDED, _html),
    ".svg": (_EMBEDDED, _svg),
    ".svgz": (_EMBEDDED, _svgz),
    ".png": ("what is not part of the picture", _image(images.PNG)),
    ".jpg": ("what is not part of the picture", _image(images.JPEG)),
    ".jpeg": ("what is not part of the picture", _image(images.JPEG)),
}
