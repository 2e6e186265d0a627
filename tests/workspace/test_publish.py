"""What a job made lies where its level says, and nowhere else."""

import json
import os
import stat

import pytest

from spoolrunner.errors import BadInput, BadMachine, TryLater
from spoolrunner.joblog import MARKER
from spoolrunner.release import Rules
from spoolrunner.request import Code, Level, Status
from spoolrunner.verdict import Cause
from spoolrunner.workspace import Published, unfinished
from tests.workspace.conftest import REVIEWERS, need, tree

HIGH, MODERATE, MINIMAL = Level
LEVELS = {"output/cohort.csv": HIGH, "output/table.csv": MODERATE, "output/count.csv": MINIMAL}
MADE = {
    "output/cohort.csv": "patient_id\n1\n",
    "output/table.csv": "sex,n\nF,10\n",
    "output/count.csv": "n\n10\n",
    "scratch/notes.txt": "not an output",
}


def manifest(root):
    return json.loads((root / "metadata/manifest.json").read_text())


def test_outputs_lie_exactly_where_their_level_says(line):
    made, outcome = line.run("make", LEVELS, MADE, study={"analysis/code.py": "print()"})
    assert outcome.status is Status.SUCCEEDED
    assert set(tree(line.storage.high)) == {
        "SPOOLRUNNER-STORAGE.json",
        "workspaces/ws/output/cohort.csv",
        "workspaces/ws/output/table.csv",
        "workspaces/ws/output/count.csv",
        "workspaces/ws/metadata/make.log",
        "workspaces/ws/metadata/manifest.json",
        f"logs/2026-01/os-job-{made.job}/logs.txt",
        f"logs/2026-01/os-job-{made.job}/metadata.json",
    }
    assert set(tree(line.storage.medium)) == {
        "SPOOLRUNNER-STORAGE.json",
        "workspaces/ws/output/table.csv",
        "workspaces/ws/metadata/make.log",
        "workspaces/ws/metadata/manifest.json",
    }
    for path in LEVELS:
        assert (line.high / path).read_text() == MADE[path]
    assert (line.medium / "output/table.csv").read_text() == MADE["output/table.csv"]


def test_modes_and_owners_are_ours_whatever_the_umask(line):
    before = os.umask(0o077)
    try:
        line.run("make", LEVELS, MADE)
    finally:
        os.umask(before)
    for path in line.high.rglob("*"):
        about = path.stat()
        assert about.st_uid == os.geteuid()
        assert stat.S_IMODE(about.st_mode) == (0o700 if path.is_dir() else 0o600), path
    for path in line.medium.rglob("*"):
        about = path.stat()
        assert stat.S_IMODE(about.st_mode) & 0o777 == (0o750 if path.is_dir() else 0o640), path
        if os.geteuid() == 0:
            assert about.st_gid == REVIEWERS


def test_folders_for_reviewers_that_somebody_opened_are_shut_again(line):
    line.run("make", LEVELS, MADE)
    (line.medium / "output").chmod(0o777)
    line.run("make", LEVELS, MADE)
    assert stat.S_IMODE((line.medium / "output").stat().st_mode) == 0o2750


def test_the_manifest_has_the_keys_reviewers_tools_read(line):
    made, outcome = line.run("make", LEVELS, MADE, user="jane", actions=["make"])
    assert manifest(line.high)["workspace"] == "my workspace"
    entry = manifest(line.high)["outputs"]["output/table.csv"]
    assert entry == {
        "level": "moderately_sensitive",
        "job_id": made.job,
        "job_request": made.request,
        "action": "make",
        "user": "jane",
        "repo": made.repo,
        "commit": made.commit,
        "size": 11,
        "timestamp": (line.high / "output/table.csv").stat().st_mtime,
        "content_hash": outcome.outputs["output/table.csv"].sha256,
        "excluded": False,
        "message": None,
        "row_count": 1,
        "col_count": 2,
        "out_of_date_output": False,
        "out_of_date_action": False,
    }
    assert set(manifest(line.high)["outputs"]) == set(LEVELS)


