"""What the README says of commands and exit statuses is what the program does."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner

from spoolrunner import errors
from spoolrunner.check import kinds
from spoolrunner.cli import EPILOG, VERBS, group
from spoolrunner.report.overview import Counts, Disk, Flags, Left, Overview, Runner
from spoolrunner.spool.board import ActiveJob
from tests import readme_blocks

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
OPERATING = (ROOT / "OPERATING.md").read_text()


def test_the_table_of_commands_is_the_programs() -> None:
    shown = re.search(r"<!-- commands -->\n(.*?)<!-- /commands -->", README, re.DOTALL)
    assert shown
    rows = [f"| `{name}` | {line} |" for name, (_, line) in VERBS.items()]
    assert shown[1].splitlines()[2:] == rows


def test_the_table_of_findings_is_the_programs() -> None:
    shown = re.search(r"<!-- findings -->\n(.*?)<!-- /findings -->", OPERATING, re.DOTALL)
    assert shown
    assert shown[1] == kinds.table_for_readme()


def test_the_fields_of_status_are_named() -> None:
    shown = re.search(r"`status --json` is stable: (.*?)Fields may be added", README, re.DOTALL)
    assert shown
    named = set(re.findall(r"`(\w+)`", shown[1]))
    records = (Overview, Runner, Flags, Counts, Disk, Left, ActiveJob)
    assert named == {name for record in records for name in record.__struct_fields__}


def test_every_exit_status_of_an_error_is_in_the_table_and_in_the_help() -> None:
    statuses = {
        kind.exit_status
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.SpoolrunnerError)
    }
    for status in statuses:
        assert re.search(rf"^\| {status} \|", README, re.MULTILINE)
        assert re.search(rf"\b{status}\b", EPILOG)


def test_every_command_has_help_with_an_example_that_fits_a_terminal() -> None:
    for words in every_command():
        done = CliRunner().invoke(group, [*words, "--help"], prog_name="spoolrunner")
        assert done.exit_code == 0, words
        assert "Example" in done.output, words
        assert max(map(len, done.output.splitlines())) <= 80, words


def every_command() -> Iterator[list[str]]:
    context = click.Context(group)
    for name in VERBS:
        yield [name]
        verb = group.get_command(context, name)
        if isinstance(verb, click.Group):
            yield from ([name, inner] for inner in verb.commands)


def test_every_test_that_the_readme_names_is_there() -> None:
    pattern = r"`(tests/[\w./-]+\.py)::(\w+)`"
    named = re.findall(pattern, README)
    shown = re.search(r"<!-- reporting -->\n(.*?)<!-- /reporting -->", README, re.DOTALL)
    assert shown
    assert len(named) == len(shown[1].splitlines()) - 2
    for path, name in [*named, *re.findall(pattern, OPERATING)]:
        assert f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"


def test_every_text_that_is_shown_is_compared_with_what_is_printed() -> None:
    names = readme_blocks.names()
    assert len(names) == len(set(names))
    for name in names:
        assert readme_blocks.shown(name).text, name
    assert set(names) == readme_blocks.used()


def test_the_shell_can_complete_a_command() -> None:
    asked = {"COMP_WORDS": "spoolrunner prep", "COMP_CWORD": "1"}
    environment = {**os.environ, **asked, "_SPOOLRUNNER_COMPLETE": "bash_complete"}
    words = [sys.executable, "-c", "from spoolrunner.cli import main; main()"]
    done = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "plain,prepare-for-reboot\n"


def test_the_paths_that_the_readme_names_are_there() -> None:
    for name in re.findall(r"`((?:spool|tests|bin|\.ci)/[\w./-]+)`", README):
        assert (ROOT / name).exists() or name.startswith("spool/inbox"), name
