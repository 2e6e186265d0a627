"""The grid: a .csv, which is one table from its first line to its last.

So a header counts even without rows below it: every line whose number of cells differs from the
line before begins a block, and titles, comments or other tables may precede it; while a data
dictionary may list the name as a value further down. Rows are lines, not records: one open
quotation mark would make a whole table a single record.
Knows: tables, prose, identifiers, reading.
"""

import csv
from typing import BinaryIO

from spoolrunner.release import identifiers, reading, tables
from spoolrunner.release.findings import Findings
from spoolrunner.release.identifiers import CANDIDATE
from spoolrunner.release.prose import Prose

_RARE = "~^"
_COMMENT = "#%/*- \ufeff"


def check(stream: BinaryIO, findings: Findings) -> None:
    """Raises Unreadable."""
    prose = Prose(findings)
    before = ""
    count = 0
    for text, whole in reading.blocks(stream):
        lines = [line for line in text.splitlines() if line.strip()]
        if not count and lines:
            findings.columns = _width(lines[0])
        count += len(lines)
        if not findings.suffice:
            if CANDIDATE.search(identifiers.plain(text)):
                findings.identifies |= _has_header(text, before)
            prose.block(text, whole=whole)
            findings.saw_rows(count - 1)
        before = text.splitlines()[-1]
    prose.close()
    findings.columns = findings.columns or 0
    findings.saw_rows(max(count - 1, 0))


def _has_header(text: str, before: str) -> bool:
    for line in text.splitlines():
        if CANDIDATE.search(identifiers.plain(line)) and _begins_block(line, before):
            return True
        before = line
    return False


def _begins_block(line: str, before: str) -> bool:
    """Is a cell of it an identifier, while the line before has another number of cells?"""
    line = identifiers.plain(line).lstrip(_COMMENT)
    before = identifiers.plain(before).lstrip(_COMMENT)
    for delimiter in (*tables.DELIMITERS, *_RARE):
        for cells in tables.readings(line, delimiter):
            widths = (
                {len(cells) for cells in tables.readings(before, delimiter)}
                if before.strip()
                else {0}
            )
            if len(cells) not in widths and any(map(identifiers.is_loosely, cells)):
                return True
    return False


def _width(header: str) -> int:
    try:
        return len(next(csv.reader([header])))
    except csv.Error:
        return 0
