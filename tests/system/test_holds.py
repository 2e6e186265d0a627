"""What operators hold back: everything, database jobs, or all jobs before a restart."""

import contextlib
import json
import os
import stat
from pathlib import Path

import pytest

from tests.rig.engine import Engine
from tests.rig.images import BUSYBOX
from tests.site import WITHIN_S, Site
from tests.system.test_crash_points import CHAIN, ENDLESS, QUICK, die_at, has_started
from tests.system.test_trouble import codes

DEAF = CHAIN.replace("FIRST", "trap true TERM; while true; do sleep 1; done")
# Every command of sqlrunner may use the database; busybox stands in for it.
DATABASE = """\
version: "4.0"
actions:
  extract:
    run: sqlrunner:v1 sh -c "sleep 1; echo 1 > a.csv"
    outputs:
      highly_sensitive: {a: a.csv}
  other:
    run: busybox:latest sh -c "echo 1 > b.csv"
    outputs:
      highly_sensitive: {b: b.csv}
"""


@pytest.fixture
def database_site(docker_site: Site, engine: Engine) -> Site:
    with contextlib.closing(engine.client()) as client:
        client.images.get(BUSYBOX).tag("ghcr.io/opensafely-core/sqlrunner", "v1")
    docker_site.settings |= {
        "ALLOWED_IMAGES": "sqlrunner,busybox",
        "STOP_GRACE": "0s",
        "MAX_WORKERS": "2",
        "MAX_ATTEMPTS": "1",
    }
    return docker_site


def attempts(site: Site) -> list[tuple[int, int]]:
    """Of each job of r1: which attempt it is, and how many are not counted."""
    return [(job["attempt"], job["not_counted"]) for job in site.active("r1")["jobs"]]


def end(site: Site) -> None:
    """Nothing of an endless job is left."""
    site.do("kill", "r1")
    site.finished("r1")


def flags(site: Site) -> dict[str, object]:
    told: dict[str, object] = json.loads(site.do("status", "--json"))["flags"]
    return told


def test_pause_starts_nothing_new_and_resume_goes_on(site: Site) -> None:
    study = site.study({"project.yaml": QUICK})
    assert "nothing new starts" in site.try_to("pause").stderr
    site.do("pause")
    site.drop(site.request(study, "run_all", identifier="r1"))
    site.drain()
    assert codes(site, "r1") == ["paused", "waiting_on_dependencies"]
    assert "paused" in site.do("status")
    site.do("resume")
    site.drain()
    assert set(site.statuses("r1").values()) == {"succeeded"}


def test_maintenance_stops_database_jobs_alone_and_does_not_count_it(
    database_site: Site,
) -> None:
    site = database_site
    study = site.study({"project.yaml": DATABASE.replace("sleep 1;", "sleep 1000;")})
    site.drop(site.request(study, "extract", identifier="r1"))
    site.start()
    site.until(lambda: has_started(site, "r1"))
    site.do("maintenance", "on")
    site.until(lambda: codes(site, "r1") == ["waiting_db_maintenance"])
    assert [job["status"] for job in site.active("r1")["jobs"]] == ["pending"]
    site.drop(site.request(study, "other", identifier="r2", workspace={"name": "w2"}))
    assert site.finished("r2")["status"] == "succeeded"
    assert flags(site)["db_maintenance_by"] == "operator"
    site.do("maintenance", "off")
    site.until(lambda: attempts(site) == [(2, 1)] and has_started(site, "r1"))
    end(site)


def test_maintenance_with_drain_lets_running_database_jobs_end(database_site: Site) -> None:
    site = database_site
    study = site.study({"project.yaml": DATABASE})
    site.drop(site.request(study, "extract", identifier="r1"))
    site.start()
    site.until(lambda: has_started(site, "r1"))
    site.do("maintenance", "on", "--drain")
    site.drop(site.request(study, "extract", identifier="r2", workspace={"name": "w2"}))
    assert site.finished("r1")["status"] == "succeeded"
    assert [job["attempt"] for job in site.jobs("r1").values()] == [1]
    site.until(lambda: codes(site, "r2") == ["waiting_db_maintenance"])


