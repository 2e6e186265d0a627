"""One public sentence about a project.yaml, and where it stands.

Made of our own words and of names that stand in the file; what a parser said goes to `detail`.
Knows: errors.
"""

from collections.abc import Iterable
from itertools import islice

from spoolrunner.errors import BadProject

MOST_LISTED = 12

Place = tuple[int, int]
"""Line and column, from 1; (0, 0): the whole file."""


class Problem(str):
    """line, column: see Place. action, key: what it is about, or "". text: without the place."""

    text: str = ""
    line: int = 0
    column: int = 0
    action: str = ""
    key: str = ""

    @classmethod
    def at(
        cls, filename: str, place: Place, text: str, action: str = "", key: str = ""
    ) -> "Problem":
        line, column = place
        where = f"{filename}, line {line}, column {column}" if line else filename
        problem = cls(f"{where}: {text}")
        problem.text = text
        problem.line, problem.column, problem.action, problem.key = line, column, action, key
        return problem


def bad(filename: str, place: Place, text: str, detail: str = "") -> BadProject:
    """The error for what leaves nothing else to look at."""
    return BadProject([Problem.at(filename, place, text)], detail=detail)


def quoted(value: object) -> str:
    """A name as it stands in the file: on one line, and not longer than a line."""
    text = value[:101] if isinstance(value, str) else str(value)[:101]
    text = repr(text) if isinstance(value, str) else text
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= 100 else f"{text[:96]}...'"


def listed(values: Iterable[object]) -> str:
    """The names, with commas; of many the first."""
    names = [quoted(value) for value in islice(values, MOST_LISTED + 1)]
    if len(names) > MOST_LISTED:
        names[MOST_LISTED:] = ["..."]
    return ", ".join(names)
