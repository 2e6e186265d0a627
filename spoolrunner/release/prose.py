"""Prose: text that is read line by line, with whatever else may stand in it.

A table in it is looked for by tables.py; where the first tag of an HTML table comes, what follows
is read as markup too (Markdown may hold any HTML, and so may a string of JSON).
Knows: tables, markup, identifiers, reading.
"""

import re
from typing import BinaryIO

from spoolrunner.release import identifiers, reading
from spoolrunner.release.findings import Findings
from spoolrunner.release.identifiers import CANDIDATE
from spoolrunner.release.markup import Markup
from spoolrunner.release.tables import Rows, Tables

_TAG = re.compile(r"<(?:table|tr|th|td)\b", re.IGNORECASE)
# Lines that name the identifier. Nobody needs more, and to look at each closely takes its time.
MOST_NAMED = 50_000


class Prose:
    """findings: where to tell. rows: count those of tables, too."""

    def __init__(self, findings: Findings, *, rows: bool = False) -> None:
        self._findings = findings
        self._tables = Tables()
        self._rows = Rows() if rows else None
        self._markup: Markup | None = None

    def block(self, text: str, *, whole: bool = True) -> None:
        """Some lines. whole: false for a piece of one."""
        if self._rows and self._rows.most <= self._findings.rules.max_rows:
            for line in text.splitlines():
                self._rows.line(line)
            self._findings.saw_rows(self._rows.most)
        if self._markup is None and _TAG.search(text):
            self._markup = Markup(self._findings, strict=False)
        if self._markup:
            self._markup.feed(text)
        if self._tables.is_open or CANDIDATE.search(identifiers.plain(text)):
            for line in text.splitlines():
                self._tables.line(line, whole=whole)
                if self._tables.found or self._tables.named > MOST_NAMED:
                    self._findings.identifies = True
                    return

    def text(self, text: str) -> None:
        """Something of its own that stands in a larger whole."""
        self._tables.reset()
        self.block(f"{text}\n")
        self._tables.reset()

    def close(self) -> None:
        if self._markup:
            self._markup.close()


def check(stream: BinaryIO, findings: Findings, *, rows: bool) -> None:
    """A .txt, .md or .log. Raises Unreadable."""
    prose = Prose(findings, rows=rows)
    for text, whole in reading.blocks(stream):
        prose.block(text, whole=whole)
        if findings.suffice:
            break
    prose.close()
