"""What is wrong with a project.yaml: every finding, by whose rules, and where it stands.

Two programs say what a valid file is: job-runner 2.52.3 (versions 1 to 3) and today's OpenSAFELY.
A finding names those that refuse it, so that a file is refused only if none of them takes it.
Knows: document, problem.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Flag

from spoolrunner.project.document import Document
from spoolrunner.project.problem import Place, Problem, quoted

# Nobody reads more; a file of a million mistakes must not become a report of a gigabyte.
MOST_TOLD = 1_000
# difflib takes a tenth of a millisecond for two names.
MOST_COMPARISONS = 5_000

Path = tuple[Hashable, ...]


class Rules(Flag):
    """Who refuses it; NONE: it is only a remark."""

    NONE = 0
    OLD = 1  # job-runner 2.52.3, which knows versions 1 to 3
    TODAY = 2  # opensafely-core/pipeline 643ad18
    BOTH = OLD | TODAY


@dataclass(frozen=True)
class Finding:
    """path: keys from the top of the file. at_key: the key itself is meant, not its value.

    running: the file is taken, only this action can't be run. place: where no path leads to it.
    """

    rules: Rules
    path: Path
    text: str
    at_key: bool = False
    running: bool = False
    place: Place | None = None

    @property
    def action(self) -> str:
        return str(self.path[1]) if self.path[:1] == ("actions",) and len(self.path) > 1 else ""

    @property
    def key(self) -> str:
        depth = 2 if self.action else 0
        return str(self.path[depth]) if len(self.path) > depth else ""

    def problem(self, document: Document, remark: str = "") -> Problem:
        place = self.place or document.place(self.path, self.at_key)
        return Problem.at(document.filename, place, self.text + remark, self.action, self.key)


@dataclass
class Findings:
    """All findings of one file, of which the first MOST_TOLD are kept."""

    document: Document
    found: list[Finding] = field(default_factory=list)
    left_out: int = 0
    _refusing: Rules = Rules.NONE
    _comparisons_left: int = MOST_COMPARISONS

    def add(
        self,
        rules: Rules,
        path: Path,
        text: str,
        *,
        at_key: bool = False,
        running: bool = False,
        place: Place | None = None,
    ) -> None:
        if not running:
            self._refusing |= rules
        if running or len(self.found) < MOST_TOLD:
            self.found.append(Finding(rules, path, text, at_key, running, place))
        else:
            self.left_out += 1

    def suggestion(self, word: object, known: Iterable[object]) -> str:
        """ "Did you mean ...?" with a space before it, or ""."""
        if not isinstance(word, str) or self._comparisons_left <= 0:
            return ""
        like = [n for n in known if isinstance(n, str) and abs(len(n) - len(word)) < 3]
        self._comparisons_left -= len(like) * (1 + len(word) // 40)
        close = get_close_matches(word, like, n=1) if self._comparisons_left > 0 else []
        return f" Did you mean {quoted(close[0])}?" if close else ""

    def refused_by(self, rules: Rules) -> bool:
        return rules in self._refusing

    def broken_by(self, rules: Rules) -> dict[str, Problem]:
        """Actions that can't be run by these rules, each with the first reason."""
        broken: dict[str, Problem] = {}
        for finding in self.found:
            if finding.running and rules in finding.rules:
                broken.setdefault(finding.action, finding.problem(self.document))
        return broken

    def told(self, remark: Callable[[Finding], str | None]) -> tuple[Problem, ...]:
        """Findings as sentences, by place; the last says how many were left out.

        remark: what is said after a finding, or None if it is not told.
        """
        remarks = [(finding, remark(finding)) for finding in self.found]
        problems = [one.problem(self.document, said) for one, said in remarks if said is not None]
        problems.sort(key=lambda problem: (problem.line, problem.column))
        if self.left_out:
            text = f"{self.left_out} more things were found."
            problems.append(Problem.at(self.document.filename, (0, 0), text))
        return tuple(problems)
