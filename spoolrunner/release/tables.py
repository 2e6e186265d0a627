"""Tables: found in lines of text, whatever separates their cells, among whatever else.

A table is a line with an identifier as one of its cells, and below it a line with a value in the
same place: by count where something separates the cells, by position or count where only spaces do.
So code, prose and lists of names are no tables, and a table may stand anywhere.
Knows: identifiers.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from spoolrunner.release import identifiers
from spoolrunner.release.identifiers import CANDIDATE, is_identifier, is_number, is_value

DELIMITERS = "\t,;|&"
_WORD = re.compile(r"\S+")
# Between a header and its rows: lines drawn, types of columns, nothing at all.
_DRAWN = re.compile(
    r"[\s|+=:_.~─-╿-]*|\s*\\(?:hline|(?:top|mid|bottom)rule|cline\{[\d-]*\})\s*"
    r"|(?:[\s|]*(?:<\w+(?:\s*\[\w+\])?>|[iuf]\d+|str|date|bool|cat|---|double|int|chr|dbl))+[\s|]*"
)
_MOST_DRAWN = 4
_MOST_OPEN = 8
_MARKDOWN = re.compile(r"\s*\|?(?:\s*:?-{2,}:?\s*\|)+(?:\s*:?-{2,}:?\s*)?")


@dataclass(frozen=True)
class Header:
    """A line that may be the header of a table. delimiter: "" if only spaces are between cells.

    start, end: where in the line the identifier's cell stands. named: no cell is a number.
    """

    delimiter: str
    column: int
    width: int
    start: int
    end: int
    named: bool

    def has_value(self, line: str) -> bool:
        """Does this line have a value in the identifier's column?"""
        if self.delimiter:
            return any(self._is_row(cells) for cells in readings(line, self.delimiter))
        words = list(_WORD.finditer(line))
        texts = [word[0] for word in words]
        if self.width > 1 and self._is_row(texts) and len(texts) <= self.width + 1:
            return True
        below = [word[0] for word in words if word.start() < self.end and word.end() > self.start]
        return len(words) >= self.width and bool(below) and all(map(is_value, below))

    def _is_row(self, cells: Sequence[str]) -> bool:
        """One cell more: R puts names of rows before them, without a header."""
        places = [self.column] if len(cells) == self.width else [self.column, self.column + 1]
        return len(cells) >= self.width and any(
            is_value(cells[place]) for place in places if place < len(cells)
        )

    def is_like(self, line: str) -> bool:
        """Has it the shape of a row, with numbers, if the identifiers are words?"""
        if not self.delimiter or not self.named:
            return False
        cells = line.split(self.delimiter)
        return (
            len(cells) == self.width
            and bool(cells[self.column].strip())
            and any(is_number(cell) for cell in cells)
        )

    def suffices(self, line: str) -> bool:
        """Is one row like this enough, where only spaces are between its cells?"""
        words = _WORD.findall(line)
        return self.width > 1 and sum(map(is_number, words)) * 2 > len(words)


def headers(line: str) -> list[Header]:
    """line: plain. All ways in which it may be a header."""
    found = [header for delimiter in DELIMITERS for header in _delimited(line, delimiter)]
    return found + _spaced(line)


def _delimited(line: str, delimiter: str) -> list[Header]:
    if delimiter not in line:
        return []
    for cells in readings(line, delimiter):
        named = not any(is_number(cell) for cell in cells)
        found = [
            Header(delimiter, column, len(cells), 0, 0, named)
            for column, cell in enumerate(cells)
            if is_identifier(cell) or (column == 0 and _ends_with_it(cell))
        ]
        if found:
            return found
    return []


def _ends_with_it(cell: str) -> bool:
    """What a logger or a title puts before the first cell."""
    return len(cell) < 200 and is_identifier(re.split(r"[:>\]]\s*|- ", cell)[-1])


