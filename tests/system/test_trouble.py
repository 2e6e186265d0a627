"""What people and machines do to a running spool: the runner goes on, and nothing is lost."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.site import Site
from tests.system.test_crash_points import ENDLESS, GATED, QUICK, edit, has_started

NO_SUCH_IMAGE = "stata-mp:latest"


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A folder on a filesystem of 4 MB of its own."""
    disk = folder / "site" / "spool"
    disk.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        if os.environ.get("CI") == "true":
            pytest.fail("tmpfs can't be mounted")
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


class VolatileSite(Site):
    def do(self, *words: str) -> str:
        return super().do(*words, *(["--volatile"] if words == ("init",) else []))


def test_a_full_disk_is_waited_for(small_disk: Path, folder: Path) -> None:
    site = VolatileSite(
        folder / "site",
        MIN_FREE_DISK="0",
        HIGH_PRIVACY_STORAGE_BASE=str(folder / "high"),
        MEDIUM_PRIVACY_STORAGE_BASE=str(folder / "medium"),
    )
    study = site.study({"project.yaml": GATED})
    asked = json.dumps(site.request(study, "run_all", identifier="r1"))
    (small_disk / "inbox/r1.json").write_text(asked)
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    runner.send_signal(signal.SIGSTOP)
    site.let_go(folder / "high")
    site.until(lambda: list((small_disk / "processes").glob("*/status")))
    fill(small_disk / "fill")
    runner.send_signal(signal.SIGCONT)
    site.until(lambda: "the disk fails" in log(site))
    (small_disk / "fill").unlink()
    site.finished("r1")
    assert set(site.statuses("r1").values()) == {"succeeded"}
    assert runner.poll() is None
    site.close()


