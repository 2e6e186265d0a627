"""Runners come and go: jobs are never lost, never started twice, and stop when they are told to."""

import json
import shutil
import signal
from functools import partial

import pytest

from spoolrunner.executor import Running
from spoolrunner.executor.kept import KeptJob
from tests.rig.engine import Engine
from tests.site import WITHIN_S, Site
from tests.system.test_crash_points import GATED, die_at, has_started

SLOW = """\
version: "4.0"
actions:
  one:
    run: python:v2 sh -c "sleep 1; echo 1 > one.csv"
    outputs:
      highly_sensitive: {o: one.csv}
  two:
    run: python:v2 sh -c "sleep 1; echo 2 > two.csv"
    outputs:
      highly_sensitive: {o: two.csv}
  three:
    run: python:v2 sh -c "cat one.csv two.csv > three.csv; sleep 1"
    needs: [one, two]
    outputs:
      moderately_sensitive: {o: three.csv}
"""

ENDLESS = """\
version: "4.0"
actions:
  endless:
    run: python:v2 sh -c "sleep 1000"
    outputs:
      highly_sensitive: {o: a.csv}
  after:
    run: python:v2 sh -c "cp a.csv b.csv"
    needs: [endless]
    outputs:
      highly_sensitive: {o: b.csv}
"""

GREEDY = """\
version: "4.0"
actions:
  greedy:
    run: python:v2 sh -c "while sleep 0.1; do head -c 1M /dev/urandom >> big.bin; done"
    outputs:
      highly_sensitive: {o: big.bin}
  modest:
    run: python:v2 sh -c "head -c 15M /dev/urandom > small.bin; sleep 3"
    outputs:
      highly_sensitive: {o: small.bin}
"""


def test_killed_five_times_while_jobs_run_each_is_started_once(
    docker_site: Site, engine: Engine
) -> None:
    docker_site.settings["MAX_WORKERS"] = "2"
    study = docker_site.study({"project.yaml": SLOW})
    for number in range(5):
        identifier = f"kill{number}"
        docker_site.drop(docker_site.request(study, *SLOW_ACTIONS, identifier=identifier))
        runner = docker_site.start()
        docker_site.until(partial(has_started, docker_site, identifier))
        runner.kill()
        runner.wait()
        docker_site.drain()
        assert set(docker_site.statuses(identifier).values()) == {"succeeded"}
        assert {job["attempt"] for job in docker_site.jobs(identifier).values()} == {1}
    starts = engine.starts(f"spoolrunner={_spool8(docker_site)}")
    assert len(starts) == 5 * len(SLOW_ACTIONS)
    assert set(starts.values()) == {1}
    assert engine.containers(f"spoolrunner={_spool8(docker_site)}") == []


def test_sigterm_leaves_jobs_running_and_the_next_runner_takes_them_over(site: Site) -> None:
    study = site.study({"project.yaml": GATED})
    site.drop(site.request(study, "first", identifier="r1"))
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(WITHIN_S) == 0
    assert site.active("r1")["jobs"][0]["status"] == "running"
    site.let_go()
    site.drain()
    assert site.statuses("r1") == {"first": "succeeded"}
    assert site.jobs("r1")["first"]["attempt"] == 1


def test_the_folder_of_a_lost_job_is_kept_by_the_next_runner_too(site: Site) -> None:
    site.settings["MAX_ATTEMPTS"] = "1"
    site.drop(site.request(site.study({"project.yaml": GATED}), "first", identifier="r1"))
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    runner.kill()
    runner.wait()
    site.let_go()
    (kept,) = (site.spool / "processes").iterdir()
    site.until(lambda: not isinstance(KeptJob(kept).look(), Running))
    shutil.rmtree(kept)
    die_at(site, "workspace.storage:Storage.keep")
    site.drain()
    assert site.jobs("r1")["first"]["status_code"] == "internal_error"
    (folder,) = (site.high / "volumes/kept").iterdir()
    assert (folder / "workspace/project.yaml").exists()
    assert list((site.high / "volumes").iterdir()) == [folder.parent]


def test_a_second_runner_stands_by_and_takes_over(site: Site) -> None:
    study = site.study({"project.yaml": SLOW})
    first = site.start()
    site.until(lambda: "alive" in site.do("status"))
    second = site.start()
    site.until(lambda: "standing by" in (site.folder / "runner.log").read_text())
    first.kill()
    first.wait()
    site.drop(site.request(study, "one", identifier="r1"))
    assert site.finished("r1")["status"] == "succeeded"
    assert second.poll() is None


