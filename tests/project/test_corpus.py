"""bin/corpus: its verdict over real files where they lie beside us, and that it can say no."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared/corpus"


def corpus(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "bin/corpus", folder]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


def record(folder: Path, text: str, *, order: str = "it", **today: object) -> None:
    """A folder of one file that 2.52.3 refused and today's parser took."""
    for name in ("project_yaml", "verdicts"):
        (folder / name).mkdir()
    (folder / "project_yaml/one.yaml").write_text(text)
    action = {
        "needs": [],
        "run_parts": ["python:v2", "a"],
        "outputs": {"highly_sensitive": {"a": "a.csv"}},
    }
    pipeline = {
        "valid": True,
        "version": 5.0,
        "all_actions": ["it"],
        "actions": {"it": action | today},
    }
    head = {"valid": True, "specs": {"it": "python:v2 a"}, "requires_db": [], "run_all": [order]}
    verdict = {"pipeline": pipeline, "jobrunner_v2_52_3": {"valid": False}, "jobrunner_head": head}
    (folder / "verdicts/one.json").write_text(json.dumps(verdict))


def text(path: str = "a.csv", run: str = "python:v2 a") -> str:
    outputs = f"{{highly_sensitive: {{a: {path}}}}}"
    return f"version: 5\nactions:\n  it: {{run: '{run}', outputs: {outputs}}}\n"


if CORPUS.exists():  # beside the checkout; a fresh clone has none, and the others need nothing

    def test_no_difference_to_the_originals_is_unexplained() -> None:
        run = corpus(CORPUS)
        assert run.returncode == 0, run.stdout
        assert "unexplained differences: 0" in run.stdout


def test_an_agreement_is_counted(tmp_path: Path) -> None:
    record(tmp_path, text())
    run = corpus(tmp_path)
    assert run.returncode == 0
    assert run.stdout.splitlines()[:2] == ["files: 1", "agreements: 1"]


@pytest.mark.parametrize(
    "changed",
    [
        {"needs": ["other"]},
        {"outputs": {"moderately_sensitive": {"a": "a.csv"}}},
        {"outputs": {"highly_sensitive": {"a": "b.csv"}}},
        {"run_parts": ["python:v2", "b"]},
    ],
)
def test_a_difference_nobody_explained_fails(tmp_path: Path, changed: dict[str, object]) -> None:
    record(tmp_path, text(), **changed)
    run = corpus(tmp_path)
    assert run.returncode == 1
    assert "unexplained differences: 1" in run.stdout


def test_a_refusal_nobody_explained_fails(tmp_path: Path) -> None:
    record(tmp_path, text(path="a"))
    assert corpus(tmp_path).returncode == 1


def test_a_deliberate_refusal_is_listed_with_its_reason(tmp_path: Path) -> None:
    record(tmp_path, text(path="../a.csv"))
    run = corpus(tmp_path)
    assert run.returncode == 0
    assert "deliberate differences: 1\n  one: Outputs that begin with `..`" in run.stdout


def test_jobs_made_in_another_order_are_a_difference(tmp_path: Path) -> None:
    record(tmp_path, text(), order="other")
    run = corpus(tmp_path)
    assert run.returncode == 1
    assert "order of run_all: ['it'], not ['other']" in run.stdout


def test_each_deliberate_difference_is_a_row_of_the_readme_and_each_row_is_one() -> None:
    known = runpy.run_path(str(ROOT / "bin/corpus"))["DELIBERATE"]
    readme = (ROOT / "README.md").read_text()
    table = re.search(r"<!-- differs: project.yaml -->\n(.*?)<!-- /differs -->", readme, re.DOTALL)
    assert table
    rows = [line.strip("| ").split(" | ") for line in table[1].splitlines()[2:]]
    assert [len(row) for row in rows] == [3] * len(rows)
    assert [what for what, _, _ in rows] == list(dict.fromkeys(known.values()))


def test_the_seeds_sentence_that_we_do_not_keep_is_in_the_readme() -> None:
    assert '"failed on their last run do not need to be run"' in (ROOT / "README.md").read_text()
