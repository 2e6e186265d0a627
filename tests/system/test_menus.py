"""A part of an id that may mean several: a numbered menu where somebody can answer, else a list."""

import os
import pty
import re
import subprocess
import sys
import time

import pytest

from tests.site import WITHIN_S, Site
from tests.system.test_crash_points import QUICK


def on_a_terminal(site: Site, *words: str, says: bytes) -> tuple[int, str]:
    """A command whose question is answered: its exit status, and all that was shown."""
    mine, its = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "spoolrunner", *words],
        env={**site.environment(), "TERM": "xterm"},
        cwd=site.folder,
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    shown, asked = "", False
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        try:
            shown += os.read(mine, 1 << 16).decode()
        except OSError:  # it has ended
            break
        if "Which" in shown and not asked:
            asked = True
            os.write(mine, says)
    os.close(mine)
    return running.wait(WITHIN_S), shown.replace("\r\n", "\n")


@pytest.fixture
def two(site: Site) -> Site:
    """Two requests that wait."""
    study = site.study({"project.yaml": QUICK})
    site.do("pause")
    for name in ("k3a", "k3b"):
        asked = site.request(study, "first", identifier=name, workspace={"name": f"ws-{name}"})
        site.drop(asked, f"{name}.json")
    site.drain()
    return site


def test_without_a_terminal_nobody_is_asked_and_all_are_listed(two: Site) -> None:
    for verb in ("show", "logs", "cancel", "kill", "retry", "status"):
        done = two.try_to(verb, "k3")
        assert (done.returncode, done.stdout) == (3, ""), verb
        assert "[ambiguous_id, exit 3]" in done.stderr
        lines = done.stderr.splitlines()
        assert re.match(r"  k3a  ws-k3a  first  pending  \d+ s ago", lines[1])
        assert re.match(r"  k3b  ws-k3b  first  pending  \d+ s ago", lines[2])


def test_on_a_terminal_a_number_chooses(two: Site) -> None:
    status, shown = on_a_terminal(two, "show", "k3", says=b"2\n")
    assert status == 0
    assert "  1  k3a  ws-k3a" in shown
    assert "  2  k3b  ws-k3b" in shown
    assert "k3b  pending" in shown.split("Which")[1]
    assert on_a_terminal(two, "kill", "k3", says=b"1\n")[0] == 0
    assert on_a_terminal(two, "cancel", "k3", says=b"2\n")[0] == 0
    two.drain()
    assert two.statuses("k3a") == {"first": "killed_by_admin"}
    assert two.statuses("k3b") == {"first": "cancelled_by_user"}
    status, shown = on_a_terminal(two, "retry", "k3", says=b"1\n")
    assert status == 0
    two.drain()
    assert two.active(shown.split()[-1])["retry_of"] in ("k3a", "k3b")


def test_a_wrong_number_is_asked_again_and_ctrl_c_does_nothing(two: Site) -> None:
    status, shown = on_a_terminal(two, "kill", "k3", says=b"3\n0\nx\n2\n")
    assert (status, shown.count("Which")) == (0, 4)
    status, _ = on_a_terminal(two, "kill", "k3", says=b"\x04")
    assert status == 130
    assert sorted(path.name for path in (two.spool / "control/kill").iterdir()) == ["k3b"]


def test_an_action_that_several_requests_have_is_one_of_their_jobs(two: Site) -> None:
    status, shown = on_a_terminal(two, "kill", "first", says=b"1\n")
    assert (status, "asked to kill k3a first" in shown) == (0, True)
    two.drain()
    assert two.statuses("k3a") == {"first": "killed_by_admin"}
    assert (two.spool / "running/k3b.json").exists()
