"""Resource weights: what a job counts for, and what is told of a file that can't be read."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoolrunner import weights
from spoolrunner.errors import BadConfig

FILE = r"""
# the two that need all the memory
[cvd-study]
match_.* = 4
  ; by name, whatever stands below
match_small = 0.5
Model = 2

[my study]
(a|b)\d = 3

[default]
stata-mp:.* = 2
python:v2 .*--threads\x3d8.* = 8
""".replace("  ;", ";")


@pytest.mark.parametrize(
    ("workspace", "action", "command", "weight"),
    [
        ("cvd-study", "match_all", "python:v2 x", 4),
        ("cvd-study", "match_small", "python:v2 x", 4),  # the first that matches
        ("cvd-study", "rematch_all", "python:v2 x", 1),  # all of the name
        ("cvd-study", "match_all_", "stata-mp:latest x", 4),  # its own before the defaults
        ("cvd-study", "Model", "python:v2 x", 2),  # case is kept
        ("cvd-study", "model", "python:v2 x", 1),
        ("other", "match_all", "python:v2 x", 1),
        ("my study", "b7", "python:v2 x", 3),
        ("other", "do", "stata-mp:latest a.do", 2),
        ("other", "do", "xstata-mp:latest a.do", 1),
        ("other", "do", "python:v2 a.py --threads=8 b", 8),  # a colon is no delimiter
        ("default", "match_all", "python:v2 x", 1),
        ("default", "stata-mp:x", "python:v2 x", 1),  # that section is for commands
    ],
)
def test_the_first_pattern_that_matches_whole_counts(
    workspace: str, action: str, command: str, weight: float
) -> None:
    assert weights.read(FILE, "w.ini").of(workspace, action, command) == weight


@pytest.mark.parametrize("text", ["", "# nothing\n", "[ws]\n"])
def test_without_rules_every_job_counts_for_one(text: str) -> None:
    assert weights.read(text, "w.ini").of("ws", "a", "python:v2 x") == 1


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(BadConfig) as caught:
        weights.read(text, "w.ini")
    return caught.value.problems


def test_all_problems_are_told_with_their_place() -> None:
    assert problems("[ws]\n( = 1\na = many\nb = -1\nc = nan\n[default]\nx --y=1 = 2\n") == (
        (
            "w.ini, [ws]: '(' is no regular expression: missing ), unterminated subpattern at"
            " position 0."
        ),
        "w.ini, [ws]: a = 'many' must be a number of workers, such as 2 or 0.5.",
        "w.ini, [ws]: b = '-1' must be a number of workers, such as 2 or 0.5.",
        "w.ini, [ws]: c = 'nan' must be a number of workers, such as 2 or 0.5.",
        (
            "w.ini, [default]: x --y = '1 = 2' must be a number of workers, such as 2 or 0.5"
            r" (in a pattern write \x3d for =)."
        ),
    )
    assert problems("[ws]\na: 4\nb = 2\nc\n") == (
        "w.ini, line 2: is not of the form PATTERN = NUMBER.",
        "w.ini, line 4: is not of the form PATTERN = NUMBER.",
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = 4\n", "w.ini, line 1: stands before the first [WORKSPACE]."),
        ("[ws]\na = 4\na = 5\n", "w.ini, line 3: 'a' stands twice in [ws]."),
        ("[ws]\n[ws]\n", "w.ini, line 2: [ws] stands twice."),
        ("[DEFAULT]\na = 4\n", "w.ini: [DEFAULT] is no workspace; [default] is for run commands."),
    ],
)
def test_what_is_no_such_file_is_told(text: str, told: str) -> None:
    assert problems(text) == (told,)


def test_the_patterns_that_no_server_of_this_size_can_run_are_named() -> None:
    read = weights.read(FILE, "w.ini")
    assert list(read.heavier_than(3)) == ["match_.*", r"python:v2 .*--threads\x3d8.*"]
    assert list(read.heavier_than(8)) == []


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(BadConfig):
        weights.read(text, "w.ini").of("ws", "action", "python:v2 x")
