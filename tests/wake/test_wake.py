"""A wake-up is a hint that comes soon, and costs only time when it is lost."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spoolrunner.wake import Wake

SOON_S = 2.0
NOTHING_S = 0.2


@pytest.fixture
def wake() -> Iterator[Wake]:
    one = Wake()
    yield one
    one.close()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def settle(wake: Wake) -> None:
    """Until the events of what was done before have come."""
    while wake.wait(NOTHING_S):
        pass


def wakes_within_s(wake: Wake) -> float:
    begun_s = time.monotonic()
    assert wake.wait(SOON_S), "nothing came"
    return time.monotonic() - begun_s


@pytest.mark.parametrize("how", ["create", "rename", "append", "link", "remove"])
def test_whatever_changes_in_the_folder_wakes_at_once(
    wake: Wake, inbox: Path, tmp_path: Path, how: str
) -> None:
    (inbox / "old").touch()
    (tmp_path / "new").touch()
    assert wake.watch([inbox])
    settle(wake)
    if how == "create":
        (inbox / "new").write_text("x")
    elif how == "rename":
        (tmp_path / "new").rename(inbox / "new")
    elif how == "append":
        with (inbox / "old").open("a") as old:
            old.write("x")
    elif how == "link":
        os.link(tmp_path / "new", inbox / "new")
    else:
        (inbox / "old").unlink()
    assert wakes_within_s(wake) < SOON_S


def test_looking_does_not_wake_the_one_who_looks(wake: Wake, inbox: Path) -> None:
    (inbox / "old").write_text("x")
    wake.watch([inbox])
    settle(wake)
    os.listdir(inbox)
    (inbox / "old").read_text()
    assert not wake.wait(NOTHING_S)


def test_a_file_that_was_just_moved_away_does_not_hold_back_the_next(
    wake: Wake, inbox: Path, tmp_path: Path
) -> None:
    """watchdog waits half a second for the other half of a move; each claim is half a move."""
    wake.watch([inbox])
    for number in range(5):
        (inbox / "claimed").touch()
        assert wake.wait(SOON_S)
        settle(wake)
        (inbox / "claimed").rename(tmp_path / str(number))
        (inbox / "next").touch()
        assert wakes_within_s(wake) < 0.3
        settle(wake)
        (inbox / "next").unlink()
        settle(wake)


def test_many_changes_are_one_hint_and_none_after_the_last_is_lost(wake: Wake, inbox: Path) -> None:
    wake.watch([inbox])
    for number in range(2000):
        (inbox / str(number)).touch()
    assert wake.wait(SOON_S)
    settle(wake)
    (inbox / "last").touch()
    assert wake.wait(SOON_S)


def test_a_folder_that_was_replaced_is_watched_anew(wake: Wake, inbox: Path) -> None:
    wake.watch([inbox])
    shutil.move(inbox, inbox.with_name("old"))
    inbox.mkdir()
    assert wake.watch([inbox])
    settle(wake)
    (inbox / "new").touch()
    assert wake.wait(SOON_S)


def test_watching_again_costs_nothing_and_no_thread(wake: Wake, inbox: Path) -> None:
    wake.watch([inbox])
    before = threading.active_count()
    for _ in range(100):
        assert wake.watch([inbox])
    assert threading.active_count() == before


def test_a_missing_folder_costs_only_its_own_events(wake: Wake, inbox: Path) -> None:
    missing = inbox.with_name("missing")
    assert not wake.watch([inbox, missing])
    before = threading.active_count()
    for _ in range(20):
        assert not wake.watch([inbox, missing])
    assert threading.active_count() == before
    (inbox / "new").touch()
    assert wake.wait(SOON_S)
    missing.mkdir()
    assert wake.watch([inbox, missing])
    settle(wake)
    (missing / "new").touch()
    assert wake.wait(SOON_S)


def test_any_thread_may_wake(wake: Wake) -> None:
    threading.Timer(0.05, wake.set).start()
    assert wake.wait(SOON_S)
    assert not wake.wait(0)


WITHOUT_EVENTS = """
import sys
from pathlib import Path
from spoolrunner.wake import Wake
import resource
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
limit = len(list(Path("/proc/self/fd").iterdir()))
resource.setrlimit(resource.RLIMIT_NOFILE, (limit - 1, most))
wake = Wake()
for _ in range(3):
    assert wake.watch([Path(sys.argv[1])]) is False
assert wake.wait(0.05) is False
resource.setrlimit(resource.RLIMIT_NOFILE, (limit + 50, most))
assert wake.watch([Path(sys.argv[1])]) is True
Path(sys.argv[1], "new").touch()
assert wake.wait(2) is True
wake.close()
"""


def test_without_events_only_the_timer_wakes_and_they_come_back(inbox: Path) -> None:
    """Too many open files, or inotify instances of this user: EMFILE."""
    subprocess.run([sys.executable, "-c", WITHOUT_EVENTS, str(inbox)], timeout=30, check=True)
