"""What is wrong with a project.yaml: every finding, by whose rules, and where it stands.

Two programs say what a valid file is: job-runner 2.52.3 (versions 1 to 3) and today's OpenSAFELY.
A finding names those that refuse it, so that a file is refused only if none of them takes it.
Knows: document, errors.
"""

from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Flag

from spoolrunner.project.document import Document, Place

# Nobody reads more; a file of a million mistakes must not become a report of a gigabyte.
MOST_TOLD = 1_000
# difflib compares with every name: 20 times 2,500 names is a tenth of a second.
MOST_SUGGESTIONS = 20

Path = tuple[Hashable, ...]


class Rules(Flag):
    """Who refuses it."""

    OLD = 1  # job-runner 2.52.3, which knows versions 1 to 3
    TODAY = 2  # opensafely-core/pipeline 643ad18
    BOTH = OLD | TODAY


class Problem(str):
    """One public sentence that knows its place. line, column: from 1, or 0 for the whole file.

    action, key: what it is about, or "".
    """

    line: int = 0
    column: int = 0
    action: str = ""
    key: str = ""

    @classmethod
    def at(cls, filename: str, place: Place, text: str, action: str = "", key: str = "") -> "Problem":
        line, column = place
        where = f"{filename}, line {line}, column {column}" if line else filename
        problem = cls(f"{where}: {text}")
        problem.line, problem.column, problem.action, problem.key = line, column, action, key
        return problem


@dataclass(frozen=True)
class Finding:
    """path: keys from the top of the file. at_key: the key itself is meant, not its value.

    running: the file is taken, only this action can't be run.
    """

    rules: Rules
    path: Path
    text: str
    at_key: bool = False
    running: bool = False

    @property
    def action(self) -> str:
        return str(self.path[1]) if self.path[:1] == ("actions",) and len(self.path) > 1 else ""

    @property
    def key(self) -> str:
        depth = 2 if self.action else 0
        return str(self.path[depth]) if len(self.path) > depth else ""

    def problem(self, document: Document) -> Problem:
        place = document.place(self.path, self.at_key)
        return Problem.at(document.filename, place, self.text, self.action, self.key)


@dataclass
class Findings:
    """All findings of one file."""

    document: Document
    found: list[Finding] = field(default_factory=list)
    _suggestions_left: int = MOST_SUGGESTIONS

    def add(
        self, rules: Rules, path: Path, text: str, *, at_key: bool = False, running: bool = False
    ) -> None:
        self.found.append(Finding(rules, path, text, at_key, running))

    def suggestion(self, word: object, known: Iterable[object]) -> str:
        """ "Did you mean ...?" with a space before it, or ""."""
        if not isinstance(word, str) or len(word) > 128 or self._suggestions_left == 0:
            return ""
        self._suggestions_left -= 1
        close = get_close_matches(word, [name for name in known if isinstance(name, str)], n=1)
        return f" Did you mean {quoted(close[0])}?" if close else ""

    def refused_by(self, rules: Rules) -> bool:
        return any(rules in finding.rules and not finding.running for finding in self.found)

    def broken_by(self, rules: Rules) -> dict[str, Problem]:
        """Actions that can't be run by these rules, each with the first reason."""
        broken: dict[str, Problem] = {}
        for finding in self.found:
            if finding.running and rules in finding.rules:
                broken.setdefault(finding.action, finding.problem(self.document))
        return broken

    def told(self, wanted: Callable[[Finding], bool]) -> tuple[Problem, ...]:
        """The wanted findings as sentences, by place; the last says how many were left out."""
        problems = [finding.problem(self.document) for finding in self.found if wanted(finding)]
        problems.sort(key=lambda problem: (problem.line, problem.column))
        more = len(problems) - MOST_TOLD
        if more > 0:
            left_out = Problem.at(self.document.filename, (0, 0), f"{more} more problems.")
            problems[MOST_TOLD:] = [left_out]
        return tuple(problems)


def quoted(value: object) -> str:
    """A name as it stands in the file: on one line, and not longer than a line."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 100 else f"{text[:97]}...'"


def listed(values: Collection[object]) -> str:
    return ", ".join(quoted(value) for value in values)
