"""The words of a report."""

import json

import pytest

from spoolrunner.record import changed, to_line
from spoolrunner.request import ERROR_ACTION, Code, Job, Level, Output, Status
from spoolrunner.wire import introduction, jobs_of, refreshed, v1_answer
from tests.jobserver.reports import (
    DECLARED,
    NOW,
    a_job,
    a_request,
    failed,
    succeeded,
)

ID = "k3j2h4g5f6d7s8a9"
FIELDS = {
    *("identifier", "job_request_id", "action", "run_command", "status", "status_code"),
    *("status_message", "created_at", "updated_at", "started_at", "completed_at"),
}


def message_of(job: Job, outputs: str = "declared") -> str:
    (only,) = jobs_of(a_request(job), outputs=outputs, declared=DECLARED)
    return str(only["status_message"])


def test_a_report_holds_all_jobs_in_order_with_the_fields_every_server_wants():
    jobs = a_job(ID, "analyse", sequence=8), succeeded(ID, "extract", sequence=7)
    told = jobs_of(a_request(*jobs), outputs="declared", declared=DECLARED)
    assert [job["action"] for job in told] == ["extract", "analyse"]
    assert all(job.keys() == FIELDS and job["job_request_id"] == ID for job in told)
    assert told[1]["started_at"] is told[1]["completed_at"] is None
    assert told[0]["completed_at"] == NOW


def test_a_request_that_is_still_being_read_reports_nothing():
    assert jobs_of(a_request(), outputs="declared", declared={}) == []
    assert v1_answer(a_request(), outputs="declared", declared={}) is None


@pytest.mark.parametrize("status", Status)
def test_the_end_is_told_exactly_when_there_is_one(status):
    wrong_way_round = None if status.final else NOW
    job = a_job(ID, "extract", status, completed_at=wrong_way_round, updated_at="", created_at="")
    (told,) = jobs_of(a_request(job), outputs="none", declared={})
    assert (told["completed_at"] is not None) == status.final
    assert told["created_at"]
    assert told["updated_at"]


def test_a_failure_says_where_its_full_story_is():
    message = message_of(failed(ID, "extract"))
    assert message == "Job exited with an error (exit code 1). (reference k7m2x9)"


@pytest.mark.parametrize(
    "phrase", ["Internal error", "something went wrong with the database", "Job ran out of memory"]
)
def test_the_phrases_the_server_looks_for_are_kept(phrase):
    assert phrase in message_of(failed(ID, "extract", status_message=f"{phrase}: see there."))


def test_a_very_long_message_is_cut_but_keeps_its_reference():
    message = message_of(failed(ID, "extract", status_message="x" * 100_000))
    assert len(message) < 9_000
    assert message.endswith("(reference k7m2x9)")


def test_texts_hold_nothing_the_server_or_a_terminal_would_choke_on():
    text = "a\0b\ud800c\x1b[31md\n\te"
    job = failed(ID, "extract", status_message=text, run_command=text)
    (told,) = jobs_of(a_request(job), outputs="none", declared={})
    for cleaned in (told["status_message"], told["run_command"]):
        assert cleaned.startswith("a\ufffdb\ufffdc\ufffd[31md\n\te")
    assert json.loads(to_line([told])) == [told]


def test_declared_locations_are_those_of_project_yaml():
    assert message_of(succeeded(ID, "analyse")) == (
        "Completed successfully.\nOutputs:\n"
        "- output/*.png (moderately_sensitive)\n- output/table.csv (minimally_sensitive)"
    )


def test_all_locations_are_those_of_the_files():
    job = succeeded(
        ID,
        "analyse",
        outputs={
            "output/b.png": Output(level=Level.MODERATE, size=1, sha256="00"),
            "output/a\u202ecsv": Output(level=Level.HIGH, size=1, sha256="00"),
        },
    )
    assert message_of(job, "all") == (
        "Completed successfully.\nOutputs:\n"
        "- output/a\\u202ecsv (highly_sensitive)\n- output/b.png (moderately_sensitive)"
    )


def test_no_locations_are_told_where_none_are_wanted_or_the_job_failed():
    assert message_of(succeeded(ID, "analyse"), "none") == "Completed successfully."
    assert "output/" not in message_of(failed(ID, "analyse"), "all")


