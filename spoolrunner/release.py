"""Release: may this output be seen at medium privacy? Every doubt keeps it back.

Size, then type, then what a table holds: rows, and identifiers as a column. Reasons are our own
words and figures, never content: they are shown beside the file (reference/opensafely.md 4.11
has the checks, and how each was got round where an error let the file pass).
Knows: nothing of the package. Pure: it is given the bytes.
"""

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import PurePosixPath

FILE_TYPES = frozenset(  # reference 2.4
    {".csv", ".jpg", ".jpeg", ".png", ".svg", ".svgz", ".html", ".txt", ".log", ".json", ".md"}
)
IDENTIFIERS = frozenset({"patientid"})
DELIMITERS = ",;\t| "


@dataclass(frozen=True)
class Rules:
    """What may go to medium privacy. file_types: suffixes with their dot, upper and lower case told
    apart; none at all means that nothing may go there."""

    max_size_bytes: int = 16 * 1024 * 1024
    max_rows: int = 5000
    file_types: frozenset[str] = FILE_TYPES


@dataclass(frozen=True)
class Finding:
    """reasons: why it is kept back, empty if it may be released. rows, columns: of a table, the
    rows without their header."""

    reasons: tuple[str, ...] = ()
    rows: int | None = None
    columns: int | None = None

    @property
    def reason(self) -> str:
        return " ".join(self.reasons)


def outside(path: str, size_bytes: int, rules: Rules) -> Finding:
    """What can be told without reading: size and type."""
    if size_bytes > rules.max_size_bytes:
        return Finding((_too_big(size_bytes, rules.max_size_bytes),))
    suffix = PurePosixPath(path).suffix
    if suffix not in rules.file_types:
        return Finding(("Its type is not one of those that may be released.",))
    return Finding()


def inside(path: str, data: bytes, rules: Rules) -> Finding:
    """What its content tells, by type. data: all of it."""
    check = _CHECKS.get(PurePosixPath(path).suffix.lower())
    return check(data, rules) if check else Finding()


def _too_big(size_bytes: int, limit_bytes: int) -> str:
    megabyte = 1024 * 1024
    return (
        f"Its size of {size_bytes / megabyte:.1f}MB is above the limit of "
        f"{limit_bytes / megabyte:.1f}MB."
    )


def _table(data: bytes, rules: Rules) -> Finding:
    try:
        lines = [line for line in _decode(data).splitlines() if line.strip()]
    except UnicodeDecodeError:
        return Finding(("It could not be read as a table.",))
    # Lines, not records: one open quotation mark would make a whole table a single record.
    rows = max(len(lines) - 1, 0)
    reasons = []
    if any(_identifies(lines[:_LOOKED_AT], delimiter) for delimiter in DELIMITERS):
        reasons.append("It has a column that identifies patients.")
    if rows > rules.max_rows:
        reasons.append(f"Its {rows} rows are above the limit of {rules.max_rows}.")
    return Finding(tuple(reasons), rows, _width(lines[0]) if lines else 0)


_LOOKED_AT = 100_000


def _identifies(lines: Sequence[str], delimiter: str) -> bool:
    """Is a cell of some header an identifier?

    A header is the first line of each block of equal width, so titles, comments and other tables
    may precede it, while a data dictionary may list the name as a value further down.
    """
    width = 0
    for line, below in zip_longest(lines, lines[1:], fillvalue=""):
        cells = line.lstrip(_COMMENT).split(delimiter)
        is_header = len(cells) != width and (delimiter != " " or _is_row(below, len(cells)))
        if is_header and any(_is_identifier(cell) for cell in cells):
            return True
        width = len(cells)
    return False


def _is_row(line: str, width: int) -> bool:
    """Words are cells only where the line below has as many (or one more: R's row names)."""
    return len(line.split(" ")) in (width, width + 1)


_COMMENT = "#%/*- \ufeff"


def _width(header: str) -> int:
    try:
        return len(next(csv.reader([header])))
    except csv.Error:
        return 0


def _decode(data: bytes) -> str:
    """Text in any encoding that keeps ASCII as it is, or that says what it is by a mark.

    cp1252 is what old Windows programs write; it and Latin-1 read every byte, and the names we
    look for are ASCII. A NUL tells of UTF-16 without a mark, or of no text at all.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding)
    if b"\0" in data:
        raise UnicodeDecodeError("utf-8", b"\0", 0, 1, "a NUL")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def _is_identifier(cell: str) -> bool:
    return len(cell) < 64 and re.sub(r"[\W_]", "", cell).casefold() in IDENTIFIERS


Check = Callable[[bytes, Rules], Finding]
_CHECKS: dict[str, Check] = {".csv": _table}
