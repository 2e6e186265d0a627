"""The client and a job-server that behaves: pages, reports, refusals, the token."""

import logging
import time
from email.utils import formatdate
from typing import Any

import pytest

from spoolrunner import wire
from spoolrunner.errors import BadMachine
from spoolrunner.jobserver import JobServer, Limits
from spoolrunner.request import Status
from spoolrunner.verdict import Cause, Ending, verdict
from spoolrunner.wire import NotNow, ReportRefused
from tests.jobserver.conftest import QUICK
from tests.jobserver.reports import NOW, a_request, failed, report, succeeded


def listed(client: JobServer) -> list[Any]:
    return list(client.requests())


def test_a_request_is_read_and_its_jobs_are_reported(server, connect):
    identifier = server.create_request(["analyse"], backend="test")
    client = connect(server)
    (item,) = listed(client)
    assert item["identifier"] == identifier
    assert item["backend"] == client.backend
    client.post(report(identifier, "extract", "analyse"))
    assert server.request_status(identifier) == "pending"
    client.post(report(identifier, "extract", "analyse", status=Status.SUCCEEDED))
    assert server.request_status(identifier) == "succeeded"
    assert listed(client) == []


def test_every_page_is_read(server, connect):
    made = {server.create_request(["analyse"], backend="test") for _ in range(250)}
    assert {item["identifier"] for item in connect(server).requests()} == made


def test_what_is_listed_for_another_backend_says_so(old_server, connect):
    old_server.create_request(["analyse"], backend="test")
    old_server.create_request(["analyse"], backend="other")
    (item,) = connect(old_server, token=old_server.token("other")).requests()
    assert item["backend"] == "other"


@pytest.mark.parametrize("endpoint", ["{}", "{}/", "{}//"])
def test_an_endpoint_may_end_as_it_likes(old_server, connect, endpoint):
    identifier = old_server.create_request(["analyse"], backend="test")
    client = connect(old_server, endpoint=endpoint.format(old_server.endpoint.rstrip("/")))
    client.post(report(identifier, "analyse"))
    assert [item["identifier"] for item in client.requests()] == [identifier]


def test_the_token_is_sent_bare_and_nothing_is_compressed(old_server, connect):
    listed(connect(old_server))
    (call,) = old_server.calls
    assert call.authorization == old_server.token("test")
    assert call.headers["Accept-Encoding"] == "identity"
    assert call.query == {"backend": "test"}


@pytest.mark.parametrize("token", ["", "  ", "a b", "a\nb", "tök"])
def test_without_a_token_nothing_is_asked_because_every_backends_requests_would_come(token):
    with pytest.raises(BadMachine) as raised:
        JobServer("https://jobs.example/api/v2/", token, "test")
    assert raised.value.kind == "bad_token"
    assert token.strip() == "" or token not in str(vars(raised.value))


