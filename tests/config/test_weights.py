"""Where the file of resource weights is looked for, and what is told of it at the start."""

from pathlib import Path

import pytest

from tests.config.loading import load, only_problem, problems


def weights(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_it_is_found_where_job_runner_has_it(tmp_path: Path) -> None:
    weights(tmp_path / "job-resource-weights_tpp-x.ini", "[ws]\na = 2\n")
    config = load(WORKDIR=str(tmp_path), BACKEND="TPP-x", USING_DUMMY_DATA_BACKEND="true")
    assert config.weights.of("ws", "a", "python:v2 x") == 2


def test_the_current_folder_is_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("job-resource-weights.ini", "job-resource-weights_expectations.ini"):
        weights(tmp_path / name, "[ws]\na = 2\n")
    assert load().weights.of("ws", "a", "python:v2 x") == 1


def test_one_that_is_named_must_be_there(tmp_path: Path) -> None:
    named = tmp_path / "w.ini"
    told = only_problem(JOB_RESOURCE_WEIGHTS=str(named))
    assert told == f"JOB_RESOURCE_WEIGHTS: {named} cannot be read: No such file or directory."
    assert load(JOB_RESOURCE_WEIGHTS=str(weights(named, "\ufeff[ws]\na = 2\n"))).weights.of(
        "ws", "a", "python:v2 x"
    )


def test_one_that_is_there_must_be_readable(tmp_path: Path) -> None:
    (tmp_path / "job-resource-weights_expectations.ini").write_bytes(b"\xff\xfe")
    assert "not UTF-8 text" in only_problem(WORKDIR=str(tmp_path))


def test_its_problems_are_told_with_those_of_the_settings(tmp_path: Path) -> None:
    named = weights(tmp_path / "w.ini", "[ws]\na = many\n( = 1\n")
    found = problems(JOB_RESOURCE_WEIGHTS=str(named), MAX_WORKERS="0")
    assert [told.split(":")[0].split(" ")[0] for told in found] == [
        "MAX_WORKERS",
        "JOB_RESOURCE_WEIGHTS",
        "JOB_RESOURCE_WEIGHTS",
    ]
    assert f"JOB_RESOURCE_WEIGHTS: {named}, [ws]: a = 'many' must be" in found[1]


def test_a_weight_that_nothing_here_can_carry_is_warned_about(tmp_path: Path) -> None:
    named = weights(tmp_path / "w.ini", "[ws]\nbig = 5\nsmall = 4\n")
    config = load(JOB_RESOURCE_WEIGHTS=str(named), MAX_WORKERS="4")
    assert config.warnings == (
        (
            "JOB_RESOURCE_WEIGHTS: what 'big' matches counts for more than MAX_WORKERS (4),"
            " so it is refused."
        ),
    )
