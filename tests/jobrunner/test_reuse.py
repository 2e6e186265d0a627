"""After an import `plan` reuses exactly what job-runner 2.52.3 would have: random histories.

Where it refuses a whole request because something failed last, the action runs again here (README,
"Differs"); and what waited there is asked for anew, so it is scheduled once a runner has taken it.
`python -m tests.jobrunner 50` tries 50 installations of 14 workspaces each.
"""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.jobrunner import model
from tests.jobrunner.conftest import New
from tests.jobrunner.model import Row
from tests.jobrunner.old import Old
from tests.site import commit, git, head

WORKSPACES = 14
GENERATIONS = ("2.52.3", "2023", "today")  # the first had no cancelled jobs
INSTALLATIONS = int(os.environ.get("INSTALLATIONS", "1"))
NEEDS = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": [], "f": ["d", "e"]}
STATES = ["succeeded"] * 30 + ["failed"] * 12 + ["pending", "running"]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main", ".")
    actions = {
        action: {
            "run": f"python:v2 {action}.py",
            "needs": needs,
            "outputs": {"highly_sensitive": {"x": f"{action}.csv"}},
        }
        for action, needs in NEEDS.items()
    }
    (folder / "project.yaml").write_text(json.dumps({"version": "4.0", "actions": actions}))
    return commit(folder)


def remember(old: Old, study: Path, workspace: str, dice: random.Random) -> list[Row]:
    """A random history of a workspace, of requests that made jobs in the same second or later."""
    rows = []
    for number in range(dice.randrange(9)):
        request = f"{workspace}-{number}"
        actions = dice.sample([*NEEDS, "__error__", "gone"], dice.randrange(1, 7))
        if dice.random() < 0.5:  # not every schema keeps what was asked for
            old.asked(request, *actions, workspace=workspace)
        for action in actions:
            error = action == "__error__"
            state = "failed" if error else dice.choice(STATES)
            cancelled = dice.choice([0, 0, 0, 0, 1, None])
            late = dice.choice([0, 0, 1, 60, -60])
            old.job(
                request, action, state, workspace=workspace, repo_url=str(study), after_s=late,
                cancelled=cancelled, database_name=None if error else "full",
                outputs={f"{action}.csv": "highly_sensitive"} if state == "succeeded" else None,
            )  # fmt: skip
            old.has(f"{action}.csv", f"{action} of {request}", workspace=workspace)
            rows.append(Row(action, state, cancelled, old.clock_s))
    return rows


@pytest.mark.parametrize("seed", range(INSTALLATIONS))
def test_what_job_runner_would_reuse_is_reused_and_nothing_else(
    make: Callable[..., Old], new: New, study: Path, seed: int
) -> None:
    dice = random.Random(seed)
    old = make(generation=GENERATIONS[seed % len(GENERATIONS)])
    histories = {
        f"w{number}": remember(old, study, f"w{number}", dice) for number in range(WORKSPACES)
    }
    new.told(old, "--yes")
    seen = 0
    for workspace, rows in histories.items():
        asked = dice.choice([["run_all"], ["run_all"], ["f"], dice.sample([*NEEDS], 2)])
        force = dice.random() < 0.1
        wanted = model.verdicts(rows, NEEDS, asked, force=force)
        if "wait" in wanted.values():
            assert is_asked_for_anew(new, workspace, wanted), workspace
            continue
        forced = ("--force-run-dependencies",) if force else ()
        about = ("--workspace", workspace, "--db", "full", *forced, "--json")
        plan = json.loads(new.do("plan", str(study), *asked, *about))
        ours = {one["action"]: in_its_words(one, force) for one in plan["actions"]}
        if "refuse" in wanted.values():  # it stops there; we look at what that needs as well
            ours = {action: ours[action] for action in wanted}
        assert ours == wanted, (workspace, rows, asked)
        seen += "reuse" in wanted.values()
    assert seen > WORKSPACES / 10


def in_its_words(one: dict[str, Any], force: bool) -> str:
    return "refuse" if one["why"] == "failed_before" and not force else str(one["verdict"])


def is_asked_for_anew(new: New, workspace: str, wanted: dict[str, str]) -> bool:
    """Every action that waited there is one of a request that lies in the inbox now."""
    dropped = [
        json.loads(path.read_bytes()) for path in (new.spool / "inbox").glob(f"{workspace}-*.json")
    ]
    asked = {action for one in dropped for action in one["requested_actions"]}
    return {action for action, verdict in wanted.items() if verdict == "wait"} <= asked


def test_what_waited_runs_here_under_its_own_identifier_and_reads_what_was_taken_over(
    old: Old, new: New, study: Path
) -> None:
    (study / "b.py").write_text("open('b.csv', 'w').write(open('a.csv').read() + '!')")
    commit(study)
    old.job("first", "a", repo_url=str(study), outputs={"a.csv": "highly_sensitive"})
    old.has("a.csv", "as job-runner left it")
    old.asked("waits", "b", repo=str(study), sha=head(study))
    waiting = old.job("waits", "b", "running", repo_url=str(study))
    new.told(old, "--yes")
    for folder in (new.folder, *new.folder.parents[:3]):
        folder.chmod(0o755)
    new.drain()
    shown = json.loads(new.do("show", "waits", "--json"))
    assert {job["identifier"]: job["status_code"] for job in shown["jobs"]} == {
        waiting: "succeeded"
    }
    assert (old.high / "workspaces/ws/b.csv").read_text() == "as job-runner left it!"
    told = json.loads(new.try_to("check", "--hash", "--json").output)
    assert [one for one in told["findings"] if one["grade"] == "wrong"] == []
