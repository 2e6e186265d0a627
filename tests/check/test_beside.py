"""check beside runners that live, that were killed, and of other versions."""

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Callable

import pytest

from spoolrunner.check import KINDS, ground
from spoolrunner.executor import Running
from spoolrunner.executor.kept import KeptJob
from tests.check.conftest import Copy
from tests.check.damages import DAMAGES
from tests.rig import images
from tests.rig.engine import Engine
from tests.system.test_crash_points import ENDLESS, has_started

NewCopy = Callable[[], Copy]


def test_beside_a_live_runner_nothing_is_found_and_nothing_is_repaired(copied: NewCopy) -> None:
    site = with_a_job(copied())
    assert site.kinds("--all", "--hash") == set()
    done = site.try_to("check", "--repair")
    assert done.returncode == 5
    assert "alive" in done.stderr
    assert site.runners[-1].poll() is None


def test_after_a_kill_the_job_that_goes_on_is_no_finding(copied: NewCopy) -> None:
    site = with_a_job(copied())
    kill(site)
    assert site.kinds() == set()
    assert site.kinds("--repair") == set()
    assert has_started(site, "long")


def test_a_job_whose_container_is_gone_is_told_and_left_to_the_runner(copied: NewCopy) -> None:
    site = with_a_job(copied())
    kill(site)
    (kept,) = (site.spool / "processes").iterdir()
    os.kill(json.loads((kept / "started").read_bytes())["pid"], signal.SIGKILL)
    site.until(lambda: not isinstance(KeptJob(kept).look(), Running))
    shutil.rmtree(kept)
    assert site.kinds("--repair") == {"job_without_container"}


def test_a_container_of_an_engine_without_a_job_is_cleared_and_no_others(
    copied: NewCopy, engine: Engine
) -> None:
    site = copied()
    site.settings |= {"EXECUTOR": "docker", "DOCKER_HOST": engine.socket}
    spool8 = json.loads((site.spool / "SPOOL.json").read_bytes())["id"][:8]
    labels = {"ours": spool8, "other": "01234567"}
    with contextlib.closing(engine.client()) as client:
        made = {
            whose: client.containers.create(
                images.BUSYBOX, name=f"sr-{label}-gone-1", labels={"spoolrunner": label}
            )
            for whose, label in labels.items()
        }
    assert site.kinds() == {"container_without_job"}
    assert site.kinds("--repair") == set()
    left = {about["Id"] for about in engine.containers()}
    assert made["ours"].id not in left
    assert made["other"].id in left
    with contextlib.closing(engine.client()) as client:
        client.containers.get(made["other"].id).remove()


def test_a_draft_is_left_while_somebody_may_write_it(
    copied: NewCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = copied()
    draft = site.spool / "running/.draft-0123456789abcdef"
    draft.write_text("{half")
    dropped = site.spool / "inbox/.draft-0123456789abcdef"
    dropped.write_text("{half")
    assert site.kinds("--repair") == set()
    monkeypatch.setattr(ground, "STILL_WRITTEN_S", 0)
    assert site.kinds() == {"stray_draft"}
    assert site.kinds("--repair") == set()
    assert not draft.exists()
    kept = [path for path in (site.spool / "rejected").iterdir() if path.suffix != ".json"]
    assert [path.read_text() for path in kept] == ["{half"]


NEWER = {
    "an active request": "running/new1.json",
    "a finished request": "done/*/old1.json",
    "a workspace": "workspaces/ws.json",
    "a report": "outbox/old1.0000000000000007.json",
    "a journal": "storage/high_privacy/publishing/ws/first.json",
    "an entry of index": "index/*/old1",
}


@pytest.mark.parametrize("which", NEWER)
def test_a_file_of_a_later_version_stops_all_repairs(copied: NewCopy, which: str) -> None:
    site = copied()
    path = next(site.spool.glob(NEWER[which]), site.spool / NEWER[which])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"format": 99, "what": "nobody knows yet"}')
    (site.spool / "recent.json").write_text("{torn")
    assert "newer_format" in site.kinds("--all")
    before = path.read_bytes()
    assert {"newer_format", "torn_recent"} <= site.kinds("--repair", "--all")
    assert path.read_bytes() == before


