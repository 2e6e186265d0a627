"""What a job came to; how it ended and what it left are kept apart."""

import pytest

from spoolrunner.request import Code, Status
from spoolrunner.verdict import Cause, Ending, neutral, verdict


@pytest.mark.parametrize(
    ("ending", "unmatched", "code", "words"),
    [
        (Ending(0), [], Code.SUCCEEDED, "Completed successfully"),
        (Ending(0), ["o/*.csv"], Code.UNMATCHED_PATTERNS, "o/*.csv"),
        (Ending(1), ["o/*.csv"], Code.NONZERO_EXIT, "exit code 1"),
        (Ending(3), [], Code.NONZERO_EXIT, "exit code 3"),
        (Ending(3, uses_db=True), [], Code.NONZERO_EXIT, "temporary database error"),
        (Ending(4, uses_db=True), [], Code.NONZERO_EXIT, "imported"),
        (Ending(5, uses_db=True), [], Code.NONZERO_EXIT, "Something went wrong with the database"),
        (Ending(137), [], Code.NONZERO_EXIT, "memory limit"),
        (Ending(None), [], Code.NONZERO_EXIT, "without an exit code"),
        (
            Ending(137, Cause.MEMORY, "4.00GB"),
            ["o/*.csv"],
            Code.OUT_OF_MEMORY,
            "ran out of memory (limit was 4.00GB)",
        ),
        (Ending(137, Cause.TIME, "12h"), [], Code.TIMED_OUT, "12h"),
        (Ending(137, Cause.DISK), [], Code.DISK_LIMIT, "disk"),
        (Ending(137, Cause.USER), [], Code.CANCELLED_BY_USER, "Cancelled by user"),
        (Ending(0, Cause.ADMIN), [], Code.KILLED_BY_ADMIN, "administrator"),
    ],
)
def test_each_end_has_its_code_and_its_words(ending, unmatched, code, words):
    found = verdict(ending, unmatched, 0, 0)
    assert found.code is code
    assert words in found.message
    assert (found.status is Status.SUCCEEDED) is (code is Code.SUCCEEDED)


def test_a_success_tells_what_was_kept_back_and_what_was_not_taken():
    message = verdict(Ending(0), [], 1, 2).message
    assert "1 output was kept back" in message
    assert "2 outputs were not taken over" in message


def test_the_neutral_message_names_no_pattern():
    found = verdict(Ending(0), ["o/secret*.csv"], 0, 0)
    assert "secret" not in neutral(found.code, found.message)
