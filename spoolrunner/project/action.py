"""One entry of `actions`: a mapping of the file -> an Action, and what is wrong with it.

Rules: reference/opensafely.md 2.3 to 2.5; each check says which of the originals makes it.
Knows: command, patterns, findings, problem, request.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spoolrunner.project.command import (
    IMAGE,
    config_words,
    expected_pattern,
    extracts,
    fits_output,
    folders,
    image_of,
    makes_dataset,
    option,
    words_of,
)
from spoolrunner.project.findings import Findings, Path, Rules
from spoolrunner.project.patterns import faults
from spoolrunner.project.problem import listed, quoted
from spoolrunner.request import RUN_ALL, Level

KEYS = ("run", "needs", "outputs", "config", "dummy_data_file")
LEVELS = {level.value: level for level in Level}
_TAG = re.compile(r"v[\d.]+(-pre)?|dev|latest")


@dataclass(frozen=True)
class Action:
    """run: words, the first an image with its tag. outputs: (level, pattern) in file order.

    config: what `--config` gets as JSON, or None. dummy_data_file: only cohortextractor reads it.
    """

    name: str
    run: tuple[str, ...]
    needs: tuple[str, ...]
    outputs: tuple[tuple[Level, str], ...]
    config: Any = None
    dummy_data_file: str | None = None

    @property
    def patterns(self) -> tuple[str, ...]:
        return tuple(pattern for _, pattern in self.outputs)


class Entry:
    """One action being read: its key, its path in the file, and where findings go."""

    def __init__(self, key: Any, version: float, findings: Findings) -> None:
        self.path: Path = ("actions", key)
        self.version = version
        self.findings = findings
        self.who = f"action {quoted(key)}"

    def add(
        self, rules: Rules, text: str, *below: Any, at_key: bool = False, running: bool = False
    ) -> None:
        path, text = (*self.path, *below), f"{self.who}: {text}"
        self.findings.add(rules, path, text, at_key=at_key, running=running)

    def read(self, value: Any, known: Mapping[Any, Any]) -> Action | None:
        """None if nothing of it makes sense. known: all of `actions`."""
        if not isinstance(value, dict):
            self.add(Rules.BOTH, "must have keys `run` and `outputs` below its name.")
            return None
        self.keys(value)
        words = self.run(value)
        levels = self.levels(value)
        action = Action(
            name=str(self.path[1]),
            run=words,
            needs=self.needs(value, known),
            outputs=self.outputs(levels),
            config=self.config(value),
            dummy_data_file=self.dummy_data_file(value),
        )
        if words:
            self.special(action, levels, value["run"])
        return action

    def keys(self, value: dict[Any, Any]) -> None:
        for key in ("run", "outputs"):
            if key not in value:
                self.add(Rules.BOTH, f"`{key}` is missing. Add it.", key)
        for key in value:
            if key not in KEYS:
                hint = self.findings.suggestion(key, KEYS) or f" Known are {listed(KEYS)}."
                self.add(Rules.TODAY, f"{quoted(key)} is not known.{hint}", key, at_key=True)

    def run(self, value: dict[Any, Any]) -> tuple[str, ...]:
        run = value.get("run", "?:v1")
        if not isinstance(run, str):
            self.add(Rules.BOTH, "`run` must be text, such as 'python:v2 python a.py'.", "run")
            return ()
        try:
            words = words_of(run)
        except ValueError:
            self.add(Rules.BOTH, "a quote or backslash in `run` is left open. Close it.", "run")
            return ()
        if not words:
            self.add(Rules.BOTH, "`run` is empty. Give a command.", "run")
        elif "run" in value:
            self.image(words)
        return words if "run" in value else ()

    def image(self, words: tuple[str, ...]) -> None:
        name, tag = image_of(words)
        if not tag:
            said = (
                f"`run` starts with {quoted(name)} without a version. Write {quoted(name + ':v2')}."
            )
            self.add(Rules.BOTH, said, "run")
        elif not IMAGE.fullmatch(words[0]):
            said = f"{quoted(words[0])} can't be the name of an image. Write name:version."
            self.add(Rules.BOTH, said, "run", running=True)
        if tag and not _TAG.fullmatch(tag):
            said = f"the version of {quoted(words[0])} must look like v2. Correct it."
            self.add(Rules.TODAY, said, "run")
        if tag == "latest" and self.version >= 5:
            said = f"{quoted(words[0])} is not allowed from version 5. Write a version like :v2."
            self.add(Rules.TODAY, said, "run")
        if name.startswith("cohortextractor") and self.version >= 4:
            said = "cohortextractor is not allowed from version 4. Use ehrql, or version 3."
            self.add(Rules.TODAY, said, "run")

    def needs(self, value: dict[Any, Any], known: Mapping[Any, Any]) -> tuple[str, ...]:
        needs = value.get("needs", [])
        if needs is None:
            self.add(Rules.OLD, "`needs` is empty. Remove it, or write `needs: []`.", "needs")
            return ()
        if not isinstance(needs, list):
            # 2.52.3 takes anything it can loop over, so the letters of a name or a mapping's keys
            taken = isinstance(needs, str | dict) and all(need in known for need in needs)
            said = "`needs` must be a list. Write the names in [ ], with commas."
            self.add(Rules.TODAY if taken else Rules.BOTH, said, "needs")
            needs = list(needs) if taken else []
        for at, need in enumerate(needs):
            self.need(need, at, known)
        return tuple(dict.fromkeys(str(n) for n in needs if not isinstance(n, list | dict)))

    def need(self, need: Any, at: int, known: Mapping[Any, Any]) -> None:
        if isinstance(need, list | dict) or need not in known:
            self.add(Rules.BOTH, self.unknown(need, known), "needs", at)
        elif not isinstance(need, str):
            said = f"`needs` {quoted(need)} is a number. Put it, and the action's name, in quotes."
            self.add(Rules.TODAY, said, "needs", at)
        elif " " in need:
            self.add(Rules.TODAY, f"`needs` {quoted(need)} holds a space. Rename it.", "needs", at)
        if need == RUN_ALL:
            self.add(Rules.BOTH, "`needs` can't name run_all. Name the actions.", "needs", at)
        elif need == self.path[1]:
            self.add(Rules.BOTH, "needs itself. Remove it from its `needs`.", "needs", at)

    def unknown(self, need: Any, known: Mapping[Any, Any]) -> str:
        if isinstance(need, list | dict):
            return "`needs` must be a plain list of names. Remove the inner list or mapping."
        if isinstance(need, str) and " " in need and all(name in known for name in need.split()):
            return f"`needs` {quoted(need)} must have commas: {listed(need.split())}."
        names = (name for name in known if name != RUN_ALL)
        hint = self.findings.suggestion(need, names) or " Correct it, or add that action."
        return f"needs {quoted(need)}, which does not exist.{hint}"

    def levels(self, value: dict[Any, Any]) -> dict[Level, dict[Any, Any]]:
        """Of `outputs` what is a mapping below a known level."""
        outputs = value.get("outputs", {})
        if not isinstance(outputs, dict):
            said = f"`outputs` must have a level below it: {listed(LEVELS)}."
            self.add(Rules.BOTH, said, "outputs")
            return {}
        for name in outputs.keys() - LEVELS.keys():
            hint = self.findings.suggestion(name, LEVELS) or f" Known are {listed(LEVELS)}."
            said = f"{quoted(name)} is no level of `outputs`.{hint}"
            self.add(Rules.BOTH, said, "outputs", name, at_key=True)
        if "outputs" in value and all(level is None for level in outputs.values()):
            rules = Rules.BOTH if outputs else Rules.TODAY
            self.add(rules, f"`outputs` holds none. Add one below {listed(LEVELS)}.", "outputs")
        else:
            self.empty_levels(outputs)
        return {LEVELS[n]: f for n, f in outputs.items() if n in LEVELS and isinstance(f, dict)}

    def empty_levels(self, outputs: dict[Any, Any]) -> None:
        for name, files in outputs.items():
            if name in LEVELS and not isinstance(files, dict):
                rules = Rules.OLD if files is None else Rules.BOTH
                said = f"`{name}` must have lines `label: path` below it."
                self.add(rules, said, "outputs", name)

    def outputs(self, levels: dict[Level, dict[Any, Any]]) -> tuple[tuple[Level, str], ...]:
        found = []
        for level, files in levels.items():
            for label, pattern in files.items():
                if not isinstance(pattern, str):
                    said = f"output {quoted(label)} must be a path as text."
                    self.add(Rules.BOTH, said, "outputs", level.value, label)
                    continue
                for rules, why in faults(pattern, level):
                    said = f"output {quoted(pattern)}: {why}."
                    self.add(rules, said, "outputs", level.value, label)
                found.append((level, pattern))
        return tuple(found)

    def config(self, value: dict[Any, Any]) -> Any:
        config = value.get("config")
        if config is not None and not isinstance(config, dict):
            self.add(Rules.TODAY, "`config` must be a mapping of names to values.", "config")
        try:
            config_words(config)
        except (TypeError, ValueError):
            said = "`config` can't be JSON: put dates, and keys that are no text, in quotes."
            self.add(Rules.BOTH, said, "config", running=True)
        return config

    def dummy_data_file(self, value: dict[Any, Any]) -> str | None:
        path = value.get("dummy_data_file")
        if path is not None and not isinstance(path, str):
            self.add(Rules.TODAY, "`dummy_data_file` must be a path as text.", "dummy_data_file")
        return None if path is None else str(path)

    def special(self, action: Action, levels: dict[Level, dict[Any, Any]], run: str) -> None:
        """What commands that read patients' records must fulfil (reference 2.5)."""
        if makes_dataset(action.run):
            self.ehrql(action, levels)
        generation = extracts(action.run)
        if generation and len(levels) != 1:
            today = generation == 1 and action.run[1] == "generate_cohort"
            said = f"`{action.run[1]}` must have outputs of exactly one level, not {len(levels)}."
            self.add(Rules.BOTH if today else Rules.OLD, said, "outputs")
        if generation == 1 and option(action.run, "--output-dir") is None:
            self.one_folder(action)
        if generation == 2 and not any(pattern in run for pattern in action.patterns[:1]):
            said = "the first output must stand in `run` as its --output. Make them the same."
            self.add(Rules.OLD, said, "outputs", running=True)

    def one_folder(self, action: Action) -> None:
        """It makes all its files in one folder, which we name to it (2.5)."""
        found = folders(action.patterns)
        if len(found) != 1:
            said = f"its outputs must lie in one folder, not {len(found)}. Move them together."
            self.add(Rules.OLD, said, "outputs", running=True)
            if action.run[1] == "generate_cohort":
                self.add(Rules.TODAY, said, "outputs")

    def ehrql(self, action: Action, levels: dict[Level, dict[Any, Any]]) -> None:
        # 2.52.3 knows one of these commands and lets it choose its level. It doesn't know the
        # others; a dataset of patients at level 4 is unsafe, whatever the version.
        known_to_old = extracts(action.run) == 2
        if any(levels.get(level) for level in (Level.MODERATE, Level.MINIMAL)):
            said = f"it makes a dataset of patients: label all its outputs {Level.HIGH}."
            self.add(Rules.TODAY if known_to_old else Rules.BOTH, said, "outputs")
        output = option(action.run, "--output")
        if not output:
            self.add(Rules.TODAY, "`run` must have --output and a path.", "run")
        elif not fits_output(output, [p for level, p in action.outputs if level is Level.HIGH]):
            said = (
                f"--output and `outputs` don't agree: declare {quoted(expected_pattern(output))}."
            )
            self.add(Rules.TODAY, said, "outputs")
