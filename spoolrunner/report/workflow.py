"""A local run inside a GitHub Actions workflow: logs that fold, failures as annotations.

What a job said may hold workflow commands, and GitHub would obey; so they are switched off around
it, by a word that the job can't know (GitHub's documentation, "Workflow commands").
"""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from spoolrunner.localrun import Result, State
from spoolrunner.localrun.ending import printable
from spoolrunner.report.problems import command

GROUP, END = "::group::", "::endgroup::"


@contextlib.contextmanager
def group(title: str) -> Iterator[None]:
    """What is printed in the block folds away under the title."""
    print(f"{GROUP}{title}", flush=True)
    try:
        yield
    finally:
        print(END, flush=True)


def show_logs(result: Result) -> None:
    """Of all that ran the whole log, and an annotation for each failure; failures last."""
    for one in sorted(result.actions, key=lambda each: each.state is State.FAILED):
        if one.log:
            with group(f"{one.action}: metadata/{one.log.name}"), _not_obeyed():
                _print_log(one.log)
        if one.state is State.FAILED:
            print(command("error", one.message, {"title": one.action}))


@contextlib.contextmanager
def _not_obeyed() -> Iterator[None]:
    word = secrets.token_hex(16)
    print(f"::stop-commands::{word}")
    try:
        yield
    finally:
        print(f"::{word}::")


def _print_log(path: Path) -> None:
    with path.open(encoding="utf-8", errors="replace") as log:
        for line in log:
            print(printable(line))
