"""The whole file: version, expectations, and what the actions must be to each other.

Rules: reference/opensafely.md 2.1, 2.2 and 2.6.
Knows: action, findings, problem, request.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from spoolrunner.project.action import Action, Entry
from spoolrunner.project.command import image_of
from spoolrunner.project.findings import Findings, Rules
from spoolrunner.project.problem import listed, quoted
from spoolrunner.request import ACTION_NAME, ERROR_ACTION, RUN_ALL

KEYS = ("version", "expectations", "actions")
LATEST = 5
# Each is one more walk through the graph, and the first few show what is wrong.
MOST_CYCLES = 10


@dataclass(frozen=True)
class Top:
    """What a file says, as far as it could be read."""

    version: float
    population: int
    actions: Mapping[str, Action]


def check(findings: Findings) -> Top:
    """Looks at everything, so that all problems are told at once."""
    value = findings.document.value
    for again in findings.document.repeated:
        said = f"{quoted(again.key)} stands here again (first in line {again.first}). Keep one."
        findings.add(Rules.BOTH, (), said, place=again.place)
    if not isinstance(value, dict):
        findings.add(
            Rules.BOTH, (), "A project has `version` and `actions`; this file has neither."
        )
        return Top(1.0, 1000, {})
    for key in value:
        if key not in KEYS:
            hint = findings.suggestion(key, KEYS) or f" Known are {listed(KEYS)}."
            findings.add(Rules.TODAY, (key,), f"{quoted(key)} is not known.{hint}", at_key=True)
    version = _version(value, findings)
    population = _population(value, version, findings)
    return Top(version, population, _actions(value, version, findings))


def _version(top: dict[Any, Any], findings: Findings) -> float:
    """1.0, where the fewest rules hold, if it can't be read."""
    given = top.get("version")
    if given is None:
        findings.add(
            Rules.BOTH, ("version",), f"`version` is missing. Write version: '{LATEST}.0'."
        )
        return 1.0
    try:
        version = float(given)
    except (TypeError, ValueError, OverflowError):
        said = f"`version` must be a number from 1 to {LATEST}, not {quoted(given)}."
        findings.add(Rules.BOTH, ("version",), said)
        return 1.0
    if version > LATEST:
        said = f"`version` {quoted(given)} is not known. The latest is {LATEST}."
        findings.add(Rules.BOTH, ("version",), said)
    elif 1 < version < 2:
        said = f"`version` {quoted(given)} is not known to job-runner 2.52.3. Write 1 or 2."
        findings.add(Rules.OLD, ("version",), said)
    elif version < LATEST:
        said = f"`version` {quoted(given)} is old. Newest is {LATEST}."
        findings.add(Rules.NONE, ("version",), said)
    return version


def _population(top: dict[Any, Any], version: float, findings: Findings) -> int:
    """The size of cohortextractor's dummy data; only version 3 may, and must, say it."""
    given = top.get("expectations")
    if version >= 4:
        if given is not None:
            said = "`expectations` is for cohortextractor, which version 4 has no more. Remove it."
            findings.add(Rules.TODAY, ("expectations",), said, at_key=True)
        return 1000
    if not version >= 3:
        return 1000
    rules = Rules.BOTH if version == 3 else Rules.OLD
    if not isinstance(given, dict) or "population_size" not in given:
        said = "`expectations` must have `population_size`, such as 1000. Add it."
        findings.add(rules, ("expectations",), said)
        return 1000
    for key in given.keys() - {"population_size"} if version == 3 else ():
        path = ("expectations", key)
        findings.add(Rules.TODAY, path, f"{quoted(key)} is not known. Remove it.", at_key=True)
    try:
        return int(given["population_size"])
    except (TypeError, ValueError, OverflowError):
        said = "`population_size` must be a whole number, such as 1000."
        findings.add(rules, ("expectations", "population_size"), said)
        return 1000