def test_a_drain_beside_a_live_runner_ends_at_once_and_silently(site: Site) -> None:
    site.start()
    site.until(lambda: "alive" in site.do("status"))
    done = site.try_to("run", "--drain")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_cancel_ends_a_running_job_and_what_waits_for_it(site: Site) -> None:
    site.settings["STOP_GRACE"] = "1s"
    study = site.study({"project.yaml": ENDLESS})
    site.drop(site.request(study, "run_all", identifier="r1"))
    site.start()
    site.until(lambda: has_started(site, "r1"))
    site.do("cancel", "r1")
    site.finished("r1")
    assert set(site.statuses("r1").values()) == {"cancelled_by_user"}


def test_cancel_of_one_action_fails_only_what_needs_it(site: Site) -> None:
    site.settings["STOP_GRACE"] = "1s"
    study = site.study({"project.yaml": ENDLESS})
    asked = site.request(study, "run_all", identifier="r1")
    site.drop(asked)
    site.start()
    site.until(lambda: has_started(site, "r1"))
    site.drop({**asked, "cancelled_actions": ["endless"]})
    site.finished("r1")
    assert site.statuses("r1") == {"endless": "cancelled_by_user", "after": "dependency_failed"}


def test_who_waits_for_a_job_that_another_request_cancels_runs_it_itself(site: Site) -> None:
    site.settings |= {"STOP_GRACE": "1s", "MAX_WORKERS": "1"}

    study = site.study({"project.yaml": ENDLESS.replace("sleep 1000", "sleep 3; echo > a.csv")})
    site.start()
    site.drop(site.request(study, "endless", identifier="r1"), "r1.json")
    site.until(lambda: has_started(site, "r1"))
    site.drop(site.request(study, "after", identifier="r2"), "r2.json")
    site.until(lambda: (site.spool / "running/r2.json").exists() and site.active("r2")["jobs"])
    assert [job["action"] for job in site.active("r2")["jobs"]] == ["after"]
    site.do("cancel", "r1")
    assert site.finished("r2")["status"] == "succeeded"
    assert set(site.jobs("r2")) == {"endless", "after"}


def test_a_job_that_takes_too_long_is_stopped(site: Site) -> None:
    site.settings |= {"JOB_TIMEOUT": "1s", "STOP_GRACE": "1s"}
    study = site.study({"project.yaml": ENDLESS})
    site.drop(site.request(study, "endless", identifier="r1"))
    site.drain()
    assert site.statuses("r1") == {"endless": "timed_out"}


@pytest.mark.attack("a job fills the disk")
def test_a_job_that_fills_the_disk_is_stopped_and_no_other(site: Site) -> None:
    site.settings |= {"JOB_DISK_LIMIT": "20M", "STOP_GRACE": "1s", "MAX_WORKERS": "2"}
    study = site.study({"project.yaml": GREEDY})
    site.drop(site.request(study, "run_all", identifier="r1"))
    site.drain()
    assert site.statuses("r1") == {"greedy": "disk_limit", "modest": "succeeded"}
    assert "(limit was 0.02GB)" in site.jobs("r1")["greedy"]["status_message"]


def test_out_of_memory_is_told_apart(docker_site: Site) -> None:
    docker_site.settings["DEFAULT_JOB_MEMORY_LIMIT"] = "32M"
    eat = "x = bytearray(200 * 1024 * 1024)"
    study = docker_site.study(
        {
            "eat.py": eat,
            "project.yaml": SLOW.replace('sh -c "sleep 1; echo 1 > one.csv"', "python eat.py"),
        }
    )
    docker_site.drop(docker_site.request(study, "one", identifier="r1"))
    docker_site.drain()
    assert docker_site.statuses("r1") == {"one": "out_of_memory"}
    assert "ran out of memory" in docker_site.jobs("r1")["one"]["status_message"]


SLOW_ACTIONS = ("one", "two", "three")


def _spool8(site: Site) -> str:

    return json.loads((site.spool / "SPOOL.json").read_bytes())["id"][:8]


def test_a_spool_with_requests_of_a_newer_version_is_left_as_it_is(site: Site) -> None:
    path = site.spool / "running" / "r1.json"
    path.write_text('{"format": 99, "identifier": "r1", "what": "ever"}')
    done = site.try_to("run", "--drain")
    assert (done.returncode, "newer" in done.stderr) == (4, True)
    assert path.exists()
