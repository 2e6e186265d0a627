"""What reviewers at medium privacy are shown, and what they are told of the rest."""

import json

import pytest

from spoolrunner.request import Code, Level, Need, Status
from tests.workspace.conftest import tree

HIGH, MODERATE, MINIMAL = Level
LEAK = "patient_id,age\n4711,34\n"
FINE = "group,n\na,10\n"
CUT = "identify patients"


def everything(root):
    """All names and all text below a folder."""
    found = tree(root)
    return "\n".join([*found, *found.values()])


def manifest(root):
    return json.loads((root / "metadata/manifest.json").read_text())["outputs"]


def test_a_file_that_patterns_claim_at_two_levels_is_kept_at_the_more_private_and_that_is_told(
    line,
):
    patterns = {"out/*.csv": MODERATE, "out/a.csv": HIGH, "*/b.csv": MINIMAL}
    _, outcome = line.run("make", patterns, {"out/a.csv": FINE, "out/b.csv": FINE})
    assert {path: out.level for path, out in outcome.outputs.items()} == {
        "out/a.csv": HIGH,
        "out/b.csv": MODERATE,
    }
    said = (line.high / "metadata/make.log").read_text()
    told = said.partition("more private level than one of its patterns says:")[2]
    assert "out/a.csv  - highly_sensitive" in told
    assert "out/b.csv  - moderately_sensitive" in told
    assert "out/a.csv" not in everything(line.medium)


def test_the_same_reason_stands_in_the_note_the_manifest_the_job_and_its_log(line):
    made, outcome = line.run("make", {"a.csv": MODERATE}, {"a.csv": LEAK})
    reason = outcome.outputs["a.csv"].excluded
    assert reason == (
        "It has a column that identifies patients. "
        "Checked: its size, its type, its content: identifiers, rows of tables."
    )
    folder = line.storage.high / f"logs/2026-01/os-job-{made.job}"
    assert (line.medium / "a.csv.txt").read_text() == f"a.csv is not shown here. {reason}\n"
    assert manifest(line.medium)["a.csv"]["message"] == reason
    assert manifest(line.high)["a.csv"]["message"] == reason
    assert json.loads((folder / "metadata.json").read_text())["level4_excluded_files"] == {
        "a.csv": reason
    }
    for log in (line.medium / "metadata/make.log", line.high / "metadata/make.log"):
        assert reason in log.read_text()


@pytest.mark.parametrize("exit_code", [0, 1])
def test_names_of_highly_sensitive_outputs_stand_nowhere_at_medium_privacy(line, exit_code):
    patterns = {"out/secret*.csv": HIGH, "out/odd.rds": HIGH, "out/t.csv": MODERATE}
    made = {"out/secret-name.csv": LEAK, "out/odd.rds": "1", "out/t.csv": LEAK, "left-over.x": "1"}
    line.run("make", patterns, made, exit_code=exit_code)
    shown = everything(line.medium)
    for word in ("secret", "odd.rds", "left-over"):
        assert word not in shown
        assert word in everything(line.storage.high)
    assert "out/t.csv is not shown here" in shown
    assert "4711" not in shown


@pytest.mark.attack("a job says the name of a highly sensitive output in its log")
@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_job_that_names_highly_sensitive_files_is_not_quoted_at_medium_privacy(line, exit_code):
    line.run("extract", {"output/input_4711.csv": HIGH}, {"output/input_4711.csv": "1"})
    names = ("out/lung-4711.csv", "out/Jane Doe (4711).csv", "out/märz_4711.rds", "out/model")
    said = "".join(
        f"wrote {name}, '/workspace/{name}' and {name.rpartition('/')[2]}.\n" for name in names
    )
    said += "read output/input_4711.csv; the model has 4711 rows; wrote pub/t-1.csv\n"
    made = line.made("make", {"out/*": HIGH, "pub/*": MODERATE})
    needs = [Need(action="extract", request="request-1", job="job-extract-1")]
    job = line.lay_out(made, needs)
    written = dict.fromkeys((*names, "out/t-1.csv"), "1") | {"pub/t-1.csv": FINE}
    line.work(job, written, log=said)
    line.workspace.publish(job, made, line.outcome(line.collect(job, made), exit_code))
    shown = (line.medium / "metadata/make.log").read_text()
    for name in ("lung", "Jane", "märz", "input_4711", "out/model"):
        assert name not in shown
        assert name in (line.high / "metadata/make.log").read_text()
    assert "; the model has 4711 rows; wrote pub/t-1.csv\n" in shown


@pytest.mark.attack("an output takes the place of the note about another")
def test_a_failed_job_tells_beside_what_was_kept_back_and_never_over_an_output(line):
    patterns = {"a.csv": MODERATE, "a.csv.txt": MODERATE}
    _, outcome = line.run("make", patterns, {"a.csv": LEAK, "a.csv.txt": "own words"}, exit_code=1)
    assert outcome.status is Status.FAILED
    failed = tree(line.medium / "metadata/make.failed")
    assert failed.keys() == {"a.csv.txt", "a.csv.kept-back.txt"}
    assert failed["a.csv.txt"] == "own words"
    assert "identifies patients" in failed["a.csv.kept-back.txt"]
    line.run("make", patterns, {"a.csv": FINE, "a.csv.txt": "own words"}, exit_code=1)
    assert tree(line.medium / "metadata/make.failed") == {"a.csv": FINE, "a.csv.txt": "own words"}


@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_table_that_a_job_printed_is_cut_out_of_its_log_at_medium_privacy_alone(line, exit_code):
    made = line.made("make", {})
    job = line.lay_out(made)
    line.work(job, {}, log=f"before\n{LEAK}after\n")
    outcome = line.outcome(line.collect(job, made), exit_code)
    for _ in range(2):  # after a crash it is published again
        line.workspace.publish(job, made, outcome)
    shown = (line.medium / "metadata/make.log").read_text()
    assert "4711" not in shown
    assert [row for row in shown.splitlines() if CUT in row] == [shown.splitlines()[1]]
    assert (shown.splitlines()[0], shown.splitlines()[2]) == ("before", "after")
    assert "exit_code:" in shown
    assert LEAK in (line.high / "metadata/make.log").read_text()
    assert LEAK in (line.storage.high / f"logs/2026-01/os-job-{made.job}/logs.txt").read_text()


def test_a_job_that_said_nothing_has_a_summary_for_its_log(line):
    made = line.made("make", {})
    job = line.lay_out(made)
    line.work(job, {})
    job.log.unlink()
    line.workspace.publish(job, made, line.outcome(line.collect(job, made)))
    assert "JOB SUMMARY" in (line.medium / "metadata/make.log").read_text()


def test_what_could_not_be_read_is_kept_back_and_does_not_fail_the_job(line):
    _, outcome = line.run("make", {"a.json": MODERATE}, {"a.json": "{"})
    assert outcome.status_code is Code.SUCCEEDED
    assert "could not be read" in (line.medium / "a.json.txt").read_text()
