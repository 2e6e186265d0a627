"""Killed between any two steps, the next run goes on from what lies in the folder."""

import json
import subprocess
import sys

from tests.localrun.conftest import Study, action, make
from tests.site import WITHIN_S

STEPS = [
    "localrun.home:_found",
    "localrun.house:StudyHouse.recover",
    "runner.diary:Diary.started",
    "runner.results:Results.collect",
    "workspace.publishing:place",
    "workspace.ledger:Ledger.settle",
    "runner.results:Results.finish",
]


def test_killed_at_any_step_it_leaves_nothing_that_confuses_the_next_run(study: Study) -> None:
    for number, step in enumerate(STEPS):
        study.has(a=action(make("out/a.csv", str(number)), out="out/a.csv"))
        die_at(study, step)
        result = study.run("a")
        assert result.succeeded, (step, result)
        assert study.read("out/a.csv") == f"{number}\n", step
        assert not study.leftovers(), step
        assert not [*study.home.glob("storage/publishing/*/*")], step
        manifest = json.loads(study.read("metadata/manifest.json"))
        assert list(manifest["outputs"]) == ["out/a.csv"], step


def die_at(study: Study, step: str) -> None:
    """Run once, killed where it calls this."""
    command = [sys.executable, "-m", "tests.system.dying", f"spoolrunner.{step}", "local-run", "a"]
    dead = subprocess.run(
        command, env=study.environment(), cwd=study.folder, capture_output=True, timeout=WITHIN_S,
        check=False,
    )  # fmt: skip
    assert dead.returncode == -9, (step, dead.stderr.decode())
