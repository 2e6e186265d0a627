"""Runs whose files all get notes, as those of very large requests do: killed, watched, withdrawn.

The runner's script sets the size up to which a file is small to nothing (dying.py, --noted).
"""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.site import GATE, WITHIN_S, Site
from tests.system.test_crash_points import CHAIN, QUICK, die_at

NOTED = ("-m", "tests.system.dying", "--noted", "never")
WAITING = CHAIN.replace("FIRST", "true").replace("cat a.csv > b.csv", "sleep 1000")
THIRD = """\
  third:
    run: python:v2 sh -c "cat b.csv > c.csv"
    needs: [second]
    outputs:
      moderately_sensitive: {c: c.csv}
"""
STEPS = [
    *(f"notebook:Notebook._append#{number}" for number in (1, 4, 8)),
    *(f"notebook:Notebook.write#{number}" for number in (3, 7)),
    "workspace.ledger:Ledger._enter_in_index#2",
    "workspace.ledger:write_manifests#2",
    "workspace.ledger:Ledger.fold",
    "runner.folding:Folding._done",
    "spool.requests:Requests._note_whereabouts",
    "spool.recent:add",
]


def notes(site: Site) -> list[Path]:
    return sorted(path for path in site.spool.rglob("*.notes"))


def drain(site: Site) -> None:
    subprocess.run(
        [sys.executable, *NOTED, "run", "--drain"],
        env=site.environment(),
        cwd=site.folder,
        timeout=WITHIN_S,
        check=True,
    )


def start(site: Site) -> subprocess.Popen[str]:
    """Until `second` runs; the site ends it."""
    with (site.folder / "runner.log").open("a") as log:
        runner = subprocess.Popen(
            [sys.executable, *NOTED, "run"],
            env=site.environment(),
            cwd=site.folder,
            stdout=log,
            stderr=log,
            text=True,
        )
    site.runners.append(runner)
    site.until(lambda: shown(site, "r1").get("second", {}).get("status_code") == "executing")
    return runner


def shown(site: Site, identifier: str) -> dict[str, dict[str, Any]]:
    done = site.try_to("show", "--json", identifier)
    return {job["action"]: job for job in json.loads(done.stdout or '{"jobs": []}')["jobs"]}


def assert_all_is_published(site: Site) -> None:
    assert site.statuses("r1") == {"first": "succeeded", "second": "succeeded"}
    assert notes(site) == []
    assert list((site.high / "publishing").glob("*/*.json")) == []
    for level, paths in ((site.high, {"a.csv", "b.csv"}), (site.medium, {"b.csv"})):
        assert site.published(level) == paths
        manifest = json.loads((level / "workspaces/ws/metadata/manifest.json").read_bytes())
        assert manifest["outputs"].keys() == paths
    index = json.loads((site.spool / "workspaces/ws.json").read_bytes())
    for action, job in site.jobs("r1").items():
        assert index["actions"][action]["published"]["job"] == job["identifier"]


@pytest.mark.parametrize("step", STEPS)
def test_killed_between_noting_and_folding_each_job_runs_once(site: Site, step: str) -> None:
    study = site.study({"project.yaml": QUICK})
    site.drop(site.request(study, "run_all", identifier="r1"))
    die_at(site, step, "--noted")
    drain(site)
    assert [job["attempt"] for job in site.jobs("r1").values()] == [1, 1]
    assert_all_is_published(site)


def test_a_manifest_that_was_only_noted_is_no_finding(site: Site) -> None:
    """The one at medium privacy lags until a runner folds it."""
    site.drop(site.request(site.study({"project.yaml": QUICK}), "run_all", identifier="r1"))
    die_at(site, "workspace.ledger:Ledger.fold", "--noted")
    found = json.loads(site.try_to("check", "--json").stdout)["findings"]
    assert "manifest_disagrees" not in {one["kind"] for one in found}
    drain(site)
    assert_all_is_published(site)


def test_who_looks_sees_what_is_noted(site: Site) -> None:
    site.settings["STOP_GRACE"] = "1s"
    study = site.study({"project.yaml": WAITING})
    site.drop(site.request(study, "run_all", identifier="r1"))
    runner = start(site)
    lying = site.spool / "running" / "r1.json"
    assert lying.with_suffix(".notes") in notes(site)
    assert {job["phase"] for job in site.active("r1")["jobs"]} != {"ended", "started"}
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    start(site)
    assert [job["attempt"] for job in shown(site, "r1").values()] == [1, 1]
    site.do("cancel", "r1")
    assert site.finished("r1")["status"] == "failed"
    assert site.statuses("r1") == {"first": "succeeded", "second": "cancelled_by_user"}
    assert notes(site) == []


def test_manifests_are_right_as_soon_as_nothing_of_the_workspace_runs(site: Site) -> None:
    """Although the request goes on: its last job waits until the server is no longer paused."""
    study = site.study({"project.yaml": QUICK.replace("cat a", f"{GATE}; cat a") + THIRD})
    site.drop(site.request(study, "run_all", identifier="r1"))
    start(site)
    (site.spool / "control" / "paused").touch()
    site.let_go()
    site.until(lambda: shown(site, "r1")["third"]["status_code"] == "paused")
    manifest = site.medium / "workspaces/ws/metadata/manifest.json"
    site.until(lambda: "b.csv" in manifest.read_text())
    (site.spool / "control" / "paused").unlink()
    assert site.finished("r1")["status"] == "succeeded"


def test_what_was_moved_to_the_inbox_goes_on_where_it_was(site: Site) -> None:
    study = site.study({"project.yaml": QUICK})
    site.drop(site.request(study, "run_all", identifier="r1"))
    die_at(site, "runner.results:Results.launch#2", "--noted")
    lying = site.spool / "running" / "r1.json"
    assert {job["status"] for job in json.loads(lying.read_bytes())["jobs"]} != {"succeeded"}
    before = shown(site, "r1")["first"]
    assert before["status"] == "succeeded"
    site.drop(lying.read_bytes(), "back.json")
    lying.unlink()
    drain(site)
    assert site.jobs("r1")["first"] == before
    assert_all_is_published(site)