def _spaced(line: str) -> list[Header]:
    words = list(_WORD.finditer(line))
    # [1] "patient_id" "age" is how R shows a list of names
    if not words or re.fullmatch(r"\[\d+\]", words[0][0]):
        return []
    return [
        Header("", column, len(words), word.start(), word.end(), named=False)
        for column, word in enumerate(words)
        if is_identifier(word[0])
    ]


def readings(line: str, delimiter: str) -> list[list[str]]:
    """The cells of a line, without and with regard to quotation marks."""
    plainly = line.split(delimiter)
    if '"' not in line:
        return [plainly]
    try:
        return [plainly, next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:
        return [plainly]


def is_drawn(line: str) -> bool:
    return len(line) < 2000 and bool(_DRAWN.fullmatch(line))


@dataclass(frozen=True)
class Open:
    """A header that waits for its rows. number: of its line. rows: seen so far."""

    header: Header
    number: int
    rows: int = 0


class Tables:
    """Reads lines one by one and tells when one belongs to a table that identifies patients.

    number: of lines read. named: of lines that may name an identifier.
    """

    def __init__(self) -> None:
        self.found = False
        self.number = self.named = 0
        self._records = identifiers.Records()
        self._open: list[Open] = []
        self._drawn = 0

    @property
    def is_open(self) -> bool:
        """Does what was read end with what may be a header?"""
        return bool(self._open)

    @property
    def oldest(self) -> int:
        """The number of the first line that may yet prove to be a header."""
        return min((each.number for each in self._open), default=self.number + 1)

    def reset(self) -> None:
        """What comes now stands elsewhere than what came before."""
        self._open = []

    def line(self, text: str, *, whole: bool = True) -> Open | None:
        """The header whose row this line is, if it is a row. whole: false for a piece of a line
        that is too long to be looked at. `found` also tells of what is no table."""
        self.number += 1
        line = identifiers.plain(text)
        row_of = self._row_of(line) if self._open else None
        if CANDIDATE.search(line):
            self.named += 1
            new = [Open(header, self.number) for header in headers(line)]
            self._open = [*new, *self._open][:_MOST_OPEN]
            self._drawn = 0
            if self._records.found(line) or (new and not whole):
                self.found = True
        self.found = self.found or row_of is not None
        return row_of

    def _row_of(self, line: str) -> Open | None:
        if is_drawn(line):
            return self._drawn_below(line)
        still = []
        for each in self._open:
            if each.header.has_value(line):
                if each.header.delimiter or each.rows or each.header.suffices(line):
                    return each
            elif not each.header.is_like(line):
                continue
            elif each.rows:
                return each
            still.append(replace(each, rows=each.rows + 1))
        self._open = still
        return None

    def _drawn_below(self, line: str) -> Open | None:
        """A line as Markdown draws it is enough to make the line above it a header."""
        self._drawn += 1
        if self._drawn > _MOST_DRAWN:
            self._open = []
        if self._drawn == 1 and _MARKDOWN.fullmatch(line):
            width = len(line.strip().strip("|").split("|"))
            for each in self._open:
                fits = each.header.width in (width, width + 1, width + 2)
                if each.header.delimiter == "|" and not each.rows and fits:
                    return each
        return None


class Rows:
    """The longest run of lines that are rows of one table: the same cells, one of them a number."""

    def __init__(self) -> None:
        self.most = 0
        self._runs = dict.fromkeys(DELIMITERS, (0, 0))
        self._number = {
            each: re.compile(
                rf'(?:^|{re.escape(each)})["\s]*[-+]?\d[\d.,]*["\s]*(?={re.escape(each)}|$)'
            )
            for each in DELIMITERS
        }

    def line(self, line: str) -> None:
        for delimiter in DELIMITERS:
            cells = line.count(delimiter)
            width, run = self._runs[delimiter]
            if not cells or not self._number[delimiter].search(line.rstrip()):
                self._runs[delimiter] = (0, 0)
                continue
            run = run + 1 if cells == width else 1
            self._runs[delimiter] = (cells, run)
            self.most = max(self.most, run)
