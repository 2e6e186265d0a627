"""The bugs that are planted still fit the program; `python -m tests.crash.plant` plants them."""

import ast
from pathlib import Path

import pytest

from tests.crash.plant import BUGS, Bug, plant


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_each_bug_can_be_planted(bug: Bug, tmp_path: Path) -> None:
    clone = plant(bug, tmp_path)
    for file, _, _ in bug.changes:
        ast.parse((clone / "spoolrunner" / file).read_text())


def test_there_are_as_many_as_were_asked_for() -> None:
    assert len(BUGS) >= 8
