"""Upgrades: files of a later format are left alone and told; an upgrade while jobs run."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.site import PROJECT, Site
from tests.system.test_crash_points import CHAIN, QUICK, die_at, has_started
from tests.system.test_trouble import codes

SLOW = CHAIN.replace("FIRST", "sleep 2")
LATER = {"format": 99}


def make_later(path: Path) -> bytes:
    """As a later version would write it; returns what it was."""
    before = path.read_bytes()
    found: dict[str, Any] = json.loads(before)
    path.write_text(json.dumps({**found, **LATER, "new field": 1}))
    return before


def test_a_spool_of_a_later_version_is_not_opened(site: Site) -> None:
    make_later(site.spool / "SPOOL.json")
    done = site.try_to("run", "--drain")
    assert (done.returncode, "newer_format" in done.stderr) == (4, True)


def test_storage_of_a_later_version_is_not_written(site: Site) -> None:
    make_later(site.high / "SPOOLRUNNER-STORAGE.json")
    done = site.try_to("run", "--drain")
    assert (done.returncode, "newer_format" in done.stderr) == (4, True)


@pytest.mark.parametrize(
    ("step", "where"),
    [
        ("runner.results:Results.publish", "storage/high_privacy/volumes/sr-*/outcome.json"),
        ("workspace.ledger:Ledger.settle", "storage/high_privacy/publishing/ws/first.json"),
    ],
    ids=["outcome", "journal"],
)
def test_what_a_later_version_began_to_finish_waits_for_it(
    site: Site, step: str, where: str
) -> None:
    study = site.study({"project.yaml": QUICK})
    site.drop(site.request(study, "first", identifier="r1"))
    die_at(site, step)
    (path,) = site.spool.glob(where)
    before = make_later(path)
    later = path.read_bytes()
    site.start()
    site.until(lambda: codes(site, "r1") == ["waiting_on_operator"])
    assert "later version" in site.do("status")
    assert path.read_bytes() == later
    path.write_bytes(before)
    site.close()
    site.drain()
    assert site.statuses("r1") == {"first": "succeeded"}
    assert site.jobs("r1")["first"]["attempt"] == 1


def test_a_workspace_of_a_later_version_is_left_and_whoever_asks_is_told(site: Site) -> None:
    study = site.study({"project.yaml": QUICK})
    site.drop(site.request(study, "first", identifier="r1"))
    site.drain()
    path = site.spool / "workspaces/ws.json"
    make_later(path)
    later = path.read_bytes()
    site.drop(site.request(study, "first", identifier="r2"), "r2.json")
    site.drain()
    assert site.rejected()["r2.json"]["error"] == "newer_format"
    assert path.read_bytes() == later


def test_a_request_file_of_a_later_version_in_the_inbox_is_put_aside_untouched(site: Site) -> None:
    site.drop({**LATER, "identifier": "r1", "sequence": 1, "jobs": []}, "r1.json")
    site.drain()
    assert site.rejected()["r1.json"]["error"] == "newer_format"
    (kept,) = [path for path in (site.spool / "rejected").iterdir() if "error" not in path.name]
    assert json.loads(kept.read_bytes())["format"] == 99


def test_jobs_outlive_an_upgrade_of_the_runner(site: Site) -> None:
    """The older runner is a copy of the package under another path, as after `pip install`: what
    it began, keepers included, is finished by the newer one."""
    study = site.study({"project.yaml": SLOW})
    older = site.folder / "older"
    shutil.copytree(PROJECT / "spoolrunner", older / "spoolrunner")
    runner = subprocess.Popen(
        [sys.executable, "-m", "spoolrunner", "run"],
        env={**site.environment(), "PYTHONPATH": str(older)},
        cwd=site.folder,
        text=True,
    )
    site.runners.append(runner)
    site.drop(site.request(study, "run_all", identifier="r1"))
    site.until(lambda: has_started(site, "r1"))
    runner.terminate()
    assert runner.wait(60) == 0
    shutil.rmtree(older)
    site.drain()
    assert set(site.statuses("r1").values()) == {"succeeded"}
    assert {job["attempt"] for job in site.jobs("r1").values()} == {1}


def test_what_belongs_to_a_request_of_a_later_version_is_nobodys_to_take(site: Site) -> None:
    """After a step back: its job runs, and its workspace is in use."""
    site.drop(site.request(site.study({"project.yaml": SLOW}), "run_all", identifier="r1"))
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    runner.kill()
    runner.wait()
    mine = make_later(site.spool / "running/r1.json")
    for words in (("gc", "--yes"), ("archive", "ws", "--yes"), ("prepare-for-reboot", "--yes")):
        done = site.try_to(*words)
        assert (done.returncode, "newer_format" in done.stderr) == (4, True), words
    (site.spool / "running/r1.json").write_bytes(mine)
    site.do("resume")
    site.drain()
    assert {job["attempt"] for job in site.jobs("r1").values()} == {1}
