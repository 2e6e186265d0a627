"""The clock jumps, runners are stopped, folders move: nothing is lost or done twice."""

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.site import Site
from tests.system.conftest import NewSite
from tests.system.test_crash_points import GATED, QUICK, has_started
from tests.system.test_trouble import codes, log


class Clock:
    """The wall clock of a runner, by libfaketime; files keep the real one's times."""

    def __init__(self, site: Site, library: Path) -> None:
        self._file = site.folder / "clock"
        self.set("+0")
        fake = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        real = site.settings
        site.settings = real | fake
        self.runner = site.start(program="tests.system.asleep")
        site.settings = real

    def set(self, offset: str) -> None:
        draft = self._file.with_suffix(".draft")
        draft.write_text(offset)
        draft.rename(self._file)


@pytest.fixture
def clock() -> Callable[[Site], Clock]:
    found = list(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found and os.environ.get("CI") == "true":
        pytest.fail("faketime is not installed")
    if not found:
        pytest.skip("not installed: faketime")
    return lambda site: Clock(site, found[0])


@pytest.mark.parametrize("jump", ["+1d", "-1d"])
def test_a_clock_that_jumps_a_day_under_the_runner_changes_nothing(
    new_site: NewSite, clock: Callable[[Site], Clock], jump: str
) -> None:
    site = new_site(JOB_TIMEOUT="1h", MAX_WORKERS="2")
    study = site.study({"project.yaml": GATED})
    site.drop(site.request(study, "run_all", identifier="r1"))
    time = clock(site)
    site.until(lambda: has_started(site, "r1"))
    time.set(jump)
    elsewhere = {"name": "other"}
    site.drop(site.request(study, "first", identifier="r2", workspace=elsewhere), "r2.json")
    site.until(lambda: has_started(site, "r2"))
    site.let_go()
    for name in ("r1", "r2"):
        site.finished(name)
        assert set(site.statuses(name).values()) == {"succeeded"}
        assert {job["attempt"] for job in site.jobs(name).values()} == {1}
    assert wrong(site) == set()


def test_a_runner_that_is_stopped_for_a_day_stays_the_one_who_moves(
    new_site: NewSite, clock: Callable[[Site], Clock]
) -> None:
    site = new_site()
    study = site.study({"project.yaml": GATED})
    site.drop(site.request(study, "first", identifier="r1"))
    time = clock(site)
    site.until(lambda: has_started(site, "r1"))
    with stopped(time.runner.pid, *tree_of_keepers(site)):
        time.set("+1d")
        second = site.start()
        site.until(lambda: "standing by" in log(site))
        beside = site.try_to("run", "--drain")
        assert (beside.returncode, beside.stderr) == (0, "")
        assert log(site).count("runner started") == 1
    site.let_go()
    site.finished("r1")
    assert site.jobs("r1")["first"]["attempt"] == 1
    assert (time.runner.poll(), second.poll()) == (None, None)


def test_a_drop_among_more_events_than_the_kernel_keeps_is_taken(site: Site) -> None:
    study = site.study({"project.yaml": QUICK})
    runner = site.start()
    site.until(lambda: "alive" in site.do("status"))
    runner.send_signal(signal.SIGSTOP)
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(most // 3 + 100):  # created, closed and deleted: neighbours are different
        path = site.spool / "inbox" / f"{number}.tmp"
        path.write_text("x")
        path.unlink()
    site.drop(site.request(study, "first", identifier="r1"))
    runner.send_signal(signal.SIGCONT)
    site.finished("r1")


def test_an_inbox_that_is_replaced_by_another_folder_is_the_inbox(site: Site) -> None:
    study = site.study({"project.yaml": QUICK})
    site.start()
    site.until(lambda: "alive" in site.do("status"))
    inbox = site.spool / "inbox"
    inbox.rename(site.folder / "old inbox")
    inbox.mkdir()
    inbox.chmod(0o1733)
    site.drop(site.request(study, "first", identifier="r1"))
    site.do("run", "--drain")  # wakes it; else the timer does, within 10 s
    site.finished("r1")
    site.drop(site.request(study, "second", identifier="r2"), "r2.json")
    site.finished("r2")


def test_without_watches_the_timer_is_enough_and_check_says_so(site: Site) -> None:
    none_left = 'echo 0 > /proc/sys/user/max_inotify_instances; exec "$@"'
    done = site.try_to("check", inside=("unshare", "-Ur", "sh", "-c", none_left, "sh"))
    assert "no_events" in done.stdout
    asked = site.request("/nowhere", "first", identifier="r1")
    site.drop(asked)
    done = site.try_to("run", "--drain", inside=("unshare", "-Ur", "sh", "-c", none_left, "sh"))
    assert done.returncode == 0, done.stderr
    assert site.done("r1")["status"] == "failed"


def test_a_spool_that_is_moved_while_no_runner_is_alive_goes_on_where_it_is(
    new_site: NewSite, folder: Path
) -> None:
    site = new_site(
        HIGH_PRIVACY_STORAGE_BASE=str(folder / "high"),
        MEDIUM_PRIVACY_STORAGE_BASE=str(folder / "medium"),
        MAX_WORKERS="1",
    )
    study = site.study({"project.yaml": GATED})
    for name in ("r1", "r2"):
        about = {"name": name}
        asked = site.request(study, "first", identifier=name, workspace=about)
        site.drop(asked, f"{name}.json")
    site.start()
    names = ("r1", "r2")
    site.until(
        lambda: (
            any(has_started(site, one) for one in names) and all(codes(site, one) for one in names)
        )
    )
    site.close()
    site.spool.rename(folder / "moved")
    site.spool = folder / "moved"
    site.settings["SPOOL_DIR"] = str(site.spool)
    runner = site.start("--drain")
    site.until(lambda: site.let_go(folder / "high") or runner.poll() is not None)
    for name in ("r1", "r2"):
        assert site.statuses(name) == {"first": "succeeded"}
        assert site.jobs(name)["first"]["attempt"] == 1
    assert wrong(site) == set()


@contextlib.contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """For the length of the block none of them runs."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def wrong(site: Site) -> set[str]:
    found = json.loads(site.try_to("check", "--all", "--hash", "--json").stdout)["findings"]
    return {one["kind"] for one in found if one["grade"] != "note"}


def tree_of_keepers(site: Site) -> list[int]:
    """Every process of every job, keepers first."""
    found = []
    for started in (site.spool / "processes").glob("*/started"):
        keeper = json.loads(started.read_bytes())["pid"]
        found += [keeper, *children(keeper)]
    return found


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [each for child in map(int, listed) for each in (child, *children(child))]
