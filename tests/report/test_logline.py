"""A log line is one line, and nothing in a value can pass for another key."""

import json
import logging
import sys

from spoolrunner.report.logline import LineFormatter


def line(message: str, *values: object, as_json: bool = False, journal: bool = False) -> str:
    record = logging.LogRecord("x", logging.INFO, "x", 1, message, values, None)
    record.created, record.msecs = 0.123, 123
    return LineFormatter(as_json=as_json, journal=journal).format(record)


def test_keys_stand_before_a_sentence() -> None:
    assert (
        line("request=%s finished status=%s", "r1", "failed")
        == "1970-01-01T00:00:00.123Z INFO request=r1 finished status=failed"
    )


def test_a_value_with_spaces_or_an_equals_sign_is_quoted() -> None:
    assert line("action=%s code=%s", "fit model (a=b)", "x").endswith(
        'action="fit model (a=b)" code=x'
    )


def test_numbers_and_percent_signs_stay_what_they_are() -> None:
    assert line("in %g s, exit=%d, 5%%", 0.5, 3).endswith("in 0.5 s, exit=3, 5%")
    assert line("100% of it").endswith("100% of it")


def test_an_event_is_one_line_whatever_it_holds() -> None:
    try:
        raise ValueError("first\nsecond \x1b[31m")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "x", 1, "failed: %s", ("a\nb",), None)
        record.exc_info = sys.exc_info()
    text = LineFormatter().format(record)
    assert text.isprintable()
    assert "failed: a\\nb\\nTraceback" in text


def test_json_has_the_keys_as_fields() -> None:
    told = json.loads(line("request=%s action=%s it began", "r1", "fit model", as_json=True))
    assert told == {
        "time": "1970-01-01T00:00:00.123Z",
        "level": "INFO",
        "request": "r1",
        "action": "fit model",
        "message": "request=r1 action=fit model it began",
    }


def test_no_value_takes_the_place_of_time_level_or_message() -> None:
    told = json.loads(line("message=%s level=%s", "mine", "CRITICAL", as_json=True))
    assert (told["message"], told["level"]) == ("message=mine level=CRITICAL", "INFO")


def test_the_journal_gets_a_priority_first() -> None:
    assert line("x", journal=True).startswith("<6>1970")
