"""`plan`: it says what the service then does, beside it or without it, and changes nothing."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from spoolrunner.record import to_json
from spoolrunner.request import Request, WorkspaceRef
from tests.site import Site, commit, git, head
from tests.system.conftest import NewSite

STUDY = """\
version: 5
actions:
  cohort:
    run: python:v2 python -c "open('cohort.csv', 'w').write('1')"
    outputs: {highly_sensitive: {it: cohort.csv}}
  model:
    run: python:v2 python -c "open('model.csv', 'w').write('1')"
    needs: [cohort]
    outputs: {highly_sensitive: {it: model.csv}}
  broken:
    run: python:v2 python -c "raise SystemExit(3)"
    needs: [cohort]
    outputs: {highly_sensitive: {it: broken.csv}}
  paper:
    run: python:v2 python -c "open('paper.csv', 'w').write('1')"
    needs: [model, broken]
    outputs: {moderately_sensitive: {it: paper.csv}}
"""

RECORDS = """\
version: 5
actions:
  records:
    run: ehrql:v1 generate-dataset d.py --output output/d.csv
    outputs: {highly_sensitive: {it: output/d.csv}}
"""
URL = "mssql://user:canary-password@db.example/records"


@pytest.fixture
def study(site: Site) -> Path:
    return site.study({"project.yaml": STUDY})


def planned(site: Site, study: Path, *words: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(site.do("plan", str(study), *words, "--json"))
    return made


def verdicts(plan: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Action -> (verdict, why), those that run in their order."""
    return {one["action"]: (one["verdict"], one["why"]) for one in plan["actions"]}


def fingerprint(site: Site) -> dict[str, tuple[str, int]]:
    """All files of spool and storage but git's cache and the locks: content and mode."""
    found = {}
    for path in site.spool.rglob("*"):
        name = str(path.relative_to(site.spool))
        if path.is_file() and not name.startswith(("git/", ".locks/")):
            found[name] = (hashlib.sha1(path.read_bytes()).hexdigest(), path.stat().st_mode)
    return found


def test_a_new_workspace_runs_everything_and_is_not_registered_by_looking(
    site: Site, study: Path
) -> None:
    before = fingerprint(site)
    made = planned(site, study, "run_all")
    assert set(verdicts(made).values()) == {("run", "never_ran")}
    assert list(verdicts(made)) == ["cohort", "model", "broken", "paper"]
    assert made["commit"] == head(study)
    assert made["actions"][3]["needs"] == [
        {"action": name, "verdict": "run", "request": None, "job": None}
        for name in ("model", "broken")
    ]
    assert fingerprint(site) == before
    assert site.do("workspace", "list") == ""


def test_what_is_planned_is_what_then_runs(site: Site, study: Path) -> None:
    site.drop(site.request(study, "run_all", identifier="r1"))
    site.drain()
    made = head(study)
    (site.high / "workspaces/ws/cohort.csv").touch()  # the mover would note the new time
    (study / "README.md").write_text("a new commit")
    commit(study)
    before = fingerprint(site)
    plan = planned(site, study, "paper", "--workspace", "ws")
    assert verdicts(plan) == {
        "broken": ("run", "failed_before"),
        "paper": ("run", "asked_for"),
        "cohort": ("reuse", "reused"),
        "model": ("reuse", "reused"),
    }
    reused = {one["action"]: one for one in plan["actions"] if one["verdict"] == "reuse"}
    assert {(one["request"], one["commit"]) for one in reused.values()} == {("r1", made)}
    assert reused["model"]["job"] == site.jobs("r1")["model"]["identifier"]
    assert any("another commit" in note for note in plan["notes"])
    assert fingerprint(site) == before
    site.drop(site.request(study, "paper", identifier="r2"))
    site.drain()
    runs = [one["action"] for one in plan["actions"] if one["verdict"] == "run"]
    assert [job["action"] for job in site.done("r2")["jobs"]] == runs
    assert site.done("r2")["notes"] == plan["notes"]


def test_each_reason_is_told(site: Site, study: Path) -> None:
    site.drop(site.request(study, "model", identifier="r1"))
    site.drain()
    words = ("--workspace", "ws")
    assert verdicts(planned(site, study, "run_all", "-f", *words))["cohort"] == ("run", "forced")
    (site.high / "workspaces/ws/model.csv").write_text("2")
    (site.high / "workspaces/ws/cohort.csv").unlink()
    plan = planned(site, study, "run_all", *words)
    assert verdicts(plan)["model"] == ("run", "outputs_changed")
    assert verdicts(plan)["cohort"] == ("run", "outputs_gone")
    text = site.do("plan", str(study), "run_all", *words)
    assert "its outputs were changed" in text
    assert "after model, broken" in text