def test_medium_privacy_never_names_what_is_not_for_it(line):
    patterns = LEVELS | {"output/secret-pattern*.csv": HIGH, "output/late.csv": MODERATE}
    line.run("make", patterns, MADE)
    assert set(manifest(line.high)["outputs"]) == set()  # it failed: two patterns
    log = (line.medium / "metadata/make.log").read_text()
    for name in ("cohort", "count.csv", "secret-pattern", "scratch", "notes.txt"):
        assert name not in log
        assert name not in (line.medium / "metadata/manifest.json").read_text()
    assert "output/table.csv" in log
    high_log = (line.high / "metadata/make.log").read_text()
    for name in ("output/cohort.csv", "secret-pattern", "scratch/notes.txt"):
        assert name in high_log


def test_the_log_is_what_the_job_said_and_below_the_marker_what_became_of_it(line):
    made, _ = line.run("make", LEVELS, MADE)
    said, _, summary = (line.high / "metadata/make.log").read_text().partition(MARKER)
    assert said == "it ran\n\n\n"
    for fact in (f"job_id: {made.job}", "exit_code: 0", "output/cohort.csv  - highly_sensitive"):
        assert fact in summary
    folder = line.storage.high / f"logs/2026-01/os-job-{made.job}"
    assert (folder / "logs.txt").read_text() == (line.high / "metadata/make.log").read_text()
    kept = json.loads((folder / "metadata.json").read_text())
    assert kept["outputs"] == {path: level.value for path, level in LEVELS.items()}
    assert kept["unmatched_outputs"] == ["scratch/notes.txt"]


def test_an_unmatched_pattern_fails_the_job_and_good_outputs_of_before_stay(line):
    line.run("make", LEVELS, MADE)
    good = {path: (line.high / path).read_text() for path in LEVELS}
    worse = dict.fromkeys(list(LEVELS)[:2], "worse")
    made, outcome = line.run("make", LEVELS, worse)
    assert outcome.status_code is Code.UNMATCHED_PATTERNS
    assert {path: (line.high / path).read_text() for path in LEVELS} == good
    assert tree(line.high / "metadata/make.failed") == worse
    assert tree(line.medium / "metadata/make.failed") == {"output/table.csv": "worse"}
    state = line.workspace.index().actions["make"]
    assert (state.newest.job, state.newest.status) == (made.job, Status.FAILED)
    assert state.published is not None
    assert state.published.job != made.job
    assert line.workspace.look("make") is Published.INTACT


def test_the_failed_folder_holds_the_newest_failure_and_a_success_clears_it(line):
    patterns = {"a/b.csv": MODERATE, "c.csv": HIGH}
    line.run("make", patterns, {"a/b.csv": "1", "c.csv": "1"}, exit_code=1)
    line.run("make", {"a": HIGH}, {"a": "2"}, exit_code=1)
    assert tree(line.high / "metadata/make.failed") == {"a": "2"}
    assert tree(line.medium / "metadata/make.failed") == {}
    line.run("make", {"a": HIGH}, {"a": "3"})
    assert not (line.high / "metadata/make.failed").exists()
    assert not (line.medium / "metadata/make.failed").exists()


def test_a_cancelled_job_leaves_nothing_but_its_log(line):
    line.run("make", LEVELS, MADE)
    before = tree(line.high), tree(line.medium), line.workspace.index()
    made, outcome = line.run("make", LEVELS, {}, exit_code=137, cause=Cause.USER)
    assert outcome.status_code is Code.CANCELLED_BY_USER
    assert (tree(line.high), tree(line.medium), line.workspace.index()) == before
    assert (line.storage.high / f"logs/2026-01/os-job-{made.job}/logs.txt").exists()