@pytest.fixture
def oracle(site: Site) -> Path:
    """What DB_MAINTENANCE_COMMAND says; the program ends badly if the file is not there."""
    said = site.folder / "said"
    program = site.folder / "ask"
    program.write_text(f'#!/bin/sh\ntest "$DATABASE_URL" = mssql://u:p@h/d && cat {said}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    site.settings["DB_MAINTENANCE_COMMAND"] = str(program)
    site.settings["FULL_DATABASE_URL"] = "mssql://u:p@h/d"
    site.settings["MAINTENANCE_POLL_INTERVAL"] = "0.001"
    return said


def test_runners_of_cron_ask_once_in_the_interval_and_long_ones_go_on_asking(site: Site) -> None:
    asked, program = site.folder / "asked", site.folder / "ask"
    program.write_text(f"#!/bin/sh\necho >> {asked}\n")
    program.chmod(0o755)
    site.settings |= {"DB_MAINTENANCE_COMMAND": str(program), "STOP_GRACE": "0s"}
    site.drain()
    site.drain()
    assert asked.read_text() == "\n"
    os.utime(site.spool / ".locks/detection", (0, 0))
    site.drain()
    assert asked.read_text() == "\n\n"
    site.settings["MAINTENANCE_POLL_INTERVAL"] = "1"
    site.drop(site.request(site.study({"project.yaml": ENDLESS}), "first", identifier="r1"))
    drain = site.start("--drain")
    site.until(lambda: asked.read_text().count("\n") >= 4)
    site.do("kill", "r1")
    assert drain.wait(WITHIN_S) == 0


def test_detection_comes_and_goes_by_itself_and_no_answer_changes_nothing(
    site: Site, oracle: Path
) -> None:
    oracle.write_text("connected\ndb-maintenance\n")
    site.drain()
    assert flags(site)["db_maintenance_by"] == "detection"
    oracle.unlink()
    site.drain()
    assert flags(site)["db_maintenance"] is True
    oracle.write_text("Traceback\n")
    site.drain()
    assert flags(site)["db_maintenance"] is True
    oracle.write_text("")
    site.drain()
    assert flags(site)["db_maintenance"] is False


def test_detection_never_undoes_what_a_person_decided(site: Site, oracle: Path) -> None:
    oracle.write_text("")
    site.do("maintenance", "on")
    site.drain()
    assert flags(site)["db_maintenance_by"] == "operator"
    oracle.write_text("db-maintenance\n")
    site.do("maintenance", "off", "--no-checks")
    site.drain()
    assert flags(site)["db_maintenance"] is False
    assert "finds the database" not in site.try_to("maintenance", "off").stderr
    site.drain()
    assert "finds the database" in site.try_to("maintenance", "off").stderr


@pytest.mark.parametrize("alive", [True, False], ids=["beside a runner", "without a runner"])
def test_prepared_for_a_reboot_nothing_runs_and_nothing_is_counted(site: Site, alive: bool) -> None:
    site.settings |= {"STOP_GRACE": "0s", "MAX_ATTEMPTS": "1"}
    study = site.study({"project.yaml": ENDLESS})
    site.drop(site.request(study, "run_all", identifier="r1"))
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    if not alive:
        runner.kill()
        runner.wait()
    assert site.try_to("prepare-for-reboot").returncode == 2
    assert "safe" in site.do("prepare-for-reboot", "--yes")
    assert list((site.spool / "processes").iterdir()) == []
    assert codes(site, "r1") == ["waiting_on_reboot", "waiting_on_dependencies"]
    assert site.active("r1")["jobs"][0]["status"] == "pending"
    site.drain()  # as after the restart: still held
    assert codes(site, "r1")[0] == "waiting_on_reboot"
    site.do("resume")
    if not alive:
        site.start()
    site.until(lambda: attempts(site)[0] == (2, 1) and has_started(site, "r1"))
    end(site)


def test_what_is_stopped_at_its_limit_does_not_start_anew_after_a_hold(site: Site) -> None:
    site.settings |= {"JOB_TIMEOUT": "1s", "STOP_GRACE": "3s"}
    study = site.study({"project.yaml": DEAF})
    site.drop(site.request(study, "first", identifier="r1"))
    site.start()
    site.until(lambda: "timed_out" in codes(site, "r1") or list(site.spool.glob("done/*/r1.json")))
    site.do("prepare-for-reboot", "--yes")
    assert site.statuses("r1") == {"first": "timed_out"}


def test_what_was_told_that_it_took_too_long_is_stopped_by_the_next_runner(site: Site) -> None:
    """Whatever its settings say of that."""
    site.settings |= {"JOB_TIMEOUT": "1s", "STOP_GRACE": "0s"}
    site.drop(site.request(site.study({"project.yaml": DEAF}), "first", identifier="r1"))
    die_at(site, "executor.process:ProcessExecutor.stop")
    site.settings["JOB_TIMEOUT"] = "0"
    site.drain()
    assert site.statuses("r1") == {"first": "timed_out"}


def test_prepared_without_a_runner_the_board_tells_what_has_become_of_the_jobs(site: Site) -> None:
    site.settings["STOP_GRACE"] = "0s"
    site.drop(site.request(site.study({"project.yaml": ENDLESS}), "first", identifier="r1"))
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    runner.kill()
    runner.wait()
    site.do("prepare-for-reboot", "--yes")
    (job,) = json.loads((site.spool / "board/board.json").read_bytes())["jobs"]
    assert job["status"] == "pending"


def test_it_is_not_said_to_be_safe_while_a_job_runs(site: Site) -> None:
    site.settings["STOP_GRACE"] = "1000s"
    stubborn = ENDLESS.replace('"sleep 1000', "\"trap '' TERM; while sleep 1; do :; done")
    site.drop(site.request(site.study({"project.yaml": stubborn}), "first", identifier="r1"))
    site.start()
    site.until(lambda: has_started(site, "r1"))
    done = site.try_to("prepare-for-reboot", "--yes", "--within", "1")
    assert (done.returncode, done.stdout) == (5, "")
    assert "first" in done.stderr
    site.close()
    site.settings["STOP_GRACE"] = "0s"
    site.start()
    end(site)


def test_killed_after_it_was_stopped_for_a_hold_that_is_not_its_own_end(site: Site) -> None:
    """The reason is on disk before the deed: the flag may be gone when the next runner looks."""
    site.settings["STOP_GRACE"] = "10m"
    site.drop(site.request(site.study({"project.yaml": DEAF}), "first", identifier="r1"))
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    (site.spool / "control/reboot").touch()
    site.until(lambda: site.active("r1")["jobs"][0]["interrupted"])
    runner.kill()
    runner.wait()
    site.settings["STOP_GRACE"] = "0s"
    site.do("resume")
    site.start()
    site.until(lambda: attempts(site) == [(2, 1)] and has_started(site, "r1"))
    end(site)