def test_netrc_does_not_replace_the_token(old_server, connect, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    listed(connect(old_server))
    assert old_server.calls[0].authorization == old_server.token("test")


def test_jobs_of_one_request_stand_side_by_side(old_server, connect):
    first, second = (old_server.create_request(["a"], backend="test") for _ in range(2))
    one, other = report(first, "a", "b"), report(second, "a", "b")
    connect(old_server).post([one[0], other[0], one[1], other[1]])
    assert [len(old_server.jobs(each)) for each in (first, second)] == [2, 2]


def test_no_jobs_no_post(old_server, connect):
    connect(old_server).post([])
    assert old_server.calls == []


def test_a_job_told_as_pending_first_brings_the_mail(old_server, connect):
    identifier = old_server.create_request(["analyse"], backend="test", will_notify=True)
    request = a_request(succeeded(identifier, "analyse"), identifier=identifier)
    jobs = wire.jobs_of(request, outputs="declared", declared={})
    client = connect(old_server)
    client.post(wire.introduction(jobs, ()))
    client.post(jobs)
    assert len(old_server.mails) == 1


def test_the_phrases_reach_those_who_look_for_them(old_server, connect):
    identifier = old_server.create_request(["analyse"], backend="test")
    job = failed(identifier, "analyse", status_message="Job ran out of memory (limit was 4.00GB).")
    jobs = wire.jobs_of(a_request(job, identifier=identifier), outputs="declared", declared={})
    client = connect(old_server)
    client.post(wire.introduction(jobs, ()))
    client.post(jobs)
    assert [alert.action for alert in old_server.alerts] == ["analyse"]


@pytest.mark.parametrize(
    ("ending", "phrase"),
    [
        (Ending(137, Cause.MEMORY, "4.00GB"), "ran out of memory"),
        (Ending(5, uses_db=True), "something went wrong with the database"),
    ],
)
def test_the_phrases_are_those_of_our_own_sentences(old_server, connect, ending, phrase):
    identifier = old_server.create_request(["analyse"], backend="test")
    said = verdict(ending, [], 0, 0).message
    assert phrase in said.lower()
    request = a_request(failed(identifier, "analyse", status_message=said), identifier=identifier)
    jobs = wire.jobs_of(request, outputs="declared", declared={})
    client = connect(old_server)
    client.post(wire.introduction(jobs, ()))
    client.post(jobs)
    assert len(old_server.alerts) == 1


def test_a_text_that_a_server_would_refuse_is_made_fit_for_it(server, connect):
    identifier = server.create_request(["analyse"], backend="test")
    text = "NUL \0, half a character \ud800, \x1b[31m"
    job = failed(identifier, "analyse", status_message=text, run_command=text)
    jobs = wire.jobs_of(a_request(job, identifier=identifier), outputs="none", declared={})
    connect(server).post(jobs)
    assert server.jobs(identifier)[0].status_message.startswith("NUL \ufffd, half a character")


def test_an_item_that_could_not_be_taken_is_not_listed_again(server, connect):
    identifier = server.create_request(["analyse"], backend="test", sha="HEAD")
    client = connect(server)
    (bad,) = client.requests()
    assert isinstance(bad, wire.Unusable)
    client.post(wire.error_jobs(bad, NOW))
    assert server.request_status(identifier) == "failed"
    assert listed(client) == []


def test_a_report_on_an_unknown_request_names_it(old_server, connect):
    known = old_server.create_request(["a"], backend="test")
    client = connect(old_server)
    with pytest.raises(ReportRefused) as raised:
        client.post([*report(known, "a"), *report("nosuchrequest", "a"), *report("northis", "a")])
    assert raised.value.kind == "unknown_ids"
    assert sorted(raised.value.requests) == ["northis", "nosuchrequest"]
    client.post(report(known, "a"))


def test_a_refused_report_names_its_request_its_job_and_the_field(server, connect):
    good, bad = (server.create_request(["a"], backend="test") for _ in range(2))
    spoilt = [{**job, "created_at": "yesterday"} for job in report(bad, "a")]
    with pytest.raises(ReportRefused) as raised:
        connect(server).post([*report(good, "a"), *spoilt])
    assert raised.value.kind == "report_refused"
    assert raised.value.requests == (bad,)
    assert raised.value.fields == {spoilt[0]["identifier"]: ["created_at"]}
    assert "Datetime has wrong format" in raised.value.detail
    assert "Datetime" not in raised.value.public


def test_a_wrong_token_is_the_operators_turn(server, connect):
    client = connect(server, token="wrong-canary")
    for ask in (lambda: listed(client), lambda: client.post(report("x", "a"))):
        with pytest.raises(BadMachine) as raised:
            ask()
        assert raised.value.kind == "token_refused"
        assert not isinstance(raised.value, ReportRefused)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_question_is_repeated_and_a_report_is_not(old_server, connect, status):
    client = connect(old_server, Limits(repeats=2))
    old_server.misbehave(str(status), retry_after="0")
    assert listed(client) == []
    identifier = old_server.create_request(["a"], backend="test")
    old_server.misbehave(str(status))
    with pytest.raises(NotNow) as raised:
        client.post(report(identifier, "a"))
    assert raised.value.kind == "server_error"
    assert len(old_server.posts) == 1


def test_a_wait_the_server_asks_for_is_kept_if_it_is_short(old_server, connect):
    old_server.misbehave("429", retry_after="1")
    assert listed(connect(old_server, Limits(repeats=2))) == []
    first, second = old_server.calls
    assert second.at_s - first.at_s >= 1


@pytest.mark.parametrize("asked", ["3600", "soon"])
def test_a_wait_that_is_too_long_or_nonsense_is_the_callers(old_server, connect, asked):
    old_server.misbehave("429", retry_after=asked)
    with pytest.raises(NotNow) as raised:
        listed(connect(old_server, Limits(repeats=2)))
    assert raised.value.retry_after_s == (3600 if asked == "3600" else None)
    assert len(old_server.calls) == 1


def test_a_limited_report_says_when_to_come_again(old_server, connect):
    old_server.misbehave("429", retry_after="77")
    with pytest.raises(NotNow) as raised:
        connect(old_server).post(report("x", "a"))
    assert (raised.value.kind, raised.value.retry_after_s) == ("rate_limited", 77)


def test_when_to_come_again_may_be_a_date(old_server, connect):
    old_server.misbehave("503", retry_after=formatdate(time.time() + 77, usegmt=True))
    with pytest.raises(NotNow) as raised:
        connect(old_server).post(report("x", "a"))
    assert 70 <= raised.value.retry_after_s <= 77


def test_a_v1_job_is_answered_where_it_says(old_server, connect):
    queue = old_server.queue
    job = queue.add_job("analyse", queue.add_workspace("ws", "repo"), "test")
    client = connect(old_server, token=f"{queue.user}:{queue.password}")
    request = a_request(succeeded("x", "analyse"))
    answer = wire.v1_answer(request, outputs="declared", declared={})
    assert answer is not None
    client.patch(f"{old_server.v1_endpoint}jobs/{job}/", answer)
    assert queue.jobs[job]["status_code"] == 0
    with pytest.raises(ReportRefused) as raised:
        client.patch(f"{old_server.v1_endpoint}jobs/999/", answer)
    assert raised.value.kind == "unknown_ids"


@pytest.mark.parametrize(
    "url",
    [
        "{elsewhere}/api/jobs/1/",
        "http://user:pass-canary@{own}/api/jobs/1/",
        "http://{own}\\@{there}/api/jobs/1/",
        "http://{own}@{there}/api/jobs/1/",
        "https://{own}/api/jobs/1/",
        "http://{own}/api/users/1/",
        "http://{own}/api/jobs/../users/1/",
        "file:///etc/passwd",
        "//{there}/api/jobs/1/",
        "http://[{own}/api/jobs/1/",
        "",
    ],
)
def test_a_v1_url_leads_to_no_other_server_and_to_nothing_but_a_job(old_server, connect, url):
    elsewhere = old_server.elsewhere.base
    own, there = (base.partition("//")[2] for base in (old_server.page.rstrip("/"), elsewhere))
    url = url.format(elsewhere=elsewhere, own=own, there=there)
    with pytest.raises(ReportRefused) as raised:
        connect(old_server).patch(url, {})
    assert raised.value.kind == "foreign_url"
    assert "pass-canary" not in str(vars(raised.value))
    assert old_server.calls == old_server.elsewhere.calls == []


def test_the_token_is_in_no_log_and_no_error(server, connect, caplog):
    caplog.set_level(logging.DEBUG)
    token = server.token("test")
    server.misbehave(lambda body: b"<html>" + token.encode(), on="GET")
    server.misbehave(lambda body: token.encode(), on="POST")
    identifier = server.create_request(["a"], backend="test")
    client = connect(server, QUICK)
    told = []
    for ask in (lambda: listed(client), lambda: client.post(report(identifier, "a"))):
        with pytest.raises(NotNow) as raised:
            ask()
        told.append(f"{raised.value} {vars(raised.value)}")
    assert "[token]" in "".join(told)
    assert token not in "".join(told) + caplog.text