def _actions(top: dict[Any, Any], version: float, findings: Findings) -> dict[str, Action]:
    entries = top.get("actions")
    if not isinstance(entries, dict):
        findings.add(Rules.BOTH, ("actions",), "`actions` must have the names of actions below it.")
        return {}
    actions: dict[Any, Action] = {}
    for key, value in entries.items():
        action = Entry(key, version, findings).read(value, entries)
        if action is not None:
            actions[key] = action
    _names(entries, version, findings)
    _commands(entries, actions, findings)
    if version >= 2:
        _outputs(entries, findings)
    _cycles(actions, findings)
    return {action.name: action for key, action in actions.items() if key != RUN_ALL}


def _names(entries: dict[Any, Any], version: float, findings: Findings) -> None:
    """Names become names of files, containers and reports, which is why we are strict."""
    seen: dict[str, Any] = {}
    for key in entries:
        path, name = ("actions", key), str(key)
        if key == RUN_ALL:
            said = "`run_all` means all actions; one of that name is never run. Rename it."
            findings.add(Rules.TODAY if version >= 5 else Rules.NONE, path, said, at_key=True)
        elif key is None or isinstance(key, bool) or not ACTION_NAME.fullmatch(name):
            said = f"{quoted(key)} can't name an action. Use up to 128 letters, digits, - and _."
            findings.add(Rules.BOTH, path, said, at_key=True)
        elif name == ERROR_ACTION:
            findings.add(Rules.BOTH, path, f"`{ERROR_ACTION}` is ours. Rename it.", at_key=True)
        if name.lower() in seen:
            said = (
                f"{quoted(key)} and {quoted(seen[name.lower()])} differ only in case. Rename one."
            )
            findings.add(Rules.BOTH, path, said, at_key=True)
        seen[name.lower()] = key


def _commands(entries: dict[Any, Any], actions: dict[Any, Action], findings: Findings) -> None:
    """The same command twice: today's parser compares the text, 2.52.3 all but the version."""
    by_text: dict[str, Any] = {}
    by_words: dict[tuple[str, ...], Any] = {}
    for key, action in actions.items():
        if not action.run:
            continue
        text, words = entries[key]["run"], (image_of(action.run)[0], *action.run[1:])
        rules = Rules.NONE
        rules |= Rules.OLD if words in by_words else rules
        rules |= Rules.TODAY if text in by_text else rules
        if rules:
            said = f"`run` is the same as of {quoted(by_words[words])}. Change or remove one."
            path = ("actions", key, "run")
            findings.add(rules, path, f"action {quoted(key)}: {said}")
        by_text.setdefault(text, key)
        by_words.setdefault(words, key)


def _outputs(entries: dict[Any, Any], findings: Findings) -> None:
    seen: dict[str, Any] = {}
    for path, pattern in _patterns(entries):
        if pattern in seen:
            said = f"output {quoted(pattern)} is one of {quoted(seen[pattern])} already. Rename it."
            findings.add(Rules.BOTH, path, f"action {quoted(path[1])}: {said}")
        seen.setdefault(pattern, path[1])


def _patterns(entries: dict[Any, Any]) -> Any:
    for key, entry in entries.items():
        outputs = entry.get("outputs") if isinstance(entry, dict) else None
        for level, files in outputs.items() if isinstance(outputs, dict) else ():
            for label, pattern in files.items() if isinstance(files, dict) else ():
                if isinstance(pattern, str):
                    yield ("actions", key, "outputs", level, label), pattern


def _cycles(actions: dict[Any, Action], findings: Findings) -> None:
    """Neither original looks, and both recurse without end when such an action is asked for."""
    graph = {
        action.name: [n for n in action.needs if n not in (action.name, RUN_ALL)]
        for key, action in actions.items()
        if key != RUN_ALL
    }
    keys = {action.name: key for key, action in actions.items()}
    for _ in range(MOST_CYCLES):
        try:
            TopologicalSorter(graph).prepare()
            return
        except CycleError as error:
            circle = list(reversed(error.args[1]))
        way = listed(circle[1:])
        said = f"action {quoted(circle[0])}: needs itself by way of {way}. Break the circle."
        findings.add(Rules.BOTH, ("actions", keys[circle[0]], "needs"), said)
        graph[circle[0]] = [n for n in graph[circle[0]] if n != circle[1]]
