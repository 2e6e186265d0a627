"""Killed between any two steps, the next runner goes on from what lies on disk."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from spoolrunner.request import job_identifier
from tests.site import GATE, WITHIN_S, Site

CHAIN = """\
version: "4.0"
actions:
  first:
    run: python:v2 sh -c "FIRST; echo x > a.csv"
    outputs:
      highly_sensitive: {a: a.csv}
  second:
    run: python:v2 sh -c "cat a.csv > b.csv"
    needs: [first]
    outputs:
      moderately_sensitive: {b: b.csv}
"""
QUICK = CHAIN.replace("FIRST", "true")
FAILING = CHAIN.replace("FIRST", "exit 3")
GATED = CHAIN.replace("FIRST", GATE)
SLOW = CHAIN.replace("FIRST", "sleep 4")
ENDLESS = CHAIN.replace("FIRST", "sleep 1000")

STEPS = [
    "spool.claims:drop_all",
    "runner.planner:Planner.plan_all",
    "runner.planner:Planner._make_jobs",
    "runner.results:Results.lay_out",
    "runner.results:Results.launch",
    "runner.diary:Diary.started",
    "runner.results:Results.collect",
    "runner.results:Results.publish",
    "workspace.publishing:place",
    "workspace.ledger:Ledger.settle",
    "runner.diary:Diary.ended",
    "runner.results:Results.finish",
    "runner.results:Results.put_away",
    "spool.requests:Requests.finish",
    "spool.requests:Requests.done_path",
    "spool.recent:add",
    "spool.recent:read",
]


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_each_job_runs_once_and_all_is_published(site: Site, step: str) -> None:
    study = site.study({"project.yaml": QUICK})
    site.drop(site.request(study, "run_all", identifier="r1"))
    die_at(site, step)
    site.drain()
    assert site.statuses("r1") == {"first": "succeeded", "second": "succeeded"}
    assert [job["attempt"] for job in site.jobs("r1").values()] == [1, 1]
    assert list((site.high / "publishing").glob("*/*.json")) == []
    assert list((site.high / "volumes").iterdir()) == []


def test_that_a_job_could_not_run_is_known_to_the_next_request_after_a_kill(site: Site) -> None:
    study = site.study({"project.yaml": QUICK})
    site.drop(site.request(study, "run_all", identifier="r0"))
    site.drain()
    study = site.study({"project.yaml": FAILING})
    site.drop(site.request(study, "first", "second", identifier="r1"))
    die_at(site, "workspace:Workspace.note")
    site.drain()
    assert site.statuses("r1")["second"] == "dependency_failed"
    index = json.loads((site.spool / "workspaces/ws.json").read_bytes())
    assert index["actions"]["second"]["newest"]["request"] == "r1"


def test_killed_before_it_planned_again_a_waiting_request_does_without_the_cancelled_job(
    site: Site,
) -> None:
    site.settings["STOP_GRACE"] = "1s"
    study = site.study({"project.yaml": SLOW})
    site.drop(site.request(study, "first", identifier="r1"), "r1.json")
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    site.drop(site.request(study, "second", identifier="r2"), "r2.json")
    site.until(lambda: (site.spool / "running/r2.json").exists() and site.active("r2")["jobs"])
    runner.kill()
    runner.wait()
    site.do("cancel", "r1")
    die_at(site, "runner.replanner:Replanner._read")
    site.drain()
    assert site.statuses("r1") == {"first": "cancelled_by_user"}
    assert site.statuses("r2") == {"first": "succeeded", "second": "succeeded"}


def test_killed_when_it_has_stopped_a_job_the_next_runner_knows_who_asked(site: Site) -> None:
    study = site.study({"project.yaml": ENDLESS})
    site.drop(site.request(study, "first", identifier="r1"))
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    runner.kill()
    runner.wait()
    site.do("kill", "r1")
    die_at(site, "executor.process:ProcessExecutor.stop")
    assert site.active("r1")["jobs"][0]["cancel"] == "admin"
    site.drain()
    assert site.statuses("r1") == {"first": "killed_by_admin"}


def test_a_cancellation_that_was_dropped_survives_a_kill(site: Site) -> None:
    site.settings["STOP_GRACE"] = "1s"
    study = site.study({"project.yaml": ENDLESS})
    asked = site.request(study, "first", identifier="r1")
    site.drop(asked)
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    runner.kill()
    runner.wait()
    site.drop({**asked, "cancelled_actions": ["first"]})
    die_at(site, "runner.mover:Mover._carry_out_orders")
    site.drain()
    assert site.statuses("r1") == {"first": "cancelled_by_user"}


def test_an_action_that_is_cancelled_before_it_is_planned_never_runs(site: Site) -> None:
    study = site.study({"project.yaml": ENDLESS})
    site.drop(site.request(study, "first", identifier="r1"))
    die_at(site, "runner.reading:Reader.read")
    site.do("cancel", "r1", "first")
    site.drain()
    assert site.statuses("r1") == {"first": "cancelled_by_user"}
    assert site.jobs("r1")["first"]["attempt"] == 0


def test_a_job_stopped_at_its_time_limit_by_a_killed_runner_timed_out(site: Site) -> None:
    site.settings |= {"JOB_TIMEOUT": "1s", "STOP_GRACE": "1s"}
    study = site.study({"project.yaml": ENDLESS})
    site.drop(site.request(study, "first", identifier="r1"))
    die_at(site, "runner.results:Results.collect")
    site.drain()
    assert site.statuses("r1") == {"first": "timed_out"}


def test_an_attempt_that_a_reboot_ended_is_not_counted(site: Site) -> None:
    site.settings["MAX_ATTEMPTS"] = "1"
    study = site.study({"project.yaml": SLOW})
    site.drop(site.request(study, "first", identifier="r1"))
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    runner.kill()
    runner.wait()
    edit(site, "r1", lambda request: request["jobs"][0].update(boot_id="another boot"))
    for started in (site.spool / "processes").glob("*/started"):
        os.kill(json.loads(started.read_bytes())["pid"], signal.SIGKILL)
    site.drain()
    assert site.statuses("r1") == {"first": "succeeded"}
    assert site.jobs("r1")["first"]["attempt"] == 2


def test_what_a_job_wrote_before_the_power_was_cut_is_not_believed(site: Site) -> None:
    """Nothing of it was flushed: it had not been collected."""
    study = site.study({"project.yaml": QUICK})
    site.drop(site.request(study, "first", identifier="r1"))
    die_at(site, "runner.results:Results.collect")
    edit(site, "r1", lambda request: request["jobs"][0].update(boot_id="another boot"))
    [torn] = (site.high / "volumes").glob("*/workspace/a.csv")
    os.truncate(torn, 0)
    site.drain()
    assert site.statuses("r1") == {"first": "succeeded"}
    assert (site.high / "workspaces/ws/a.csv").read_text() == "x\n"


def test_a_request_that_a_power_cut_left_in_two_rooms_is_in_the_later(site: Site) -> None:
    """One file under both names: reference/spool.md 2.1, row c1."""
    site.settings["REPORTS"] = "export"  # each start reports anew what it finds in running/
    study = site.study({"project.yaml": QUICK})
    site.drop(site.request(study, "first", identifier="r1"))
    site.drain()
    [done] = (site.spool / "done").glob("*/r1.json")
    os.link(done, site.spool / "running" / "r1.json")
    site.drain()
    assert list((site.spool / "running").iterdir()) == []
    assert site.statuses("r1") == {"first": "succeeded"}
    assert site.rejected() == {}


def test_a_drain_clears_away_what_a_dead_runner_left(site: Site) -> None:
    study = site.study({"project.yaml": QUICK})
    site.drop(site.request(study, "first", identifier="r1"))
    site.drain()
    name = f"sr-{json.loads((site.spool / 'SPOOL.json').read_bytes())['id'][:8]}-{'a' * 16}-1"
    (site.high / "volumes" / name / "workspace").mkdir(parents=True)
    site.drain()
    assert list((site.high / "volumes").iterdir()) == []


OVERTAKEN = """\
import sys, threading, time
from pathlib import Path
from spoolrunner.cli import main
from spoolrunner.runner.reading import Reader
from spoolrunner.workspace.storage import Storage
begun, read, clear = threading.Event(), Reader.read, Storage.clear
def reads_after_the_sweep_has_begun(*arguments):
    assert begun.wait(100)
    return read(*arguments)
