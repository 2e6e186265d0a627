"""The service as systemd and cron start it.

No systemd runs here: its part is played by a socket, by setpriv and by systemd's own checker.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spoolrunner.cli.reload import CHANGEABLE
from spoolrunner.settings import table
from tests.site import PROJECT, WITHIN_S, Site
from tests.system.conftest import NewSite
from tests.system.test_crash_points import CHAIN, ENDLESS, QUICK, has_started
from tests.system.test_trouble import codes

UNITS = ("spoolrunner.service", "spoolrunner-drain.service")
# PR_SET_MDWE of prctl(2), since Linux 6.3; what comes after it keeps it.
DENY_WRITE_EXECUTE = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)
README = (PROJECT / "README.md").read_text()


@pytest.fixture
def manager(site: Site) -> Iterator[socket.socket]:
    """Where a service manager would listen."""
    path = site.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.settimeout(WITHIN_S)
        site.settings["NOTIFY_SOCKET"] = str(path)
        yield listening


def told(manager: socket.socket, words: str) -> str:
    """The next message that holds these words."""
    while words not in (message := manager.recv(4096).decode()):
        pass
    return message


def test_the_manager_is_told_when_it_is_ready_what_it_is_at_and_that_it_stops(
    site: Site, manager: socket.socket
) -> None:
    site.do("pause")
    site.drop(site.request(site.study({"project.yaml": QUICK}), "run_all", identifier="r1"))
    runner = site.start()
    assert manager.recv(4096).decode().startswith("READY=1\nWATCHDOG=1\nSTATUS=")
    assert "0 running, 2 pending" in told(manager, "2 pending")
    told(manager, "WATCHDOG=1")  # without anything new to tell
    runner.send_signal(signal.SIGTERM)
    assert "STOPPING=1" in told(manager, "STOPPING=1")


def test_one_that_stands_by_is_ready_too(site: Site, manager: socket.socket) -> None:
    site.start()
    told(manager, "0 running")
    site.start()
    told(manager, "standing by")


def test_settings_are_read_again_by_a_signal(site: Site) -> None:
    env_file = site.folder / "our.env"
    env_file.write_text("MAX_WORKERS=1\nBACKEND=expectations\n")
    site.settings |= {"SPOOLRUNNER_ENV": str(env_file), "STOP_GRACE": "0s"}
    slow = CHAIN.replace("FIRST", "sleep 1000")
    study = site.study({"project.yaml": slow})
    for name in ("r1", "r2"):
        about = {"name": name}
        site.drop(site.request(study, "first", identifier=name, workspace=about), f"{name}.json")
    runner = site.start()
    site.until(lambda: has_started(site, "r1") or has_started(site, "r2"))
    site.until(lambda: "waiting_on_workers" in codes(site, "r1") + codes(site, "r2"))
    env_file.write_text("MAX_WORKERS=none\n")
    runner.send_signal(signal.SIGHUP)
    site.until(lambda: "the settings stay as they were: MAX_WORKERS" in log(site))
    env_file.write_text("MAX_WORKERS=2\nBACKEND=other\nUSING_DUMMY_DATA_BACKEND=1\n")
    runner.send_signal(signal.SIGHUP)
    site.until(lambda: has_started(site, "r1") and has_started(site, "r2"))
    assert "these change only with a restart: BACKEND" in log(site)
    for name in ("r1", "r2"):
        site.do("kill", name)
        site.finished(name)


def test_a_drain_reads_its_settings_again_and_stays_silent(site: Site) -> None:
    env_file = site.folder / "our.env"
    env_file.write_text("MAX_WORKERS=1\n")
    site.settings |= {"SPOOLRUNNER_ENV": str(env_file), "STOP_GRACE": "0s"}
    study = site.study({"project.yaml": ENDLESS})
    site.drop(site.request(study, "first", identifier="r1"))
    runner = site.start("--drain")
    site.until(lambda: has_started(site, "r1"))
    quick = site.study({"project.yaml": QUICK}, name="quick")
    about = {"name": "other"}
    site.drop(site.request(quick, "first", identifier="r2", workspace=about), "r2.json")
    env_file.write_text("MAX_WORKERS=2\n")
    runner.send_signal(signal.SIGHUP)
    site.finished("r2")
    site.do("kill", "r1")
    assert runner.wait(WITHIN_S) == 0
    assert log(site) == ""


def log(site: Site) -> str:
    return (site.folder / "runner.log").read_text()


def test_the_log_is_for_the_journal_and_for_programs_too(site: Site) -> None:
    site.settings["LOG_FORMAT"] = "json"
    path = site.folder / "runner.log"
    path.touch()
    about = path.stat()
    site.settings["JOURNAL_STREAM"] = f"{about.st_dev}:{about.st_ino}"
    site.drop(site.request(site.study({"project.yaml": QUICK}), "run_all", identifier="r1"))
    site.start()
    site.finished("r1")
    lines = log(site).splitlines()
    assert {line[:3] for line in lines} == {"<6>"}
    events = [json.loads(line[3:]) for line in lines]
    ended = [each for each in events if each.get("action") == "first"]
    assert [each["workspace"] for each in ended] == ["ws"]
    assert {"request", "job", "status", "code"} <= ended[0].keys()


def test_the_numbers_are_there_for_prometheus(site: Site) -> None:
    path = site.folder / "spoolrunner.prom"
    site.settings["METRICS_FILE"] = str(path)
    site.drop(site.request(site.study({"project.yaml": QUICK}), "run_all", identifier="r1"))
    site.drop({"backend": "other", "requested_actions": ["a"]}, "other.json")
    runner = site.start()
    site.finished("r1")
    runner.send_signal(signal.SIGTERM)
    runner.wait(WITHIN_S)
    samples = dict(
        line.rsplit(" ", 1) for line in path.read_text().splitlines() if not line.startswith("#")
    )
    assert samples['spoolrunner_jobs_ended_total{code="succeeded"}'] == "2.0"
    assert samples["spoolrunner_up"] == "0.0"
    assert samples["spoolrunner_inbox_files"] == "1.0"
    assert float(samples['spoolrunner_disk_free_bytes{disk="high"}']) > 0
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_readme_says_which_settings_may_change() -> None:
    assert set(CHANGEABLE) <= table().keys()
    shown = re.search(r"<!-- changeable -->(.*?)<!-- /changeable -->", README, re.DOTALL)
    assert shown
    assert re.findall(r"`(\w+)`", shown[1]) == list(CHANGEABLE)


@pytest.mark.parametrize("executor", ["process", "docker"])
def test_systemd_takes_the_units(new_site: NewSite, executor: str) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed (apt-get install systemd)")
    site = new_site("100% ours", EXECUTOR=executor)  # what is special to systemd, in every path
    units = site.folder.parent / "units"
    units.mkdir()
    site.settings["FULL_DATABASE_URL"] = "mssql://u:secret@h/d"
    site.do("service", "systemd", "--into", str(units))
    done = site.try_to("service", "systemd", "--drain", "--into", str(units))
    assert "FULL_DATABASE_URL" in done.stderr
    files = sorted(units.iterdir())
    assert len(files) == 4
    text = "".join(path.read_text() for path in files)
    assert "secret" not in text
    assert {len(run) % 2 for run in re.findall("%+", text)} == {0}  # % begins a specifier
    verify = subprocess.run(
        ["systemd-analyze", "verify", *files],
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert (verify.returncode, verify.stdout, verify.stderr) == (0, "", "")
    scored = ["systemd-analyze", "security", "--offline=true", "--threshold=55"]
    for name in UNITS:
        subprocess.run([*scored, units / name], check=True, capture_output=True, timeout=WITHIN_S)


@pytest.mark.parametrize("kind", ["process", "docker"])
def test_the_capabilities_that_a_unit_leaves_are_enough(
    request: pytest.FixtureRequest, kind: str
) -> None:
    """As root, with the bounding set of the unit, no new privileges, no memory to write and run."""
    if os.geteuid():
        pytest.skip("only root has capabilities to lose")
    site: Site = request.getfixturevalue("site" if kind == "process" else "docker_site")
    unit = site.do("service", "systemd")
    bounds = re.search(r"^CapabilityBoundingSet=(.+)$", unit, re.MULTILINE)
    assert bounds
    kept = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in bounds[1].split())
    site.drop(site.request(site.study({"project.yaml": QUICK}), "run_all", identifier="r1"))
    inside = ("setpriv", "--no-new-privs", f"--bounding-set=-all,{kept}")
    inside += (sys.executable, "-c", DENY_WRITE_EXECUTE)
    assert site.try_to("run", "--drain", inside=inside).returncode == 0
    assert set(site.statuses("r1").values()) == {"succeeded"}


def test_the_crontab_line_says_nothing_and_starts_once(site: Site, tmp_path: Path) -> None:
    """Under env -i, as many times as minutes pass around a job: six at once."""
    command = site.do("service", "cron").removeprefix("* * * * * ").strip()
    module = f"{sys.executable} -m spoolrunner"
    assert module in command
    command = command.replace(module, f"PYTHONPATH={PROJECT} {module}")
    study = site.study({"project.yaml": CHAIN.replace("FIRST", "sleep 2")})
    site.drop(site.request(study, "run_all", identifier="r1"))
    cron = ["env", "-i", "/bin/sh", "-c", command]
    with contextlib.ExitStack() as around:
        started = [
            around.enter_context(
                subprocess.Popen(cron, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            )
            for _ in range(6)
        ]
        said = [one.communicate(timeout=WITHIN_S)[0] for one in started]
    assert said == [b""] * 6
    assert {one.returncode for one in started} == {0}
    assert {job["attempt"] for job in site.jobs("r1").values()} == {1}


def test_the_script_for_the_databases_network_names_their_addresses_and_no_secret(
    site: Site,
) -> None:
    site.settings |= {
        "FULL_DATABASE_URL": "mssql+pymssql://u:canary@localhost/d",
        "SLICE_DATABASE_URL": "trino://u:canary@192.0.2.9:8443/d",
    }
    script = site.do("service", "network")
    assert "-d 127.0.0.1/32 -p tcp --dport 1433 -j RETURN\n" in script
    assert "-d 192.0.2.9/32 -p tcp --dport 8443 -j RETURN\n" in script
    assert "canary" not in script
    site.settings["FULL_DATABASE_URL"] = "odbc://u:canary@localhost/d"
    refused = site.try_to("service", "network")
    assert (refused.returncode, "FULL_DATABASE_URL" in refused.stderr) == (4, True)
    assert "canary" not in refused.stdout + refused.stderr
