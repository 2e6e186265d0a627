"""The audit of whole runs: what is in it, and that nothing happens which can't be written there."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from spoolrunner.cli import group
from spoolrunner.lock import turn
from tests.site import Site, head
from tests.system.test_crash_points import ENDLESS, QUICK, die_at, has_started

STUDY = """\
version: "4.0"
actions:
  make:
    run: python:v2 sh -c "echo 1 > a.csv"
    outputs:
      highly_sensitive: {a: a.csv}
  show:
    run: python:v2 sh -c "cp a.csv b.csv; echo patient_id > c.csv; echo 1 >> c.csv"
    needs: [make]
    outputs:
      moderately_sensitive: {b: b.csv, c: c.csv}
  bad:
    run: python:v2 sh -c "echo n > d.csv; exit 3"
    outputs:
      moderately_sensitive: {d: d.csv}
"""
RELEASED = """\
version: "4.0"
actions:
  show:
    run: python:v2 sh -c "echo n > b.csv"
    outputs:
      moderately_sensitive: {b: b.csv}
"""
JANE = 4001


def written(site: Site) -> list[dict[str, Any]]:
    """Every line as it lies there, when nobody is in the middle of one."""
    folder = site.spool / "audit"
    with turn(folder):
        text = "".join(path.read_text() for path in sorted(folder.glob("*.jsonl")))
    return [json.loads(line) for line in text.splitlines()]


def do(site: Site, *words: str) -> str:
    """A command, in this process; what it printed."""
    done = CliRunner().invoke(group, words, env=site.settings, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def drained(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Everything of one `run --drain`; tests only look, or add commands to it."""
    top = tmp_path_factory.mktemp("audited")
    top.chmod(0o755)
    site = Site(top / "site")
    study = site.study({"project.yaml": STUDY})
    os.chown(site.drop(site.request(study, "show", "bad", identifier="r1"), "r1.json"), JANE, -1)
    os.chown(site.drop("[]", "bad one.json"), JANE, -1)
    site.drop({"workspace": site.request(study)["workspace"]}, "w.json")
    site.drop(site.request(study, "nosuchaction", identifier="r2"), "r2.json")
    site.drain()
    return site


def test_who_asked_what_ran_and_what_was_released(drained: Site) -> None:
    told = [one for one in written(drained) if one["request"] == "r1"]
    asked = {(one["uid"], one["source"], one["workspace"]) for one in told}
    assert asked == {(JANE, "inbox", "ws")}
    found = {(one["event"], one["action"]): one["details"] for one in told}
    assert len(found) == len(told) == 1 + 2 * 3
    assert found["accept", ""]["actions"] == ["show", "bad"]
    show, end = found["start", "show"], found["end", "show"]
    assert show["commit"] == head(drained.folder / "study")
    assert show["image_id"] == end["image_id"] == drained.jobs("r1")["show"]["image_id"]
    a, b, c = (digest(drained.high / "workspaces/ws" / f"{name}.csv") for name in "abc")
    assert show["inputs"] == found["end", "make"]["private"] == {"a.csv": a}
    assert end["released"] == {"b.csv": b}
    assert end["withheld"]["c.csv"]["sha256"] == c
    assert "identifies patients" in end["withheld"]["c.csv"]["why"]


def test_what_a_failed_job_leaves_at_medium_privacy_is_told_where_it_lies(drained: Site) -> None:
    (told,) = [
        one["details"]
        for one in written(drained)
        if (one["event"], one["action"]) == ("end", "bad")
    ]
    ((name, sha256),) = told["released"].items()
    assert digest(drained.medium / "workspaces/ws" / told["where"] / name) == sha256
    assert (told["status_code"], told["exit_code"]) == ("nonzero_exit", 3)


def test_what_is_dropped_and_does_not_become_jobs_is_told(drained: Site) -> None:
    told = {one["event"]: one for one in written(drained)}
    assert told["reject"]["details"] == {"name": "bad%20one.json", "error": "not_an_object"}
    assert told["reject"]["uid"] == JANE
    assert told["register"]["workspace"] == "ws"
    assert told["refuse"]["request"] == "r2"
    assert told["refuse"]["details"] == {"error": "unknown_action"}