def clears_when_the_job_runs(storage, name):
    if threading.current_thread().name == "sweep" and (storage.jobs / name).exists():
        begun.set()
        until = time.monotonic() + 100
        while not Path(sys.argv[1]).exists():
            assert time.monotonic() < until
    clear(storage, name)
Reader.read, Storage.clear = reads_after_the_sweep_has_begun, clears_when_the_job_runs
main(["run", "--drain"])
"""


def test_the_sweep_takes_nothing_from_a_job_that_is_planned_anew(site: Site) -> None:
    """Its first runner was killed when it had laid it out, but not yet saved its plan."""
    study = site.study({"project.yaml": SLOW})
    site.drop(site.request(study, "first", identifier="r1"))
    die_at(site, "runner.planner:Planner._make_jobs")
    spool8 = json.loads((site.spool / "SPOOL.json").read_bytes())["id"][:8]
    name = f"sr-{spool8}-{job_identifier('r1', 'first')}-1"
    (site.high / "volumes" / name / "workspace").mkdir(parents=True)
    command = [sys.executable, "-c", OVERTAKEN, str(site.spool / "processes" / name / "started")]
    done = subprocess.run(
        command, env=site.environment(), cwd=site.folder, timeout=WITHIN_S, check=False
    )
    assert done.returncode == 0
    assert site.statuses("r1") == {"first": "succeeded"}
    assert site.jobs("r1")["first"]["attempt"] == 1
    assert list((site.high / "volumes").iterdir()) == []


def test_a_job_of_an_executor_that_is_gone_fails_and_the_runner_ends(site: Site) -> None:
    study = site.study({"project.yaml": SLOW})
    site.drop(site.request(study, "first", identifier="r1"))
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    runner.kill()
    runner.wait()
    edit(site, "r1", lambda request: request["jobs"][0].update(executor="gone"))
    site.drain()
    assert site.statuses("r1") == {"first": "internal_error"}


def test_the_end_of_a_request_that_fails_inside_says_nothing_of_this_server(site: Site) -> None:
    study = site.study({"project.yaml": QUICK})
    site.drop(site.request(study, "first", identifier="r0"))
    site.drain()
    site.drop(site.request(study, "second", identifier="r1"))
    die_at(site, "runner.planner:Planner._make_jobs")
    (site.spool / "workspaces/ws.json").write_text("{torn")
    site.drain()
    job = site.jobs("r1")["__error__"]
    assert job["status_code"] == "internal_error"
    assert job["reference"]
    assert str(site.folder) not in json.dumps(job)


def test_sigterm_ends_a_runner_that_is_kept_awake(site: Site) -> None:
    for _ in range(5):
        runner = site.start()
        site.until(lambda: "alive" in site.do("status"))
        for number in range(200):
            (site.spool / "control" / "wake").write_text(str(number))
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(WITHIN_S) == 0


def die_at(site: Site, step: str, *options: str) -> None:
    """Run until it calls this function; there it is killed."""
    words = [*options, f"spoolrunner.{step}", "run", "--drain"]
    died = subprocess.run(
        [sys.executable, "-m", "tests.system.dying", *words],
        env=site.environment(),
        cwd=site.folder,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr


def has_started(site: Site, identifier: str) -> bool:
    path = site.spool / "running" / f"{identifier}.json"
    return path.exists() and any(
        job["phase"] == "started" for job in site.active(identifier)["jobs"]
    )


def edit(site: Site, identifier: str, change: Callable[[dict[str, Any]], None]) -> None:
    """As a person with an editor would."""
    path = site.spool / "running" / f"{identifier}.json"
    request = json.loads(path.read_bytes())
    change(request)
    path.write_text(json.dumps(request))
