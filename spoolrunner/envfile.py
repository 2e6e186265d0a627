"""An env file: lines of NAME=value, as dotenv and the shell write them.

`export` before a name, quotes, comments and quoted values of several lines are understood; `$` is
not expanded, because passwords hold dollar signs. Own pattern rather than python-dotenv: that is
one more package to carry into a sealed server, and 20 ms of every start.
Pure. Knows nothing of the package.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_BLANK = re.compile(r"(?:[ \t]*(?:\#[^\n]*)?\n)*[ \t]*(?:\#[^\n]*\Z)?")
_ASSIGNMENT = re.compile(
    r"""(?:export\s+)? (?P<name>[A-Za-z_][A-Za-z0-9_]*) [ \t]*=[ \t]*
    (?: '(?P<single>[^']*)' | "(?P<double>(?:[^"\\]|\\.)*)" | (?P<bare>[^\n'"][^\n]*?)?? )
    [ \t]* (?:(?<=\s)\#[^\n]*)? (?:\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t"}


class Line(NamedTuple):
    """number: from 1. name: "" if the line is no assignment; it isn't kept, it may be a secret."""

    number: int
    name: str
    value: str


def parse(text: str) -> Iterator[Line]:
    at = 0
    while (at := _after_blank(text, at)) < len(text):
        number = text.count("\n", 0, at) + 1
        if found := _ASSIGNMENT.match(text, at):
            yield Line(number, found["name"], _value(found))
            at = found.end()
        else:
            yield Line(number, "", "")
            at = text.find("\n", at) + 1 or len(text)


def _after_blank(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _value(found: re.Match[str]) -> str:
    if found["double"] is not None:
        return _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), found["double"])
    return found["single"] or found["bare"] or ""
