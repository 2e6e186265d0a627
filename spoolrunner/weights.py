"""Resource weights: how many workers a job counts for, by the ini file that job-runner reads.

    [cvd-study]             a workspace: patterns of its actions' names
    match_.* = 4
    [default]               of every workspace: patterns of whole run commands
    stata-mp:.* = 2

A pattern must match all of the name or command, the first that does wins, a workspace's own before
the defaults, and what none matches counts for one worker. Source: reference/opensafely.md 1.2;
unlike there, patterns keep their case: folded to lower case they never met an action like `Model`.
Pure. Knows: errors.
"""

import configparser
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from spoolrunner.errors import BadConfig

ONE = 1.0
BY_COMMAND = "default"

Rule = tuple[re.Pattern[str], float]


@dataclass(frozen=True)
class Weights:
    """actions: workspace -> its rules, in the order of the file. commands: rules of [default]."""

    actions: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    commands: tuple[Rule, ...] = ()

    def of(self, workspace: str, action: str, command: str) -> float:
        """In workers. command: as one text, the image first."""
        rules = self.actions.get(workspace, ())
        own = (weight for pattern, weight in rules if pattern.fullmatch(action))
        by_command = (weight for pattern, weight in self.commands if pattern.fullmatch(command))
        return next(own, next(by_command, ONE))

    def heavier_than(self, workers: int) -> Iterator[str]:
        """The patterns whose jobs could never run, as they stand in the file."""
        for rules in (*self.actions.values(), self.commands):
            yield from (pattern.pattern for pattern, weight in rules if weight > workers)


def read(text: str, name: str) -> Weights:
    """name: of the file, for messages. Raises BadConfig with all problems."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(text, name)
    except configparser.Error as error:
        raise BadConfig(list(_unreadable(error, name))) from error
    problems: list[str] = []
    if parser.defaults():
        # There it stood for the patterns of every other section, which nobody could mean.
        problems.append(f"{name}: [DEFAULT] is no workspace; [default] is for run commands.")
    rules = {
        section: tuple(_rules(parser[section], f"{name}, [{section}]", problems))
        for section in parser.sections()
    }
    if problems:
        raise BadConfig(problems)
    by_command = rules.pop(BY_COMMAND, ())
    return Weights(rules, by_command)


def _rules(section: Mapping[str, str], where: str, problems: list[str]) -> Iterator[Rule]:
    for pattern, given in section.items():
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            problems.append(f"{where}: {pattern!r} is no regular expression: {error}.")
            continue
        weight = _number(given)
        if weight is None:
            hint = r" (in a pattern write \x3d for =)" if "=" in given else ""
            said = f"{given!r} must be a number of workers, such as 2 or 0.5{hint}."
            problems.append(f"{where}: {pattern} = {said}")
            continue
        yield compiled, weight


def _number(given: str) -> float | None:
    try:
        weight = float(given)
    except ValueError:
        return None
    return weight if math.isfinite(weight) and weight >= 0 else None


def _unreadable(error: configparser.Error, name: str) -> Iterator[str]:
    """In our own words: the parser's tell the line's content twice, and some of them no line."""
    if isinstance(error, configparser.MissingSectionHeaderError):
        yield f"{name}, line {error.lineno}: stands before the first [WORKSPACE]."
    elif isinstance(error, configparser.ParsingError):
        for line, _ in error.errors:
            yield f"{name}, line {line}: is not of the form PATTERN = NUMBER."
    elif isinstance(error, configparser.DuplicateOptionError):
        yield f"{name}, line {error.lineno}: {error.option!r} stands twice in [{error.section}]."
    elif isinstance(error, configparser.DuplicateSectionError):
        yield f"{name}, line {error.lineno}: [{error.section}] stands twice."
    else:
        yield f"{name} can't be read: {type(error).__name__}."
