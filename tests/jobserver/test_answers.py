"""What is made of the server's answers, whatever they are; and what is not imported for it."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoolrunner import settings
from spoolrunner.wire import NotNow, check_posted, not_now, refusal
from tests.jobserver.reports import report

JOBS = [*report("first", "a", "b"), *report("second", "a")]
anything = st.recursive(
    st.none() | st.integers() | st.text(max_size=9) | st.just("Unknown JobRequest IDs: second, x"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["0", "2", "9", "detail", "status", "²"]), inner)
    ),
    max_leaves=9,
)


@given(anything | st.binary())
def test_a_refusal_is_about_what_was_posted_whatever_the_server_says(answer):
    data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    error = refusal(400, data, JOBS)
    assert error.requests
    assert set(error.requests) <= {"first", "second"}
    assert set(error.fields) <= {job["identifier"] for job in JOBS}
    assert {name for names in error.fields.values() for name in names} <= JOBS[0].keys()


@pytest.mark.parametrize(
    ("answer", "requests", "fields"),
    [
        ([{}, {}, {"status": ["no"]}], ("second",), [["status"]]),
        ({"1": {"run_command": ["no"]}}, ("first",), [["run_command"]]),
        ([{"non_field_errors": ["no"]}, {}, {}], ("first",), [[]]),
        ({"9": {"status": ["no"]}}, ("first", "second"), []),
        ({"detail": "JSON parse error"}, ("first", "second"), []),
        (["Unknown JobRequest IDs: somebody-elses"], ("first", "second"), []),
    ],
)
def test_faults_are_found_by_position_in_a_list_or_by_number(answer, requests, fields):
    error = refusal(400, json.dumps(answer).encode(), JOBS)
    assert (error.requests, list(error.fields.values())) == (requests, fields)
    assert error.kind == "report_refused"
    assert "no" not in error.public.split()


def test_a_public_sentence_stays_short():
    posted = [job for number in range(500) for job in report(f"r{number}", "a")]
    for answer in ({}, [{"status": ["no"]}] * 500, ["Unknown JobRequest IDs: r1, r2, r3, r4, r5"]):
        assert len(refusal(400, json.dumps(answer).encode(), posted).public) < 500


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'"success"', b"{}", b'{"status": "failed"}', b'{"status": "su']
)
def test_only_the_servers_own_word_makes_a_report_sent(body):
    with pytest.raises(NotNow):
        check_posted(body)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(302, "redirected"), (404, "not_job_server"), (429, "rate_limited"), (502, "server_error")],
)
def test_every_other_status_means_that_nobody_knows(status, kind):
    error = not_now(status, b"<html>secret page", 7)
    assert (error.kind, error.retry_after_s, error.detail) == (kind, 7, "<html>secret page")
    assert "secret" not in error.public


@pytest.mark.parametrize("module", ["spoolrunner.cli", "spoolrunner.runner.mover"])
def test_the_client_is_not_imported_where_no_endpoint_is_set(module):
    look = (
        f"import sys, {module}, spoolrunner.wire; sys.exit('spoolrunner.jobserver' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_patterns_are_told_unless_somebody_says_otherwise():
    setting = settings.table()["REPORT_OUTPUTS"]
    assert setting.default == "declared"
    assert [setting.read(word) for word in ("none", "ALL", "declared")] == [
        "none",
        "all",
        "declared",
    ]
    with pytest.raises(ValueError, match="must be one of"):
        setting.read("some")
