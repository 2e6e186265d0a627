"""Prose: text that is read line by line, with whatever else may stand in it.

A table in it is looked for by tables.py; where the first tag of an HTML table comes, what follows
is read as markup too (Markdown may hold any HTML, and so may a string of JSON).
Knows: tables, markup, identifiers, reading.
"""

import re
from typing import BinaryIO

from spoolrunner.release import reading
from spoolrunner.release.findings import Findings
from spoolrunner.release.markup import Markup
from spoolrunner.release.tables import Rows, Tables

_TAG = re.compile(r"<(?:table|tr|th|td)\b", re.IGNORECASE)


class Prose:
    """findings: where to tell. rows: count those of tables, too."""

    def __init__(self, findings: Findings, *, rows: bool = False) -> None:
        self._findings = findings
        self._tables = Tables()
        self._rows = Rows() if rows else None
        self._markup: Markup | None = None

    def line(self, text: str, *, whole: bool = True) -> None:
        self._tables.line(text, whole=whole)
        if self._rows:
            self._rows.line(text)
        if self._markup is None and _TAG.search(text):
            self._markup = Markup(self._findings, strict=False)
        if self._markup:
            self._markup.feed(f"{text}\n")

    def text(self, text: str) -> None:
        """Something of its own that stands in a larger whole."""
        self._tables.reset()
        for line in text.splitlines():
            self.line(line)
        self._tables.reset()

    def close(self) -> None:
        if self._markup:
            self._markup.close()
        self._findings.identifies |= self._tables.found
        if self._rows:
            self._findings.saw_rows(self._rows.most)


def check(stream: BinaryIO, findings: Findings, *, rows: bool) -> None:
    """A .txt, .md or .log. Raises Unreadable."""
    prose = Prose(findings, rows=rows)
    for line, whole in reading.lines(stream):
        prose.line(line, whole=whole)
    prose.close()
