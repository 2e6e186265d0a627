"""status: for people, for monitoring, for those who may not read request files."""

import grp
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.site import WITHIN_S, Site
from tests.system.conftest import NewSite
from tests.system.test_crash_points import ENDLESS, QUICK, has_started

GROUP = "games"  # any group that every Debian has and nobody is in
STYLE = re.compile(r"\x1b\[[\d;]*m")
HOME = "\x1b[H"
CONTROL = re.compile(r"\x1b\[[?\d;]*[A-Za-z]|\r")
COLOUR = re.compile(r"\x1b\[[\d;]*3\dm")
FORTY = "version: '4.0'\nactions:\n" + "".join(
    f"  step_{n}: {{run: python:v2 true {n}, outputs: {{highly_sensitive: {{o: {n}.csv}}}}}}\n"
    for n in range(40)
)


def as_another(site: Site, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """By a user in SPOOL_GROUP who knows nothing but where the spool is. more: of their own."""
    gid = grp.getgrnam(GROUP).gr_gid
    known = site.environment()
    names = ("PATH", "PYTHONPATH", "SPOOL_DIR", "NO_COLOR", *os.environ.keys() & {"LANG"})
    return subprocess.run(
        [sys.executable, "-m", "tests.system.nobody", f"+{gid}", *words],
        env={name: known[name] for name in names if name in known} | more,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def on_a_terminal(site: Site, *words: str, columns: int, **environment: str) -> str:
    """What a person sees, with its colours."""
    mine, its = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-m", "spoolrunner", *words],
        env={**site.environment(), "TERM": "xterm", "COLUMNS": str(columns), **environment},
        stdout=its,
        stderr=its,
        stdin=its,
    )
    os.close(its)
    shown = b""
    try:
        while part := os.read(mine, 1 << 16):
            shown += part
    except OSError:  # the other end is closed
        pass
    os.close(mine)
    assert done.wait(WITHIN_S) == 0
    return shown.decode()


@pytest.fixture
def shared_site(new_site: NewSite) -> Site:
    if os.geteuid():
        pytest.skip("only root can become another user")
    unlikely = {"BACKEND": "test", "USING_DUMMY_DATA_BACKEND": "1"}  # not what one would guess
    return new_site(SPOOL_GROUP=GROUP, STOP_GRACE="0s", **unlikely)


def shown(output: str) -> list[str]:
    return [job["status"] for job in json.loads(output)["jobs"]]


def test_who_is_only_in_the_group_sees_what_runs_and_no_request_file(shared_site: Site) -> None:
    site = shared_site
    study = site.study({"project.yaml": ENDLESS})
    site.drop(site.request(study, "run_all", identifier="r1"))
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    site.until(lambda: shown(as_another(site, "status", "--json").stdout) == ["running", "pending"])
    seen = json.loads(as_another(site, "status", "--json").stdout)
    own = json.loads(site.do("status", "--json"))
    for name in ("spool", "backend", "runner", "flags", "jobs", "recent"):
        assert seen[name] == own[name], name
    assert as_another(site, "show", "r1").returncode == 4
    assert "r1" in as_another(site, "status").stdout
    assert as_another(site, "status", "--check", MAX_WORKERS="not settings of ours").returncode == 0
    runner.kill()
    runner.wait()
    assert as_another(site, "status", "--check").returncode == 4
    assert json.loads(as_another(site, "status", "--json").stdout)["runner"]["alive"] is False
    site.do("kill", "r1")
    site.drain()
    assert "r1" in as_another(site, "status").stdout


def test_show_tells_where_a_running_job_is(site: Site) -> None:
    site.settings["STOP_GRACE"] = "0s"
    site.drop(site.request(site.study({"project.yaml": ENDLESS}), "first", identifier="r1"))
    site.start()
    site.until(lambda: has_started(site, "r1"))
    site.until(lambda: re.search("^process.*sleep 1000", site.do("show", "r1"), re.MULTILINE))
    told = dict(line.split(None, 1) for line in site.do("show", "r1").splitlines() if line)
    assert (Path(told["folder"]) / "project.yaml").exists()
    assert Path(told["folder"]).parent.name == told["container"]
    site.do("kill", "r1")
    site.finished("r1")
    assert "container" not in site.do("show", "r1")


def test_check_tells_monitoring_whose_turn_it_is(site: Site) -> None:
    assert site.try_to("status", "--check").returncode == 4
    site.drain()
    done = site.try_to("status", "--check")
    assert (done.returncode, done.stdout) == (0, "well\n")
    site.do("pause")
    done = site.try_to("status", "--check", "--json")
    assert (done.returncode, json.loads(done.stdout)["reasons"]) == (1, ["paused"])
    site.do("resume")
    site.settings["MIN_FREE_DISK"] = "1000T"
    done = site.try_to("status", "--check")
    assert (done.returncode, "MIN_FREE_DISK" in done.stdout) == (1, True)


def test_the_first_line_says_where_the_spool_is(site: Site) -> None:
    site.settings["SPOOL_DIR"] = "spool"  # the site's commands run in its folder
    assert site.do("status").splitlines()[0].split()[:2] == ["spool", str(site.spool)]


def test_why_the_last_were_rejected_is_told_at_once(site: Site) -> None:
    for number in range(5):
        site.drop('{"backend": "expectations"}', f"{number}.json")
        site.drain()
    told = site.do("status").splitlines()
    reasons = [line for line in told if line.startswith("rejected ")]
    assert len(reasons) == 3
    assert told[-1].startswith("rejected/ holds 5")
    assert all("requested_actions" in line for line in reasons)


def test_many_jobs_of_one_request_take_few_lines(site: Site) -> None:
    site.do("pause")
    site.drop(site.request(site.study({"project.yaml": FORTY}), "run_all", identifier="r1"))
    site.drain()
    shown = site.do("status")
    assert "and 39 more" in shown
    assert len(shown.splitlines()) < 12


def test_a_terminal_is_never_too_narrow_and_colours_are_for_terminals(site: Site) -> None:
    site.do("pause")
    about = {"name": "covid-vaccine-effectiveness-2026"}
    asked = site.request(site.study({"project.yaml": QUICK}), "run_all", workspace=about)
    site.drop({**asked, "identifier": "k3j2h4g5f6d7s8a9"})
    site.drain()
    for columns in (40, 80, 120):
        shown = on_a_terminal(site, "status", columns=columns)
        assert not COLOUR.search(shown), "NO_COLOR"
        lines = [STYLE.sub("", line).rstrip() for line in shown.splitlines()]
        assert max(map(len, lines)) <= columns
        assert any("covid-vaccine-effectiveness-2026" in line for line in lines)
    assert COLOUR.search(on_a_terminal(site, "status", columns=80, NO_COLOR=""))
    assert "\x1b" not in site.do("status")


def test_watch_shows_what_comes_and_is_for_terminals_alone(site: Site) -> None:
    assert site.try_to("status", "--watch").returncode == 2
    mine, its = pty.openpty()
    words = [sys.executable, "-m", "spoolrunner", "status", "--watch"]
    watching = subprocess.Popen(
        words, env={**site.environment(), "TERM": "xterm"}, stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    assert "not running" in until_shown(mine, "not running")
    site.do("pause")
    assert "paused" in until_shown(mine, "paused")
    watching.send_signal(signal.SIGINT)
    assert watching.wait(WITHIN_S) == 130
    os.close(mine)


def frame(site: Site, *words: str, holds: Callable[[str], bool]) -> str:
    """The first one of which that is so that `status --watch` shows, on a wide terminal."""
    mine, its = pty.openpty()
    size = {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    watching = subprocess.Popen(
        [sys.executable, "-m", "spoolrunner", *words],
        env={**site.environment(), **size},
        stdin=its,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    shown, whole, deadline = "", [], time.monotonic() + WITHIN_S
    while not whole:
        assert time.monotonic() < deadline, shown
        shown += os.read(mine, 1 << 16).decode()
        frames = [CONTROL.sub("", each) for each in shown.split(HOME)[:-1]]
        whole = [each for each in frames if each.strip() and holds(each)]
    watching.send_signal(signal.SIGINT)
    assert watching.wait(WITHIN_S) == 130
    os.close(mine)
    return whole[0].rstrip() + "\n"


WAITS = """
version: '4.0'
actions:
  waits: {run: "python:v2 python3 waits.py", outputs: {highly_sensitive: {o: out.csv}}}
"""
AT_ONCE = "open('out.csv', 'w').write('x')"
FOR_LONG = "import time; open('big', 'wb').write(bytes(5_000_000)); time.sleep(600)"


def test_watch_tells_how_long_a_job_took_before_and_what_it_takes(site: Site) -> None:
    site.settings["STOP_GRACE"] = "0s"
    study = site.study({"project.yaml": WAITS, "waits.py": AT_ONCE})
    site.drop(site.request(study, "waits", identifier="r1"))
    site.drain()
    study = site.study({"waits.py": FOR_LONG})
    site.drop(site.request(study, "waits", identifier="r2"))
    site.start()
    mine, its = pty.openpty()
    words = [sys.executable, "-m", "spoolrunner", "status", "--watch"]
    sized = {"TERM": "xterm", "COLUMNS": "160", "LINES": "40"}
    watching = subprocess.Popen(
        words, env={**site.environment(), **sized}, stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    assert " over" in until_shown(mine, " over"), "its first run took a moment"
    assert "5.0 MB" in until_shown(mine, "5.0 MB")
    watching.send_signal(signal.SIGINT)
    assert watching.wait(WITHIN_S) == 130
    os.close(mine)
    site.do("kill", "r2")
    site.finished("r2")


def until_shown(terminal: int, words: str) -> str:
    shown, deadline = "", time.monotonic() + WITHIN_S
    while words not in shown and time.monotonic() < deadline:
        shown += os.read(terminal, 1 << 16).decode(errors="replace")
    return shown


def test_a_full_disk_hides_nothing(site: Site, tmp_path: Path) -> None:
    site.drop(site.request(site.study({"project.yaml": QUICK}), "run_all", identifier="r1"))
    site.drain()
    full = {**site.environment(), "TMPDIR": "/dev/full"}
    words = [sys.executable, "-m", "spoolrunner", "status"]
    limit = ["prlimit", "--fsize=0"]  # not one byte can be written to any file
    done = subprocess.run(
        [*limit, *words], env=full, stdout=subprocess.PIPE, text=True, check=True, timeout=WITHIN_S
    )
    assert "r1" in done.stdout
