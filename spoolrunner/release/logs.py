"""Logs: what a job said, for medium privacy, with tables of patients cut out of it.

A log is never withheld whole: reviewers need it most where something went wrong. What looks like
the rest of a table that was found goes with it, also further down.
Knows: tables, identifiers.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator

from spoolrunner.release import identifiers
from spoolrunner.release.tables import Header, Tables, is_drawn, readings

MOST_LINE_BYTES = 1 << 20
_CANDIDATE = re.compile(identifiers.CANDIDATE.pattern.encode(), re.IGNORECASE)
_TABULAR = re.compile(r"[\s\d|+\[-]")  # how lines of a table begin where nothing separates cells


def notice(lines: int) -> bytes:
    """What stands in the place of what was cut."""
    said = "1 line was" if lines == 1 else f"{lines} lines were"
    return (
        f"[spoolrunner: {said} cut out here: they identify patients; "
        "the whole log is at high privacy]\n"
    ).encode()


def without_tables(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same log without them. Holds back a few lines at a time, whatever its length."""
    cutter = _Cutter()
    pending = b""
    for piece in pieces:
        data = pending + piece
        end = data.rfind(b"\n") + 1
        if not end and len(data) > MOST_LINE_BYTES:
            end = len(data)
        now, pending = data[:end], data[end:]
        if cutter.is_idle and now.isascii() and not _CANDIDATE.search(now):
            yield now
        else:
            for line in now.splitlines(keepends=True):
                yield from cutter.line(line)
    for line in pending.splitlines(keepends=True):
        yield from cutter.line(line)
    yield from cutter.close()


class _Cutter:
    def __init__(self) -> None:
        self._tables = Tables()
        self._held: deque[tuple[int, bytes]] = deque()  # lines that may be a header, numbered
        self._known: list[Header] = []  # of the tables that were found
        self._within: Header | None = None
        self._cut = 0

    @property
    def is_idle(self) -> bool:
        return not (self._held or self._known or self._cut)

    def line(self, line: bytes) -> Iterator[bytes]:
        text = identifiers.plain(_decoded(line)).rstrip("\r\n")
        if self._within and _continues(self._within, text):
            self._cut += 1
            return
        self._within = next((header for header in self._known if _is_row(header, text)), None)
        if self._within:
            self._cut += 1
            return
        yield from self._look(text, line)

    def _look(self, text: str, line: bytes) -> Iterator[bytes]:
        self._tables.found = False
        row_of = self._tables.line(text, whole=len(line) < MOST_LINE_BYTES)
        self._held.append((self._tables.number, line))
        if row_of:
            yield from self._let_go(before=row_of.number)
            self._within = row_of.header
            if row_of.header.delimiter:
                self._known.append(row_of.header)
        if row_of or self._tables.found:
            self._tables.reset()
            yield from () if row_of else self._let_go(before=self._tables.number)
            self._cut += len(self._held)
            self._held.clear()
        else:
            yield from self._let_go(before=self._tables.oldest)

    def _let_go(self, before: int) -> Iterator[bytes]:
        while self._held and self._held[0][0] < before:
            yield from self._told()
            yield self._held.popleft()[1]

    def _told(self) -> Iterator[bytes]:
        if self._cut:
            yield notice(self._cut)
            self._cut = 0

    def close(self) -> Iterator[bytes]:
        yield from self._let_go(before=self._tables.number + 1)
        yield from self._told()


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _is_row(header: Header, text: str) -> bool:
    """Is it surely one, also far below: the same cells, a value among them in its place?"""
    same = any(len(cells) == header.width for cells in readings(text, header.delimiter))
    return same and header.has_value(text)


def _continues(header: Header, text: str) -> bool:
    if not text.strip():
        return False
    if is_drawn(text) or header.has_value(text):
        return True
    if not header.delimiter:
        return bool(_TABULAR.match(text))
    return any(len(cells) == header.width for cells in readings(text, header.delimiter))