def test_what_is_kept_back_is_told_beside_and_shown_when_it_passes(line):
    levels = {"output/table.csv": MODERATE}
    line.run("make", levels, {"output/table.csv": "patient_id\n1\n"})
    assert not (line.medium / "output/table.csv").exists()
    assert "identifies patients" in (line.medium / "output/table.csv.txt").read_text()
    entry = manifest(line.medium)["outputs"]["output/table.csv"]
    assert entry["excluded"]
    assert "identifies" in entry["message"]
    assert "output/table.csv  - It has a column" in (line.medium / "metadata/make.log").read_text()
    line.run("make", levels, {"output/table.csv": "n\n1\n"})
    assert (line.medium / "output/table.csv").read_text() == "n\n1\n"
    assert not (line.medium / "output/table.csv.txt").exists()
    line.run("make", levels, {"output/table.csv": "patient_id\n1\n"})
    assert not (line.medium / "output/table.csv").exists()
    assert (line.medium / "output/table.csv.txt").exists()


def test_a_note_never_takes_the_place_of_an_output_of_that_name(line):
    bad = "patient_id\n1\n"
    line.run("one", {"x.csv": MODERATE}, {"x.csv": bad})
    assert "not shown" in (line.medium / "x.csv.txt").read_text()
    line.run("two", {"x.csv.txt": MODERATE}, {"x.csv.txt": "an output"})
    assert (line.medium / "x.csv.txt").read_text() == "an output"
    assert "x.csv is not shown" in (line.medium / "x.csv.kept-back.txt").read_text()
    line.run("one", {"x.csv": MODERATE}, {"x.csv": "n\n1\n"})
    assert (line.medium / "x.csv.txt").read_text() == "an output"
    assert not (line.medium / "x.csv.kept-back.txt").exists()


def test_an_output_that_becomes_more_private_leaves_medium_privacy(line):
    line.run("make", {"a.csv": MODERATE}, {"a.csv": "n\n1\n"})
    line.run("make", {"a.csv": HIGH}, {"a.csv": "n\n1\n"})
    assert not (line.medium / "a.csv").exists()
    assert manifest(line.medium)["outputs"] == {}


def test_each_limit_keeps_an_output_back(line):
    rules = Rules(max_size_bytes=100, max_rows=3)
    made = {"big.csv": "x" * 101, "long.csv": "n\n1\n2\n3\n4\n", "odd.xyz": "1", "fine.txt": "1"}
    _, outcome = line.run("make", dict.fromkeys(made, MODERATE), made, rules=rules)
    assert outcome.status is Status.SUCCEEDED
    assert "3 outputs were kept back" in outcome.status_message
    shown = {path for path in tree(line.medium) if not path.startswith("metadata/")}
    assert shown == {"big.csv.txt", "long.csv.txt", "odd.xyz.txt", "fine.txt"}


def test_what_is_no_longer_made_stays_and_is_marked(line):
    line.run("make", {"*.csv": MODERATE}, {"a.csv": "1", "b.csv": "1"}, actions=["make", "old"])
    line.run("old", {"c.txt": MODERATE}, {"c.txt": "1"}, actions=["make", "old"])
    line.run("make", {"*.csv": MODERATE}, {"b.csv": "2"}, actions=["make"])
    found = manifest(line.medium)["outputs"]
    marks = {p: (e["out_of_date_output"], e["out_of_date_action"]) for p, e in found.items()}
    assert marks == {"a.csv": (True, False), "b.csv": (False, False), "c.txt": (False, True)}
    assert (line.medium / "a.csv").read_text() == "1"
    line.run("make", {"*.csv": MODERATE}, {"a.csv": "3"}, actions=["make", "old"])
    found = manifest(line.high)["outputs"]
    marks = {p: (e["out_of_date_output"], e["out_of_date_action"]) for p, e in found.items()}
    assert marks == {"a.csv": (False, False), "b.csv": (True, False), "c.txt": (False, False)}