FIT = {
    "low_disk": {"MIN_FREE_DISK": "1000T"},
    "setting_unused": {"STATS_DATABASE_FILE": "x"},
    "no_executor": {"EXECUTOR": "docker", "DOCKER_HOST": "unix:///nowhere"},
    "no_images": {"ALLOWED_IMAGES": "stata-mp"},
    "bad_storage": {"HIGH_PRIVACY_STORAGE_BASE": "/nowhere"},
    "setting_risky": {"DATABASE_ACCESS_NETWORK": "bridge"},
}


@pytest.mark.parametrize("kind", FIT)
def test_what_no_runner_could_work_with_is_told(copied: NewCopy, kind: str) -> None:
    site = copied()
    site.settings |= FIT[kind]
    assert kind in site.kinds()


def test_a_mirror_that_others_may_write_in_is_told(copied: NewCopy) -> None:
    site = copied()
    mirrored = site.folder / "mirror/opensafely/study.git"
    (mirrored / "objects").mkdir(parents=True)
    mirrored.chmod(0o777)
    site.settings["GIT_MIRROR_DIR"] = str(site.folder / "mirror")
    assert site.kinds() == {"open_mirror"}


def test_a_clock_that_is_behind_is_told(copied: NewCopy) -> None:
    site = copied()
    ahead = 4_000_000_000
    os.utime(site.spool / "recent.json", (ahead, ahead))
    assert site.kinds() == {"clock_behind"}


def test_a_machine_without_git_is_told(copied: NewCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    site = copied()
    monkeypatch.setenv("PATH", str(site.folder))
    assert "no_git" in site.kinds()


def test_what_a_runner_would_refuse_to_start_with_is_told(copied: NewCopy) -> None:
    site = copied()
    site.settings |= {"FULL_DATABASE_URL": "mssql://user:pass@host:1433/db", "EXECUTOR": "process"}
    (site.spool / ".locks/sequence").write_text("torn")
    _, found = site.check()
    assert "cannot_start" in {one["kind"] for one in found}


def test_the_exit_status_reaches_the_shell_and_people_can_read_it(copied: NewCopy) -> None:
    site = copied()
    (site.spool / "recent.json").write_text("{torn")
    done = site.try_to("check")
    assert done.returncode == 1
    assert "torn_recent" in done.stdout
    assert "--repair makes it again" in done.stdout
    assert site.try_to("check", "--repair").returncode == 0


UNPROVOKED = {
    "stray_draft",  # tested above
    "job_without_container",
    "newer_format",
    "unread_file",
    "missing_room",
    # need another machine: a network filesystem, a used-up limit of inotify, an old engine
    *("bad_filesystem", "no_events", "weak_executor", "image_missing"),
    *("open_mirror", "clock_behind", "no_git", "cannot_start"),
}


def test_every_kind_is_provoked_by_a_test() -> None:
    assert {damage.kind for damage in DAMAGES} | FIT.keys() | UNPROVOKED == KINDS.keys()


def with_a_job(site: Copy) -> Copy:
    """A live runner and a job that runs; it ends with the site."""
    study = site.study({"project.yaml": ENDLESS}, name="long")
    (site.spool / "control/paused").unlink()
    asked = site.request(study, "first", identifier="long", workspace={"name": "long"})
    site.drop(asked, "long.json")
    site.start()
    site.until(lambda: has_started(site, "long"))
    for name in ("new1", "new2"):
        site.finished(name)
    return site


def kill(site: Copy) -> None:
    site.runners[-1].kill()
    site.runners[-1].wait()
