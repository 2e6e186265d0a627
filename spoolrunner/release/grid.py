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
from spoolrunner.release.prose import Prose

_COMMENT = "#%/*- \ufeff"


def check(stream: BinaryIO, findings: Findings) -> None:
    """Raises Unreadable."""
    prose = Prose(findings)
    rows, before = -1, ""
    findings.columns = 0
    for line, whole in reading.lines(stream):
        if not line.strip():
            prose.line(line)
            before = ""
            continue
        rows += 1
        if rows == 0:
            findings.columns = _width(line)
        if identifiers.CANDIDATE.search(identifiers.plain(line)):
            findings.identifies |= _begins_block(line, before)
        prose.line(line, whole=whole)
        before = line
    prose.close()
    findings.saw_rows(max(rows, 0))


def _begins_block(line: str, before: str) -> bool:
    """Is a cell of it an identifier, while the line before has another number of cells?"""
    line = identifiers.plain(line).lstrip(_COMMENT)
    for delimiter in tables.DELIMITERS:
        for cells in tables.readings(line, delimiter):
            widths = {len(cells) for cells in tables.readings(before, delimiter)} if before else {0}
            if len(cells) not in widths and any(map(identifiers.is_loosely, cells)):
                return True
    return False


def _width(header: str) -> int:
    try:
        return len(next(csv.reader([header])))
    except csv.Error:
        return 0