def test_nothing_to_do_is_said(site: Site, study: Path) -> None:
    site.drop(site.request(study, "model", identifier="r1"))
    site.drain()
    (study / "project.yaml").write_text(STUDY[: STUDY.index("  broken:")])
    commit(study)
    plan = planned(site, study, "run_all", "--workspace", "ws")
    assert plan["notes"][0] == "Nothing to do: all actions have already run."
    assert {one["verdict"] for one in plan["actions"]} == {"reuse"}


def test_beside_a_live_runner_what_is_scheduled_is_waited_for(site: Site, study: Path) -> None:
    paused = site.spool / "control" / "paused"
    paused.touch()
    site.start()
    site.drop(site.request(study, "cohort", identifier="r1"))
    site.until(lambda: (site.spool / "running/r1.json").exists() and site.active("r1")["jobs"])
    plan = planned(site, study, "model", "--workspace", "ws")
    assert verdicts(plan) == {"model": ("run", "asked_for"), "cohort": ("wait", "awaited")}
    assert plan["before"] == []  # it is planned already
    job = site.active("r1")["jobs"][0]["identifier"]
    assert plan["actions"][0]["needs"] == [
        {"action": "cohort", "verdict": "wait", "request": "r1", "job": job}
    ]
    text = site.do("plan", str(study), "model", "--workspace", "ws")
    assert "cohort of request r1" in text
    paused.unlink()
    assert site.finished("r1")["status"] == "succeeded"


def test_requests_that_are_planned_first_are_named(site: Site, study: Path) -> None:
    about = WorkspaceRef(name="ws", repo=str(study), branch="main")
    earlier = Request(
        identifier="r1",
        sequence=1,
        backend="expectations",
        workspace=about,
        requested_actions=["run_all"],
        created_at="2026-01-01T00:00:00.000Z",
    )
    (site.spool / "running/r1.json").write_bytes(to_json(earlier))
    assert planned(site, study, "model", "--workspace", "ws")["before"] == ["r1"]
    assert planned(site, study, "model", "--workspace", "other")["before"] == []


def test_what_would_be_refused_is_refused_with_the_same_kind(site: Site, study: Path) -> None:
    site.do("workspace", "add", "theirs", str(site.study({"project.yaml": STUDY}, "other")))
    site.drain()
    for words, kind in (
        (("modle",), "unknown_action"),
        (("model", "--workspace", "theirs"), "workspace_mismatch"),
        (("model", "--branch", "nowhere"), "no_such_branch"),
        (("model", "--commit", "0" * 40), "no_such_commit"),
        (("model", "--commit", "HEAD"), "bad_sha"),
        (("model", "--db", "theirs"), "unknown_database"),
    ):
        done = site.try_to("plan", str(study), *words)
        assert (done.returncode, done.stdout) == (3, ""), words
        assert f"[{kind}, exit 3]" in done.stderr


def test_a_database_that_is_not_here_refuses_what_would_read_it(
    new_site: NewSite, folder: Path
) -> None:
    mirror = folder / "mirror"
    mirror.mkdir(mode=0o755)
    site = new_site(
        BACKEND="tpp",
        EXECUTOR="docker",  # which nobody asks: no engine is needed to plan
        GIT_MIRROR_DIR=str(mirror),
        HIGH_PRIVACY_STORAGE_BASE=str(folder / "high"),
        MEDIUM_PRIVACY_STORAGE_BASE=str(folder / "medium"),
    )
    study = site.study({"project.yaml": RECORDS})
    git(study, "clone", "-q", "--bare", ".", str(mirror / "opensafely/study.git"))
    words = ("plan", "https://github.com/opensafely/study", "records", "--db", "full", "--json")
    done = site.try_to(*words)
    assert (done.returncode, "[database_not_configured, exit 3]" in done.stderr) == (3, True)
    site.settings["FULL_DATABASE_URL"] = URL
    done = site.try_to(*words)
    assert json.loads(done.stdout)["actions"][0]["database"] is True
    assert "canary" not in done.stdout + done.stderr
    (folder / "high/SPOOLRUNNER-STORAGE.json").unlink()  # a disk that is not mounted
    done = site.try_to(*words)
    assert (done.returncode, "storage_missing" in done.stderr) == (4, True)


def test_another_user_than_the_runner_s_may_not_fetch_into_its_cache(
    site: Site, study: Path
) -> None:
    if os.geteuid():
        pytest.skip("only root can give a folder to another user")
    os.chown(site.spool / "running", 65534, -1)
    done = site.try_to("plan", str(study), "model")
    assert (done.returncode, "[bad_mode, exit 4]" in done.stderr) == (4, True)
    assert not (site.spool / "git").exists()
