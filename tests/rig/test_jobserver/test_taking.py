"""What a post may hold: each field, and the words with which the rest is refused."""

import json
from datetime import UTC, datetime

import pytest

from tests.rig.jobserver import JobServer
from tests.rig.test_jobserver.client import a_job, identifiers, post

REQUIRED = ["This field is required."]


def test_a_good_post_is_a_success(server: JobServer) -> None:
    request = server.create_request()
    answer = post(server, [a_job(request, status_message="x", updated_at=None)])
    assert (answer.status_code, answer.json()) == (200, {"status": "success"})
    (job,) = server.jobs(request)
    assert (job.status, job.status_message, job.updated_at) == ("running", "x", None)
    assert job.created_at == datetime(2026, 11, 22, 15, 38, 21, tzinfo=UTC)


def test_every_field_was_required_in_2022_but_run_command(old: JobServer) -> None:
    answer = post(old, [{}])
    names = set(a_job("")) - {"run_command"}
    assert (answer.status_code, answer.json()) == (400, [dict.fromkeys(names, REQUIRED)])
    request = old.create_request()
    job = a_job(request)
    del job["run_command"]
    assert post(old, [job]).status_code == 200


def test_run_command_is_required_today_though_it_may_be_nothing(today: JobServer) -> None:
    request = today.create_request()
    job = a_job(request)
    del job["run_command"]
    answer = post(today, [job])
    assert answer.status_code == 400
    assert answer.json() == {"0": {"run_command": REQUIRED}}
    for nothing in (None, ""):
        assert post(today, [{**job, "run_command": nothing}]).status_code == 200
    assert post(today, [{**job, "run_command": "", "metrics": {"cpu": 1}}]).status_code == 200
    assert today.jobs(request)[0].metrics == {"cpu": 1}


def test_errors_come_by_position_and_nothing_is_written(server: JobServer) -> None:
    request = server.create_request()
    answer = post(server, [a_job(request), a_job(request, "j2", status=None)])
    wrong = {"status": ["This field may not be null."]}
    expected: object = [{}, wrong] if server.site.era == "2022-06" else {"1": wrong}
    assert (answer.status_code, answer.json()) == (400, expected)
    assert server.jobs(request) == []


TEXTS = ("job_request_id", "identifier", "action", "status", "status_code", "status_message")
MAY_BE_BLANK = ("action", "status_code", "status_message")
STRANGE: tuple[object, ...] = (True, False, [], {})
TIMES = ("created_at", "updated_at", "started_at", "completed_at")


def problem(server: JobServer, name: str, value: object) -> str | None:
    """The words against this value of this field; None if it is taken."""
    request = server.create_request()
    answer = post(server, [a_job(request, f"of-{request}") | {name: value}])
    if answer.status_code == 200:
        return None
    errors = answer.json()
    wrong = errors[0] if isinstance(errors, list) else errors["0"]
    assert list(wrong) == [name]
    return str(wrong[name][0])


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_a_text_or_a_number(server: JobServer, name: str) -> None:
    assert problem(server, name, None) == "This field may not be null."
    for strange in STRANGE:
        assert problem(server, name, strange) == "Not a valid string."
    for empty in ("", "  \n"):
        blank = None if name in MAY_BE_BLANK else "This field may not be blank."
        assert problem(server, name, empty) == blank


@pytest.mark.parametrize("name", TEXTS)
def test_nul_and_half_characters_are_refused(server: JobServer, name: str) -> None:
    assert problem(server, name, "a\0b") == "Null characters are not allowed."
    words = "Surrogate characters are not allowed: U+D83D."
    assert problem(server, name, "a\ud83d") == words


@pytest.mark.parametrize("name", TIMES)
def test_a_time_is_iso_8601(server: JobServer, name: str) -> None:
    for strange in (*STRANGE, 1700000000, "yesterday", ""):
        assert str(problem(server, name, strange)).startswith("Datetime has wrong format.")
    for value in ("2026-11-22T15:38", "2026-11-22T15:38:27.123456", "2026-11-22T15:38:27+01:00"):
        assert problem(server, name, value) is None
    assert (problem(server, name, None) is None) == (name != "created_at")


