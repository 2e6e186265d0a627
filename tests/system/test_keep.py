"""Archived and brought back, backed up and restored: nothing is lost, and nothing runs again."""

import hashlib
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from spoolrunner.lock import Lock
from tests.site import Site
from tests.system.conftest import NewSite
from tests.system.test_crash_points import QUICK, SLOW, has_started

BOTH = "workspaces/ws"


def files_of(site: Site) -> dict[str, tuple[str, int]]:
    """Name -> sha256 and mode of everything of the workspace at both levels."""
    return {
        f"{level.name}/{path.relative_to(level)}": (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mode,
        )
        for level in (site.high, site.medium)
        for path in (level / BOTH).rglob("*")
        if path.is_file()
    }


@pytest.fixture
def made(site: Site) -> Site:
    site.drop(site.request(site.study({"project.yaml": QUICK}), "run_all", identifier="r1"))
    site.drain()
    return site


def archive_of(site: Site) -> Path:
    return site.high / "archives" / "ws.tar.gz"


def test_archived_and_brought_back_a_workspace_is_what_it_was(made: Site) -> None:
    before = files_of(made)
    assert made.try_to("archive", "ws").returncode == 2  # nobody there to ask
    made.do("archive", "ws", "--yes")
    assert files_of(made) == {}
    assert not (made.medium / BOTH).exists()
    made.drop(made.request(made.folder / "study", "first", identifier="r2"))
    made.drain()
    assert "archived" in made.jobs("r2")["first"]["status_message"]
    made.do("unarchive", "ws")
    assert files_of(made) == before
    assert not archive_of(made).exists()
    made.drop(made.request(made.folder / "study", "second", identifier="r3"))
    made.drain()
    assert made.statuses("r3")["second"] == "succeeded"


def test_two_archive_or_bring_back_one_after_the_other(made: Site) -> None:
    other = Lock(made.spool / ".locks" / "archive")
    assert other.take()
    before = files_of(made)
    for words in (("archive", "ws", "--yes"), ("unarchive", "ws")):
        done = made.try_to(*words)
        assert (done.returncode, "[busy, exit 5]" in done.stderr) == (5, True)
    assert files_of(made) == before
    other.release()
    made.do("archive", "ws", "--yes")


def test_a_workspace_with_an_active_request_stays(made: Site) -> None:
    made.do("pause")
    again = {"identifier": "r2", "force_run_dependencies": True}
    made.drop(made.request(made.folder / "study", "run_all", **again))
    made.drain()
    done = made.try_to("archive", "ws", "--yes")
    assert (done.returncode, "r2" in done.stderr) == (5, True)
    assert files_of(made)
    assert not list((made.high / "archives").glob(".ws*"))


def test_a_backup_that_the_disk_does_not_give_back_is_none(made: Site) -> None:
    target = made.folder / "backup.tar.gz"
    failing = ("strace", "-qq", "-o", "/dev/null", "-P", str(target))
    inject = ("-e", "inject=read:error=EIO")
    done = made.try_to("backup", str(target), inside=(*failing, *inject))
    assert (done.returncode, "[bad_backup, exit 4]" in done.stderr) == (4, True)


def test_a_backup_taken_while_jobs_run_is_whole_and_runs_nothing_again(
    made: Site, new_site: NewSite
) -> None:
    about = {"name": "w2"}
    study = made.study({"project.yaml": SLOW}, "slow")
    made.drop(made.request(study, "run_all", identifier="r2", workspace=about))
    made.start()
    made.until(lambda: has_started(made, "r2"))
    made.do("backup", "backup.tar.gz")
    restored = new_site("restored")
    for path in restored.spool.iterdir():
        if path.name not in ("storage", "inbox"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with tarfile.open(made.folder / "backup.tar.gz") as whole:
        whole.extractall(restored.spool, filter="data")
    restored.do("init")
    assert "r2" in restored.do("status")
    for level in ("high_privacy", "medium_privacy"):
        target = restored.spool / "storage" / level / "workspaces"
        shutil.copytree(made.spool / "storage" / level / "workspaces", target, dirs_exist_ok=True)
    restored.drop(restored.request(made.folder / "study", "run_all", identifier="r1"))
    before = next((made.spool / "done").glob("*/r1.json")).read_bytes()
    restored.drain()
    assert next((restored.spool / "done").glob("*/r1.json")).read_bytes() == before
    assert restored.done("r2")["status"] == "succeeded"
    assert len(list((restored.spool / "done").glob("*/*.json"))) == 2
    assert json.loads((restored.spool / "SPOOL.json").read_bytes()) == json.loads(
        (made.spool / "SPOOL.json").read_bytes()
    )
