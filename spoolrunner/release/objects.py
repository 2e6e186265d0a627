"""Objects: JSON, token by token, whatever its size; several documents one after the other, too.

An identifier as a key counts wherever it stands, with escaped letters too; as a value it is a word,
unless it heads columns: in a list of lists, or in a list beside one. Strings of several lines, and
lists of strings that may be lines, are read as text. What is not JSON is kept back: nobody could
tell what is in it.
Format: RFC 8259, and NaN and Infinity, which Python and R write.
Knows: prose, tables, identifiers, reading.
"""

import json
import re
from collections.abc import Iterator
from typing import BinaryIO

from spoolrunner.release import identifiers, reading
from spoolrunner.release.findings import Findings
from spoolrunner.release.identifiers import CANDIDATE
from spoolrunner.release.prose import Prose
from spoolrunner.release.reading import Unreadable
from spoolrunner.release.tables import DELIMITERS

_TOKEN = re.compile(r'("(?:[^"\\\0-\x1f]|\\.)*+")\s*+(:?)|[{}\[\]]|[-+.\w\s,]++')
_TELLING = re.compile(f"{CANDIDATE.pattern}|<t", re.IGNORECASE)
_LINE = re.compile(rf"[{re.escape(DELIMITERS)}]|\n$")
MOST_DEPTH = 500
MOST_LINES = 50


class _Reader:
    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._prose = Prose(findings)
        self._open: list[str] = []  # the brackets around what is read now
        self._members = [0]  # how many objects and lists each of them holds
        self._is_headed = self._has_lists = self._is_empty = False
        self._seen = False
        self._lines: list[str] = []  # strings of a list, from one that may be a header

    def token(self, found: re.Match[str]) -> None:
        said = found[0]
        if found[1]:
            self._string(found[1], is_key=bool(found[2]))
        elif said in "{[":
            self._begin(said)
        elif said in "}]":
            self._end(said)
        self._seen = self._seen or not said.isspace()

    def _begin(self, bracket: str) -> None:
        inside = self._open[-1] if self._open else "["
        if inside == "[":
            self._members[-1] += 1
            self._findings.saw_rows(self._members[-1])
            self._has_lists |= bracket == "[" and bool(self._open)
        self._open.append(bracket)
        self._members.append(0)
        if len(self._open) > MOST_DEPTH:
            raise Unreadable

    def _end(self, bracket: str) -> None:
        if not self._open or self._open.pop() + bracket not in ("{}", "[]"):
            raise Unreadable
        self._members.pop()
        if self._lines:
            self._prose.text("\n".join(line.rstrip("\n") for line in self._lines))
            self._lines = []

    def _string(self, raw: str, *, is_key: bool) -> None:
        if self._lines and len(self._lines) < MOST_LINES:
            self._lines.append(_decoded(raw))
        if "\\" not in raw and not _TELLING.search(raw):
            return
        text = _decoded(raw) if "\\" in raw else raw[1:-1]
        if identifiers.is_loosely(text):
            self._findings.identifies |= is_key or self._open[-2:] == ["[", "["]
            self._is_headed |= self._open[-1:] == ["["]
        elif "\n" in text.rstrip() or "<t" in text or "\r" in text or text.lstrip()[:1] in "[{":
            self._prose.text(text)
        elif self._open[-1:] == ["["] and _LINE.search(text):
            self._lines.append(text)

    def close(self) -> None:
        if self._open or not self._seen:
            raise Unreadable
        self._prose.close()
        self._findings.identifies |= self._is_headed and self._has_lists


def _decoded(raw: str) -> str:
    try:
        return str(json.loads(raw))
    except ValueError as error:
        raise Unreadable from error


def _tokens(stream: BinaryIO) -> Iterator[re.Match[str]]:
    """Raises Unreadable where there is none. One that is not finished waits for twice as much."""
    waiting: list[str] = []
    letters = next_try = 0
    for piece in reading.text(stream):
        waiting.append(piece)
        letters += len(piece)
        if letters < next_try:
            continue
        text = "".join(waiting)
        at = 0
        while (found := _TOKEN.match(text, at)) and found.end() < len(text):
            yield found
            at = found.end()
        waiting, letters = [text[at:]], len(text) - at
        next_try = 2 * letters if at == 0 else 0
    yield from _last("".join(waiting))


def _last(text: str) -> Iterator[re.Match[str]]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise Unreadable
        yield found
        at = found.end()


def check(stream: BinaryIO, findings: Findings) -> None:
    """A .json. Raises Unreadable."""
    reader = _Reader(findings)
    for token in _tokens(stream):
        reader.token(token)
        if findings.suffice:
            return
    reader.close()