def test_a_time_without_zone_is_utc_and_microseconds_are_kept(server: JobServer) -> None:
    request = server.create_request()
    post(server, [a_job(request, created_at="2026-11-22T15:38:27.123456")])
    expected = datetime(2026, 11, 22, 15, 38, 27, 123456, tzinfo=UTC)
    assert server.jobs(request)[0].created_at == expected


def test_a_time_of_another_zone_is_kept_as_utc(server: JobServer) -> None:
    request = server.create_request()
    post(server, [a_job(request, created_at="2026-11-22T15:38:27+01:00")])
    assert server.jobs(request)[0].created_at.isoformat() == "2026-11-22T14:38:27+00:00"


def test_texts_lose_outer_white_space_and_numbers_become_texts(server: JobServer) -> None:
    request = server.create_request()
    post(server, [a_job(request, status_message="  two\n - lines ", status_code=7)])
    (job,) = server.jobs(request)
    assert (job.status_message, job.status_code) == ("two\n - lines", "7")


def test_any_status_and_megabytes_of_message_are_taken(server: JobServer) -> None:
    request = server.create_request()
    assert post(server, [a_job(request, status="banana", status_message="x" * 3_000_000)]).ok
    assert server.jobs(request)[0].status == "banana"
    assert len(server.jobs(request)[0].status_message) == 3_000_000
    assert server.posts[0].size_bytes > 3_000_000


def test_fields_nobody_knows_are_ignored(server: JobServer) -> None:
    assert post(server, [a_job(server.create_request(), colour="green")]).ok


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        (b"{}", 400, {"non_field_errors": ['Expected a list of items but got type "dict".']}),
        (b'"x"', 400, {"non_field_errors": ['Expected a list of items but got type "str".']}),
        (b"", 400, {"non_field_errors": ['Expected a list of items but got type "dict".']}),
        (b"null", 400, {"non_field_errors": ["No data provided"]}),
    ],
)
def test_what_is_no_list_is_refused(
    server: JobServer, body: bytes, status: int, answer: object
) -> None:
    answered = post(server, body)
    assert (answered.status_code, answered.json()) == (status, answer)


@pytest.mark.parametrize("body", [b"[{", b"[NaN]", b"\xff\xfe"])
def test_what_is_no_json_is_refused(server: JobServer, body: bytes) -> None:
    answer = post(server, body)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("JSON parse error - ")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("-", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 500),
        ("application/json; charset=utf-8", 200),
    ],
)
def test_the_type_of_the_content_counts(server: JobServer, kind: str, status: int) -> None:
    body = json.dumps([a_job(server.create_request())]).encode()
    assert post(server, body, **{"Content-Type": kind}).status_code == status


def test_an_empty_list_broke_the_server_of_2022(old: JobServer, today: JobServer) -> None:
    crash = post(old, [])
    assert (crash.status_code, crash.headers["Content-Type"]) == (500, "text/html; charset=utf-8")
    assert post(today, []).json() == {"status": "success"}


def test_one_unknown_request_refused_the_whole_post_in_2022(old: JobServer) -> None:
    request = old.create_request()
    answer = post(old, [a_job(request), a_job("nosuchrequest", "j2")])
    assert (answer.status_code, answer.json()) == (400, ["Unknown JobRequest IDs: nosuchrequest"])
    assert old.jobs(request) == []


def test_an_unknown_request_is_passed_over_today(today: JobServer) -> None:
    request = today.create_request()
    assert post(today, [a_job("nosuchrequest", "j2"), a_job(request)]).ok
    assert identifiers(today, request) == ["j1"]


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("-", "Authorization header is missing"),
        ("", "Authorization header is empty"),
        ("wrong", "Invalid token"),
    ],
)
def test_a_post_needs_a_token(server: JobServer, token: str, words: str) -> None:
    request = server.create_request()
    answer = post(server, [a_job(request)], Authorization=token)
    assert (answer.status_code, answer.json()) == (403, {"detail": words})
    assert server.jobs(request) == []


def test_another_backends_token_writes_too(server: JobServer) -> None:
    request = server.create_request()
    assert post(server, [a_job(request)], Authorization=server.token("other")).ok
    assert identifiers(server, request) == ["j1"]
