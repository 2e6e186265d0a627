"""A person takes the file of an active request out of running/, and perhaps puts it back."""

import json
import os
import signal
import subprocess
from pathlib import Path

from tests.site import Site, commit
from tests.system.test_crash_points import CHAIN, GATE, GATED, has_started

TWO = """\
version: "4.0"
actions:
  one:
    run: python:v2 sh -c "touch begun; FIRST; cat word > a.csv"
    outputs:
      highly_sensitive: {a: a.csv}
  two:
    run: python:v2 sh -c "touch begun; FIRST; cat word > b.csv"
    outputs:
      highly_sensitive: {b: b.csv}
"""
DEAF = CHAIN.replace("FIRST", "trap true TERM; while true; do sleep 1; done")


def test_what_was_withdrawn_goes_on_once_its_jobs_have_stopped(site: Site) -> None:
    """Put back at once, while they still take their time."""
    site.settings["STOP_GRACE"] = "2s"
    site.drop(site.request(site.study({"project.yaml": DEAF}), "run_all", identifier="r1"))
    site.start()
    site.until(lambda: has_started(site, "r1"))
    aside = (site.spool / "running/r1.json").rename(site.folder / "r1.json")
    (site.spool / "control/cancel/r1@second").touch()  # a change that was to be written
    site.until(lambda: "by hand: withdrawn" in (site.folder / "runner.log").read_text())
    site.drop(aside.read_bytes(), "back.json")
    site.until(lambda: (site.spool / "running/r1.json").exists() and has_started(site, "r1"))
    site.until(lambda: site.active("r1")["jobs"][0]["attempt"] == 2 and has_started(site, "r1"))
    site.do("kill", "r1")
    assert site.finished("r1")["jobs"][0]["status_code"] == "killed_by_admin"


def test_what_is_withdrawn_as_its_attempt_is_noted_is_not_started(site: Site) -> None:
    """Nothing tells of that attempt: the file that does lies with the person."""
    deaf = CHAIN.replace("FIRST", "trap true TERM; echo I ran; sleep 1")
    site.drop(site.request(site.study({"project.yaml": deaf}), "first", identifier="r1"))
    runner = site.start(program="tests.system.withdrawing")
    site.until(lambda: "by hand: withdrawn" in (site.folder / "runner.log").read_text())
    site.until(lambda: list(site.high.glob("logs/*/*/logs.txt")))
    runner.kill()
    runner.wait()
    (said,) = site.high.glob("logs/*/*/logs.txt")
    assert "I ran" not in said.read_text()
    (site.folder / "away/r1.json").rename(site.spool / "running/r1.json")
    site.drain()
    (job,) = site.finished("r1")["jobs"]
    assert (job["status"], job["attempt"]) == ("succeeded", 1)


def test_what_is_put_back_waits_for_its_turn_again(site: Site) -> None:
    """It was given to another meanwhile; what had begun begins as another attempt. Nothing was to
    be written of it when it was taken away: that is noticed all the same."""
    site.settings["MAX_WORKERS"] = "1"
    study = site.study({"project.yaml": GATED})
    site.drop(site.request(study, "first", identifier="r1", workspace={"name": "one"}))
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    site.drop(site.request(study, "first", identifier="r2", workspace={"name": "two"}))
    site.until(lambda: _code(site, "r2") == "waiting_on_workers")
    aside = _take_away(site, "r1")
    site.until(lambda: has_started(site, "r2"))
    aside.rename(site.spool / "inbox/back.json")
    site.until(lambda: _code(site, "r1") == "waiting_on_workers")
    assert has_started(site, "r2")
    site.let_go()
    site.until(lambda: has_started(site, "r1"))
    assert site.active("r1")["jobs"][0]["attempt"] == 2
    site.let_go()
    assert [site.finished(name)["status"] for name in ("r1", "r2")] == ["succeeded"] * 2
    runner.terminate()