def test_a_disk_that_is_full_when_a_study_is_fetched_fails_no_request(site: Site) -> None:
    study = site.study({"project.yaml": QUICK})
    site.drop(site.request(study, "first", identifier="r1"))
    cache = site.spool / "git"
    cache.mkdir(mode=0o700)
    mount = ("mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "tmpfs", str(cache))
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        site.drain()
        assert "tried again in" in site.active("r1")["message"]
        larger = ("mount", "-o", "remount,size=16m", str(cache))
        subprocess.run(larger, check=True)
        site.drain()
    finally:
        subprocess.run(["umount", "-l", str(cache)], check=True)
    assert site.statuses("r1") == {"first": "succeeded"}


def test_storage_that_goes_away_and_comes_back_is_waited_for(site: Site) -> None:
    study = site.study({"project.yaml": QUICK})
    pause = site.spool / "control" / "paused"
    pause.touch()
    site.start()
    site.drop(site.request(study, "first", identifier="r1"))
    site.until(lambda: "paused" in codes(site, "r1"))
    site.high.rename(site.folder / "away")
    pause.unlink()
    site.until(lambda: "waiting_on_disk" in codes(site, "r1"))
    (site.folder / "away").rename(site.high)
    site.finished("r1")
    assert site.statuses("r1") == {"first": "succeeded"}


def test_a_container_that_cannot_be_cleared_does_not_change_what_its_job_came_to(
    site: Site,
) -> None:
    study = site.study({"project.yaml": GATED})
    site.drop(site.request(study, "first", identifier="r1"))
    site.start()
    site.until(lambda: has_started(site, "r1"))
    for kept in (site.spool / "processes").iterdir():
        (kept / "a stray file").touch()
    site.let_go()
    site.finished("r1")
    assert site.statuses("r1") == {"first": "succeeded"}
    assert site.jobs("r1")["first"]["attempt"] == 1


def test_a_job_that_was_killed_ends_so_when_a_power_cut_took_its_folder(site: Site) -> None:
    study = site.study({"project.yaml": ENDLESS})
    site.drop(site.request(study, "first", identifier="r1"))
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    runner.kill()
    runner.wait()
    (kept,) = (site.spool / "processes").iterdir()
    os.kill(json.loads((kept / "started").read_bytes())["pid"], signal.SIGUSR1)
    site.until((kept / "status").exists)
    request = site.active("r1")
    request["jobs"][0]["cancel"] = "admin"
    (site.spool / "running" / "r1.json").write_text(json.dumps(request))
    shutil.rmtree(site.high / "volumes" / kept.name)
    site.drain()
    assert site.statuses("r1") == {"first": "killed_by_admin"}


def test_a_running_job_is_not_said_to_be_paused(site: Site) -> None:
    site.settings["STOP_GRACE"] = "1s"
    study = site.study({"project.yaml": ENDLESS})
    site.drop(site.request(study, "first", identifier="r1"))
    site.start()
    site.until(lambda: has_started(site, "r1"))
    site.close()
    (site.spool / "control" / "paused").touch()
    site.start()
    other = {"name": "other"}
    site.drop(site.request(study, "first", identifier="r2", workspace=other), "r2.json")
    site.until(lambda: "paused" in codes(site, "r2"))
    assert codes(site, "r1") == ["executing"]
    site.do("cancel", "r1")
    site.finished("r1")


def test_a_request_file_changed_by_hand_is_set_aside_and_its_jobs_end(site: Site) -> None:
    site.settings["STOP_GRACE"] = "1s"
    study = site.study({"project.yaml": ENDLESS})
    site.drop(site.request(study, "first", identifier="r1"))
    site.start()
    site.until(lambda: has_started(site, "r1"))
    edit(site, "r1", lambda request: request.update(message="mine"))
    site.do("cancel", "r1")
    site.until(lambda: "r1.json" in site.rejected())
    assert site.rejected()["r1.json"]["error"] == "changed_by_hand"
    assert not (site.spool / "running/r1.json").exists()
    site.until(lambda: not list((site.spool / "processes").iterdir()))


def test_a_request_file_removed_while_its_last_job_is_cleared_away_ends_nothing_else(
    site: Site,
) -> None:
    study = site.study({"project.yaml": GATED})
    site.drop(site.request(study, "first", identifier="r1"))
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    for kept in (site.spool / "processes").iterdir():
        (kept / "a stray file").touch()
    site.let_go()
    site.until(lambda: site.active("r1")["jobs"][0]["phase"] == "ended")
    (site.spool / "running/r1.json").unlink()
    site.until(lambda: "request=r1 was moved or changed by hand" in log(site))
    site.drop(site.request(study, "first", identifier="r2"), "r2.json")
    site.until(lambda: has_started(site, "r2"))
    site.let_go()
    site.finished("r2")
    assert runner.poll() is None


def test_a_folder_among_the_orders_is_no_order(site: Site) -> None:
    study = site.study({"project.yaml": ENDLESS})
    (site.spool / "control/cancel/r1").mkdir()
    (site.spool / "control/paused").touch()
    site.start()
    site.drop(site.request(study, "first", identifier="r1"))
    site.until(lambda: "paused" in codes(site, "r1"))
    site.do("cancel", "r1", "first")
    site.finished("r1")
    assert site.statuses("r1") == {"first": "cancelled_by_user"}


def test_a_drain_ends_although_a_job_waits_for_the_reader_of_what_it_replaces(site: Site) -> None:
    study = site.study({"project.yaml": QUICK})
    site.drop(site.request(study, "first", identifier="r0"))
    site.drain()
    needs_image = QUICK.replace('python:v2 sh -c "cat', f'{NO_SUCH_IMAGE} sh -c "cat')
    study = site.study({"project.yaml": needs_image})
    site.drop(site.request(study, "second", identifier="r1"), "r1.json")
    site.drain()
    site.drop(site.request(study, "first", identifier="r2"), "r2.json")
    site.drain()
    assert codes(site, "r1") == ["waiting_on_image"]


def test_a_cancelled_job_that_waited_for_an_image_does_not_keep_the_runner_awake(
    site: Site,
) -> None:
    study = site.study({"project.yaml": QUICK.replace("python:v2", NO_SUCH_IMAGE, 1)})
    site.drop(site.request(study, "first", identifier="r1"))
    runner = site.start()
    site.until(lambda: "waiting_on_image" in codes(site, "r1"))
    hold_over_s = time.monotonic() + 11  # it is tried again every 10 s
    site.do("cancel", "r1")
    site.finished("r1")
    site.until(lambda: time.monotonic() > hold_over_s)
    before, until_s = switches(runner.pid), time.monotonic() + 3
    site.until(lambda: time.monotonic() > until_s)
    assert switches(runner.pid) - before < 20


def fill(path: Path) -> None:
    """Until the disk is full."""
    with path.open("wb", 0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def log(site: Site) -> str:
    return (site.folder / "runner.log").read_text()


def codes(site: Site, identifier: str) -> list[str]:
    if not (site.spool / "running" / f"{identifier}.json").exists():
        return []
    return [job["status_code"] for job in site.active(identifier)["jobs"]]


def switches(pid: int) -> int:
    """How often the process gave up its processor: each wake-up is one."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