def test_what_a_job_wrote_changes_no_byte_of_its_report():
    one = succeeded(ID, "analyse", status_message="Completed successfully.")
    other = changed(
        one,
        status_message="Completed successfully. 3 outputs were kept back from medium privacy.",
        outputs={"output/secret.png": Output(level=Level.MODERATE, size=99, sha256="ff")},
    )
    for outputs in ("none", "declared"):
        assert message_of(one, outputs) == message_of(other, outputs)
    assert message_of(one, "all") != message_of(other, "all")


def test_what_was_told_of_a_job_that_had_not_to_run_is_kept():
    job = succeeded(ID, "run_all", attempt=0, status_message="All actions have already run.")
    assert message_of(job) == "All actions have already run."


def test_many_locations_are_cut_with_their_number():
    outputs = {
        f"output/{number:0200}.csv": Output(level=Level.HIGH, size=1, sha256="00")
        for number in range(1_000)
    }
    message = message_of(succeeded(ID, "analyse", outputs=outputs), "all")
    shown = message.count("(highly_sensitive)")
    assert len(message) < 80_000
    assert message.endswith(f"- and {1_000 - shown} more")


def test_jobs_the_server_has_not_seen_are_first_told_as_they_began():
    jobs = failed(ID, "extract", sequence=1), succeeded(ID, "analyse", sequence=2)
    ended = jobs_of(a_request(*jobs), outputs="none", declared={})
    first, seen = introduction(ended, {ended[1]["identifier"]})
    assert first.keys() == FIELDS
    assert first["status"] == "pending"
    assert first["started_at"] is first["completed_at"] is None
    assert first["identifier"] == ended[0]["identifier"]
    assert "k7m2x9" not in json.dumps(first)
    assert seen == ended[1]


def test_jobs_that_were_seen_or_still_wait_need_no_introduction():
    jobs = a_job(ID, "extract", sequence=1), failed(ID, "analyse", sequence=2)
    told = jobs_of(a_request(*jobs), outputs="none", declared={})
    assert introduction(told, {told[1]["identifier"]}) == []
    assert introduction(told, {job["identifier"] for job in told}) == []


def test_a_refresh_touches_only_what_has_not_ended():
    jobs = succeeded(ID, "extract", sequence=1), a_job(ID, "analyse", sequence=2)
    told = refreshed(jobs_of(a_request(*jobs), outputs="none", declared={}), "2027-01-01T00:00:00Z")
    assert [job["updated_at"] for job in told] == ["2026-11-22T15:38:22Z", "2027-01-01T00:00:00Z"]


@pytest.mark.parametrize(
    ("job", "number"),
    [
        (succeeded(ID, "analyse"), 0),
        (failed(ID, "analyse"), 2),
        (failed(ID, "analyse", status_code=Code.DEPENDENCY_FAILED), 7),
        (failed(ID, ERROR_ACTION, status_code=Code.JOB_ERROR), 9),
        (failed(ID, "analyse", status_code=Code.TIMED_OUT), -1),
        (failed(ID, "analyse", status_code=Code.INTERNAL_ERROR), 99),
    ],
)
def test_a_v1_request_is_answered_with_the_numbers_of_its_time(job, number):
    answer = v1_answer(a_request(job), outputs="declared", declared=DECLARED)
    assert answer is not None
    assert answer["status_code"] == number


def test_a_v1_answer_tells_of_the_job_that_failed_or_else_of_the_one_asked_for():
    good = succeeded(ID, "analyse", sequence=2)
    answer = v1_answer(
        a_request(succeeded(ID, "extract"), good), outputs="declared", declared=DECLARED
    )
    assert answer == {
        "status_code": 0,
        "status_message": "Completed successfully.",
        "outputs": [{"location": "output/*.png"}, {"location": "output/table.csv"}],
    }
    answer = v1_answer(a_request(failed(ID, "extract"), good), outputs="all", declared=DECLARED)
    assert answer == {
        "status_code": 2,
        "status_message": "Job exited with an error (exit code 1). (reference k7m2x9)",
        "outputs": [],
    }


def test_a_v1_request_is_not_answered_before_it_has_ended():
    jobs = failed(ID, "extract"), a_job(ID, "analyse")
    assert v1_answer(a_request(*jobs), outputs="all", declared={}) is None