def test_every_command_of_an_operator_is_told_with_who_gave_it(
    drained: Site, tmp_path: Path
) -> None:
    do(drained, "pause")
    other = {"name": "other"}
    study = drained.folder / "study"
    drained.drop(drained.request(study, "show", identifier="r3", workspace=other))
    drained.drain()
    commands = [
        ("maintenance", "on", "--drain"),
        ("maintenance", "off", "--no-checks"),
        ("cancel", "r3", "make"),
        ("kill", "r3"),
        ("prepare-for-reboot", "--yes"),
        ("resume",),
        ("backup", str(tmp_path / "backup.tar.gz")),
        ("archive", "ws", "--yes"),
        ("unarchive", "ws"),
        ("gc", "--yes"),
        ("check", "--repair"),
    ]
    for words in commands:
        do(drained, *words)
    told = [one for one in written(drained) if one["source"] == "command"][1:]
    assert [one["details"]["words"][0] for one in told] == [words[0] for words in commands]
    assert [one["details"]["words"] for one in told][:4] == [list(words) for words in commands[:4]]
    assert {one["uid"] for one in told} == {os.getuid()}
    assert {one["workspace"] for one in told if one["request"] == "r3"} == {"other"}


def test_what_stops_a_request_is_told_by_a_drop_or_by_hand(site: Site) -> None:
    site.settings["MAX_WORKERS"] = "2"
    study = site.study({"project.yaml": ENDLESS})
    one, two = (site.request(study, "first", identifier=f"r{number}") for number in (1, 2))
    two["workspace"] = two["workspace"] | {"name": "other"}
    os.chown(site.drop(one, "r1.json"), JANE, -1)
    site.drop(two, "r2.json")
    site.start()
    site.until(lambda: has_started(site, "r1"))
    again = site.folder / "again.json"
    again.write_text(json.dumps(one | {"cancelled_actions": ["first"]}))
    os.chown(again, JANE, -1)
    again.rename(site.spool / "inbox/again.json")
    site.finished("r1")
    (told,) = [line for line in written(site) if line["event"] == "cancel"]
    assert (told["uid"], told["source"], told["request"]) == (JANE, "inbox", "r1")
    site.until(lambda: has_started(site, "r2"))
    (site.spool / "running/r2.json").rename(site.folder / "r2.json")
    (site.spool / "control/kill/r2").touch()
    site.until(lambda: any(line["event"] == "withdraw" for line in written(site)))
    site.until(lambda: not list((site.spool / "processes").iterdir()))


def spoil(site: Site) -> None:
    """A folder lies where the file of this month belongs, so that nothing can be written there."""
    (path,) = (site.spool / "audit").glob("*.jsonl")
    path.rename(site.folder / path.name)
    path.mkdir()


def mend(site: Site) -> None:
    (path,) = (site.spool / "audit").iterdir()
    path.rmdir()
    (site.folder / path.name).rename(path)
    (site.spool / "control/wake").touch()


def fails(site: Site) -> bool:
    return "the disk fails" in (site.folder / "runner.log").read_text()


def test_nothing_is_accepted_that_cannot_be_audited(site: Site) -> None:
    study = site.study({"project.yaml": QUICK})
    do(site, "resume")
    spoil(site)
    site.start()
    site.drop(site.request(study, "first", identifier="r1"))
    site.until(lambda: fails(site))
    assert list((site.spool / "running").iterdir()) == []
    mend(site)
    site.finished("r1")
    assert [one["event"] for one in written(site)] == ["resume", "accept", "start", "end"]


@pytest.mark.parametrize("step", ["starting", "publishing"])
def test_nothing_is_started_or_released_that_cannot_be_audited(site: Site, step: str) -> None:
    site.drop(site.request(site.study({"project.yaml": RELEASED}), "show", identifier="r1"))
    die_at(site, f"runner.diary:Diary.{step}")
    spoil(site)
    site.start()
    site.until(lambda: fails(site))
    begun = list((site.spool / "processes").glob("*/started"))
    assert (bool(begun), site.published(site.medium)) == (step == "publishing", set())
    mend(site)
    site.finished("r1")
    assert site.published(site.medium) == {"b.csv"}
    assert [one["event"] for one in written(site)] == ["accept", "start", "end"]


def test_no_command_is_carried_out_that_cannot_be_audited(site: Site) -> None:
    do(site, "resume")
    spoil(site)
    assert site.try_to("pause").returncode == 4
    mend(site)
    (site.spool / "audit").rename(site.folder / "away")  # as in a spool of an older version
    done = site.try_to("pause")
    assert (done.returncode, "spoolrunner init" in done.stderr) == (4, True)
    assert not (site.spool / "control/paused").exists()


def test_what_a_crash_has_written_twice_is_shown_once(site: Site) -> None:
    study = site.study({"project.yaml": QUICK})
    site.drop(site.request(study, "first", identifier="r1"))
    die_at(site, "spool.requests:Requests.save")
    assert [one["event"] for one in written(site)] == ["accept"]
    site.drain()
    assert [one["event"] for one in written(site)][:2] == ["accept", "accept"]
    lines = do(site, "audit", "--json").splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["accept", "start", "end"]