def test_what_stands_in_the_way_is_set_aside_and_not_lost(line):
    line.run("one", {"output": HIGH}, {"output": "a file"})
    made, _ = line.run("two", {"output/a.csv": MODERATE}, {"output/a.csv": "in a folder"})
    assert (line.high / "output/a.csv").read_text() == "in a folder"
    aside = line.high / f"metadata/set-aside/{made.job}/output"
    assert aside.read_text() == "a file"
    assert line.workspace.look("one") is Published.CHANGED
    again, _ = line.run("one", {"output": HIGH}, {"output": "a file again"})
    assert (line.high / "output").read_text() == "a file again"
    aside = line.high / f"metadata/set-aside/{again.job}/output/a.csv"
    assert aside.read_text() == "in a folder"


def test_big_outputs_are_moved_and_not_copied(line):
    made = line.made("make", {"big.bin": HIGH})
    job = line.lay_out(made)
    line.work(job, {"big.bin": "x" * 1000})
    inode = (job.workspace / "big.bin").stat().st_ino
    line.workspace.publish(job, made, line.outcome(line.collect(job, made)))
    assert (line.high / "big.bin").stat().st_ino == inode
    assert not (job.workspace / "big.bin").exists()


@pytest.mark.parametrize("there_now", [None, "something else"])
def test_an_output_nobody_can_find_any_more_is_an_error_and_not_a_success(line, there_now):
    made = line.made("make", {"a.csv": HIGH})
    job = line.lay_out(made)
    line.work(job, {"a.csv": "1"})
    outcome = line.outcome(line.collect(job, made))
    (job.workspace / "a.csv").unlink()
    if there_now:
        line.high.mkdir(parents=True)
        (line.high / "a.csv").write_text(there_now)
    with pytest.raises(BadMachine) as caught:
        line.workspace.publish(job, made, outcome)
    assert caught.value.kind == "output_lost"


def test_while_one_job_publishes_another_of_the_same_action_waits_and_nobody_reads(line):
    made = line.made("make", {"a.csv": HIGH})
    job = line.lay_out(made)
    line.work(job, {"a.csv": "1"})
    line.workspace.publish(job, made, line.outcome(line.collect(job, made)))
    assert [(ws, j.made.job) for ws, j in unfinished(line.storage)] == [("ws", made.job)]
    with pytest.raises(TryLater):
        line.run("reader", {}, {}, needs=[need(made)])
    with pytest.raises(TryLater):
        line.run("make", {"a.csv": HIGH}, {"a.csv": "2"})
    line.workspace.finish("make", made.job)
    assert unfinished(line.storage) == []
    line.run("reader", {}, {}, needs=[need(made)])


def test_an_archived_workspace_is_refused(line):
    made = line.made("make", {})
    (line.storage.archives / "ws.tar.xz").touch()
    with pytest.raises(BadInput) as caught:
        line.lay_out(made)
    assert caught.value.kind == "workspace_archived"


def test_a_manifest_that_job_runner_left_is_taken_over(line):
    old = {
        "workspace": "my workspace",
        "repo": None,
        "outputs": {
            "old.csv": {"level": "moderately_sensitive", "action": "old", "excluded": False},
            "secret.csv": {"level": "highly_sensitive", "action": "old", "size": 3},
        },
    }
    path = line.medium / "metadata/manifest.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(old))
    line.run("make", {"a.csv": MODERATE}, {"a.csv": "1"}, actions=["make"])
    assert set(manifest(line.high)["outputs"]) == {"a.csv", "old.csv", "secret.csv"}
    assert set(manifest(line.medium)["outputs"]) == {"a.csv", "old.csv"}


def test_an_unchanged_input_that_a_wide_pattern_claims_is_not_disturbed(line):
    """Or jobs that are just reading it would find it changed."""
    first, _ = line.run("cohort", {"out/cohort.csv": HIGH}, {"out/cohort.csv": "patients"})
    before = (line.high / "out/cohort.csv").stat()
    second, _ = line.run("model", {"out/*.csv": HIGH}, {"out/m.csv": "1"}, needs=[need(first)])
    after = (line.high / "out/cohort.csv").stat()
    assert (after.st_ino, after.st_ctime_ns) == (before.st_ino, before.st_ctime_ns)
    assert manifest(line.high)["outputs"]["out/cohort.csv"]["action"] == "model"
    line.run("reads model only", {}, {}, needs=[need(second)])
    assert line.workspace.look("cohort") is line.workspace.look("model") is Published.INTACT