def test_nothing_starts_beside_what_a_killed_runner_left_of_a_withdrawn_request(site: Site) -> None:
    """Its container is all that tells of it: until that is cleared away, others wait."""
    study = site.study({"project.yaml": GATED})
    site.drop(site.request(study, "first", identifier="r1", workspace={"name": "one"}))
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    runner.kill()
    runner.wait()
    _take_away(site, "r1")
    keeper = _keeper(site)
    os.kill(keeper, signal.SIGSTOP)
    site.drop(site.request(study, "run_all", identifier="r2", workspace={"name": "two"}))
    site.start()
    site.until(lambda: (site.spool / "running/r2.json").exists() and site.active("r2")["jobs"])
    site.do("cancel", "r2", "second")
    site.until(lambda: _code(site, "r2", "second") == "cancelled_by_user")
    assert _code(site, "r2") == "created"
    os.kill(keeper, signal.SIGCONT)
    site.until(lambda: has_started(site, "r2"))
    site.let_go()
    assert site.finished("r2")["status"] == "failed"  # of what was cancelled


def test_a_disk_that_is_away_for_a_while_withdraws_nothing(site: Site) -> None:
    begun = GATED.replace(GATE, f"touch begun; {GATE}")
    site.drop(site.request(site.study({"project.yaml": begun}), "first", identifier="r1"))
    site.start()
    site.until(lambda: list(site.high.glob("volumes/*/workspace/begun")))
    away = site.spool.rename(site.folder / "away")
    site.until(lambda: "the disk fails" in (site.folder / "runner.log").read_text())
    away.rename(site.spool)
    site.let_go()
    (job,) = site.finished("r1")["jobs"]
    assert (job["status"], job["attempt"]) == ("succeeded", 1)
    assert "by hand: withdrawn" not in (site.folder / "runner.log").read_text()


def test_a_disk_that_does_not_say_whether_a_file_is_there_withdraws_nothing(site: Site) -> None:
    site.drop(site.request(site.study({"project.yaml": GATED}), "first", identifier="r1"))
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    options = ("-qq", "-f", "-o", "/dev/null", "-P", str(site.spool / "running/r1.json"))
    failing = ("-e", "inject=newfstatat,lstat,stat:error=EIO", "-p", str(runner.pid))
    with subprocess.Popen(["strace", *options, *failing]) as trouble:
        site.until(lambda: "the disk fails" in (site.folder / "runner.log").read_text())
        trouble.terminate()
    site.let_go()
    (job,) = site.finished("r1")["jobs"]
    assert (job["status"], job["attempt"]) == ("succeeded", 1)


def test_another_request_under_the_name_of_a_withdrawn_one_gets_nothing_of_it(site: Site) -> None:
    """Its jobs have the same names, and so have their containers and folders."""
    site.settings["MAX_WORKERS"] = "2"
    old = TWO.replace("FIRST", GATE)
    study = site.study({"project.yaml": old, "word": "old"})
    site.drop(site.request(study, "run_all", identifier="r1"))
    runner = site.start()
    site.until(lambda: len(list(site.high.glob("volumes/*/workspace/begun"))) == 2)
    runner.kill()
    runner.wait()
    _take_away(site, "r1")
    (study / "project.yaml").write_text(TWO.replace("FIRST", "true"))
    (study / "word").write_text("new")
    site.drop(site.request(commit(study), "run_all", identifier="r1"))
    site.start()
    assert [job["attempt"] for job in site.finished("r1")["jobs"]] == [1, 1]
    made = site.high / "workspaces/ws"
    assert [(made / name).read_text() for name in ("a.csv", "b.csv")] == ["new", "new"]


def _take_away(site: Site, identifier: str) -> Path:
    return (site.spool / f"running/{identifier}.json").rename(site.folder / f"{identifier}.json")


def _code(site: Site, identifier: str, action: str = "first") -> str:
    path = site.spool / "running" / f"{identifier}.json"
    jobs = site.active(identifier)["jobs"] if path.exists() else ()
    return next((job["status_code"] for job in jobs if job["action"] == action), "")


def _keeper(site: Site) -> int:
    (started,) = (site.spool / "processes").glob("*/started")
    return int(json.loads(started.read_bytes())["pid"])
