"""Some of all calls fail; and disks that are really full, out of files, or read-only at once."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.faults import faults, try_one
from tests.crash.life import Life
from tests.crash.loop import Disk, only_root
from tests.crash.points import choose, rotating
from tests.site import Site
from tests.system.test_crash_points import CHAIN, QUICK, has_started

EVERY = 260
SOON = CHAIN.replace("FIRST", "sleep 2")


def test_a_call_that_fails_once_loses_nothing(life: Life) -> None:
    offset = rotating(EVERY)
    print(f"every {EVERY}. from {offset}")
    results = [try_one(life, point) for point in choose(faults(life), EVERY, offset)]
    assert {str(one.point): one.violations for one in results if one.violations} == {}
    assert len(results) > 10


@pytest.fixture
def kind() -> str:
    return "ext4"


@pytest.fixture
def place() -> str:
    return "spool"


@pytest.fixture
def disk(tmp_path: Path, kind: str, place: str) -> Iterator[Disk]:
    tmp_path.chmod(0o755)
    if reason := only_root():
        pytest.skip(reason)
    one = Disk(tmp_path / "image", tmp_path / "site" / place, kind)
    one.mount()
    yield one
    assert one.unmount()


@pytest.fixture
def site(disk: Disk) -> Iterator[Site]:
    storage = (
        {} if disk.mounted.name == "spool" else {"HIGH_PRIVACY_STORAGE_BASE": str(disk.mounted)}
    )
    one = Site(disk.mounted.parent, MIN_FREE_DISK="8M", **storage)
    yield one
    one.close()


def ask(site: Site, project: str, action: str) -> str:
    """Its identifier. By a command: a rename does not reach another disk."""
    return site.do("submit", str(site.study({"project.yaml": project})), action).strip()


def codes(site: Site, identifier: str) -> list[str]:
    path = site.spool / "running" / f"{identifier}.json"
    return [job["status_code"] for job in site.active(identifier)["jobs"]] if path.exists() else []


def runner_log(site: Site) -> str:
    return (site.folder / "runner.log").read_text()


@pytest.mark.parametrize(
    ("kind", "fill", "free"),
    [
        ("ext4", Disk.fill, Disk.free),
        ("ext4", Disk.use_up_files, Disk.free),
        ("btrfs", Disk.limit, Disk.lift),
    ],
)
def test_on_a_full_disk_new_work_is_held_until_there_is_room(
    site: Site, disk: Disk, fill: Callable[[Disk], None], free: Callable[[Disk], None]
) -> None:
    pause = site.spool / "control" / "paused"
    pause.touch()
    identifier = ask(site, QUICK, "first")
    runner = site.start()
    site.until(lambda: "paused" in codes(site, identifier))
    fill(disk)
    pause.unlink()
    # In the job itself if that can be written; else in the log.
    site.until(
        lambda: "waiting_on_disk" in codes(site, identifier) or "the disk fails" in runner_log(site)
    )
    assert runner.poll() is None
    free(disk)
    site.finished(identifier)
    assert site.statuses(identifier) == {"first": "succeeded"}


@pytest.mark.parametrize(("kind", "place"), [("btrfs", "storage")])
def test_while_one_job_meets_a_full_disk_no_other_starts(site: Site, disk: Disk) -> None:
    """A quota: the free bytes that the system tells of would let it."""
    study = str(site.study({"project.yaml": CHAIN.replace("FIRST; echo x > a.csv", WAITS)}))
    running = site.do("submit", study, "first").strip()
    site.start()
    site.until(lambda: list(disk.mounted.glob("volumes/sr-*/workspace/gate")))
    disk.limit()
    (gate,) = disk.mounted.glob("volumes/sr-*/workspace/gate")
    gate.write_text("go\n")
    site.until(lambda: "disk is full" in site.active(running)["jobs"][0]["status_message"])
    other = site.do("submit", study, "first", "--workspace", "other").strip()
    site.until(lambda: codes(site, other) == ["waiting_on_disk"])
    disk.lift()
    site.finished(running)
    assert site.jobs(running)["first"]["attempt"] == 1
    site.until(lambda: codes(site, other) == ["executing"])
    site.close()
    site.do("kill", other)
    site.drain()
    assert site.statuses(running) == {"first": "succeeded"}


WAITS = "echo x > a.csv; mkfifo gate; read go < gate"


def test_a_disk_that_becomes_read_only_under_a_job_loses_nothing(site: Site, disk: Disk) -> None:
    site.settings["JOB_TIMEOUT"] = "1s"  # to be written down, which can't be done
    identifier = ask(site, SOON, "run_all")
    runner = site.start()
    site.until(lambda: has_started(site, identifier))
    disk.abort()
    site.until(lambda: "Read-only file system" in runner_log(site))
    assert runner.poll() is None
    site.close()
    for started in (site.spool / "processes").glob("*/started"):  # who is to write how it ended
        os.kill(json.loads(started.read_bytes())["pid"], signal.SIGKILL)
    del site.settings["JOB_TIMEOUT"]
    site.until(disk.unmount)
    disk.mount()
    site.drain()
    assert site.statuses(identifier) == {"first": "succeeded", "second": "succeeded"}