def test_of_two_actions_with_one_output_the_last_wins_and_the_other_is_changed(line):
    line.run("one", {"x.csv": MODERATE}, {"x.csv": "1"})
    line.run("two", {"*.csv": MODERATE}, {"x.csv": "2"})
    assert line.workspace.look("one") is Published.CHANGED
    assert line.workspace.look("two") is Published.INTACT
    assert manifest(line.medium)["outputs"]["x.csv"]["action"] == "two"
    assert (line.high / "x.csv").read_text() == (line.medium / "x.csv").read_text() == "2"


def test_walked_again_after_another_action_replaced_its_output_it_is_still_done(line):
    """Killed after it had published, before its request was saved."""
    made = line.made("one", {"x.csv": MODERATE})
    job = line.lay_out(made)
    line.work(job, {"x.csv": "1"})
    outcome = line.outcome(line.collect(job, made))
    line.workspace.publish(job, made, outcome)
    line.run("two", {"*.csv": MODERATE}, {"x.csv": "2"})
    line.workspace.publish(job, made, outcome)
    line.workspace.finish("one", made.job)
    assert (line.high / "x.csv").read_text() == "2"
    assert line.workspace.look("two") is Published.INTACT


def test_finishing_one_job_leaves_the_journal_of_another(line):
    made = line.made("make", {})
    job = line.lay_out(made)
    line.work(job, {})
    line.workspace.publish(job, made, line.outcome(line.collect(job, made)))
    line.workspace.finish("make", "another job")
    assert len(unfinished(line.storage)) == 1


def test_a_link_in_the_workspace_is_set_aside_and_not_written_through(line, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for root in (line.high, line.medium):
        root.mkdir(parents=True)
        (root / "output").symlink_to(elsewhere)
    line.run("make", {"output/a.csv": MODERATE}, {"output/a.csv": "n\n1\n"})
    assert tree(elsewhere) == {}
    assert (line.medium / "output/a.csv").read_text() == "n\n1\n"


def test_a_file_that_becomes_a_folder_at_medium_privacy_stops_nothing(line):
    bad = "patient_id\n1\n"
    line.run("one", {"a": MODERATE}, {"a": "no type"})
    line.run("two", {"b.csv": MODERATE}, {"b.csv": "n\n1\n"})
    line.run("three", {"b.csv/c.csv": MODERATE}, {"b.csv/c.csv": "n\n1\n"})
    line.run("four", {"a.txt/x.csv": MODERATE}, {"a.txt/x.csv": bad})
    line.run("two", {"b.csv": HIGH}, {"b.csv": "n\n1\n"})
    assert (line.medium / "b.csv/c.csv").read_text() == "n\n1\n"
    assert "a is not shown" in (line.medium / "a.kept-back.txt").read_text()
    assert "x.csv is not shown" in (line.medium / "a.txt/x.csv.txt").read_text()


def test_each_base_must_bear_the_marker_of_its_level(line, tmp_path):
    line.storage.check(real_data=True)
    marker = line.storage.medium / "SPOOLRUNNER-STORAGE.json"
    marker.write_text(marker.read_text().replace("medium", "high"))
    with pytest.raises(BadMachine) as caught:
        line.storage.check(real_data=True)
    assert caught.value.kind == "storage_swapped"
    marker.unlink()
    with pytest.raises(BadMachine) as caught:
        line.storage.check(real_data=False)
    assert caught.value.kind == "storage_missing"
    line.storage.prepare()
    (tmp_path / ".git").mkdir()
    line.storage.check(real_data=False)
    with pytest.raises(BadMachine) as caught:
        line.storage.check(real_data=True)
    assert caught.value.kind == "storage_in_git"
