"""Commands: a list of words, the first an image with its tag.

Which may use the database, what their outputs must be, and what is appended before they run.
Rules: reference/opensafely.md 2.5, 5.5 and 5.8.
Knows: loader, problem, errors.
"""

import json
import re
import shlex
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from spoolrunner.errors import BadProject
from spoolrunner.project.loader import load
from spoolrunner.project.problem import listed, quoted

# Today's table and 2.52.3's together; None: every command, and none. sqlrunner has no commands.
_DATABASE_COMMANDS: dict[str, frozenset[str] | None] = {
    "ehrql": frozenset(("generate-dataset", "generate-measures")),
    "sqlrunner": None,
    "cohortextractor": frozenset(("generate_cohort", "generate_codelist_report")),
    "cohortextractor-v2": frozenset(("generate_cohort", "generate_dataset")),
    "databuilder": frozenset(("generate-dataset", "generate_dataset")),
}
_DATASETS = ("generate-dataset", "generate_dataset")
_GENERATES = frozenset(("generate_cohort", "generate_dataset"))
# What an engine takes as NAME:TAG. It also keeps a name from becoming an option or another path.
IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_UNQUOTED = re.compile(r"[^'\"\\]*")
_WORD = re.compile(r"[^ \t\r\n]+")


def words_of(run: str) -> tuple[str, ...]:
    """POSIX shell words; no variables, globs or pipes (reference 2.7). Raises ValueError.

    shlex needs longer for a large study than its YAML does, so it is asked only about quotes.
    """
    if _UNQUOTED.fullmatch(run):
        return tuple(_WORD.findall(run))
    return tuple(shlex.split(run))


def image_of(argv: Sequence[str]) -> tuple[str, str]:
    """The image's name and tag; ("", "") of no words."""
    name, _, tag = (argv[0] if argv else "").partition(":")
    return name, tag


def database_access(argv: Sequence[str]) -> bool:
    """May this command use the database? It must be the second word (reference 2.5, table)."""
    commands = _DATABASE_COMMANDS.get(image_of(argv)[0], frozenset())
    return commands is None or (len(argv) > 1 and argv[1] in commands)


def extracts(argv: Sequence[str]) -> int:
    """1: cohortextractor makes a dataset; 2: one of its 2022 successors does; 0: neither."""
    if len(argv) < 2 or argv[1] not in _GENERATES:
        return 0
    versions = {"cohortextractor": 1, "cohortextractor-v2": 2, "databuilder": 2}
    return versions.get(image_of(argv)[0], 0)


def makes_dataset(argv: Sequence[str]) -> bool:
    """ehrQL, by any of its names and spellings, makes a dataset of patients.

    By words: today's parser looks at the text, so two spaces get round it (reference 2.5).
    """
    name, command = image_of(argv)[0], argv[1] if len(argv) > 1 else ""
    return name in ("ehrql", "databuilder") and command.startswith(_DATASETS)


def option(argv: Sequence[str], name: str) -> str | None:
    """The value of `--name value` or `--name=value`; "" if it is missing; None: not there."""
    for at, word in enumerate(argv):
        if word == name:
            return argv[at + 1] if at + 1 < len(argv) else ""
        if word.startswith(f"{name}="):
            return word[len(name) + 1 :]
    return None


def expected_pattern(output: str) -> str:
    """The pattern that ehrQL's `--output` asks for: of dir/:csv and dir:csv it is dir/*.csv."""
    path = PurePosixPath(output)
    name, colon, extension = path.name.rpartition(":")
    return f"{path.parent / name}/*.{extension}" if colon else output


def fits_output(output: str, patterns: Collection[str]) -> bool:
    """Do the declared patterns agree with ehrQL's `--output`?"""
    expected = expected_pattern(output)
    if expected == output:
        return output in patterns
    return all(fnmatchcase(pattern, expected) for pattern in patterns)


def folders(patterns: Collection[str]) -> list[str]:
    """The folders that the patterns lie in, sorted."""
    return sorted({str(PurePosixPath(pattern).parent) for pattern in patterns})


def config_words(config: object) -> tuple[str, ...]:
    """`--config` and JSON without an apostrophe; nothing if empty. Raises TypeError, ValueError."""
    if not config:
        return ()
    return "--config", json.dumps(config).replace("'", "\\u0027")


def reusable(
    name: str, action_yaml: bytes, argv: Sequence[str], allowed: Collection[str]
) -> tuple[str, ...]:
    """The words that run a reusable action: those of its action.yaml, then the study's.

    name: of the reusable action. argv: the study's command with its config, image first.
    allowed: names of the runtimes it may use. Source: reference 5.8. Raises BadProject.
    """
    own = _reusable_words(name, action_yaml)
    argv = own + tuple(argv[1:])
    if image_of(own)[0] not in allowed or not IMAGE.fullmatch(own[0]):
        known = listed(sorted(allowed))
        raise _bad_action(name, f"its first word must be one of {known} with a tag, like python:v2")
    # Of the whole: what it leaves out, the study could add.
    if database_access(own) or database_access(argv):
        raise _bad_action(name, "it may not use the database")
    return argv


def _reusable_words(name: str, action_yaml: bytes) -> tuple[str, ...]:
    value = load(action_yaml, f"action.yaml of {quoted(name)}").value
    run = value.get("run") if isinstance(value, dict) else None
    if not isinstance(run, str):
        raise _bad_action(name, "it must have `run` with a command as text")
    try:
        words = words_of(run)
    except ValueError as error:
        raise _bad_action(name, "a quote in its `run` is not closed") from error
    if not words:
        raise _bad_action(name, "its `run` is empty")
    return words


def _bad_action(name: str, why: str) -> BadProject:
    text = f"The action.yaml of the reusable action {quoted(name)} can't be used: {why}."
    return BadProject([text], hint="Tell its makers, or use another version of it.")
