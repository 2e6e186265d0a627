"""Misbehaviour: each kind does to a client what it says, as often as it says, and no more."""

import json
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.rig.jobserver import JobServer
from tests.rig.test_jobserver.client import TIMEOUT_S, a_job, get, listed, post


def test_a_status_comes_as_often_as_asked_for(server: JobServer) -> None:
    server.misbehave("500", times=2)
    answers = [get(server) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [500, 500, 200]
    assert answers[0].headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("status", [400, 403])
def test_a_refusal_is_json(server: JobServer, status: int) -> None:
    server.misbehave(str(status))
    answer = get(server)
    assert (answer.status_code, answer.json()) == (status, {"detail": "Refused."})


def test_too_many_requests_says_when_to_come_again(server: JobServer) -> None:
    server.misbehave("429", retry_after="17")
    assert get(server).headers["Retry-After"] == "17"


def test_a_fault_waits_for_its_endpoint(server: JobServer) -> None:
    request = server.create_request()
    server.misbehave("503", "POST /api/v2/jobs/")
    assert get(server).status_code == 200
    assert post(server, [a_job(request)]).status_code == 503
    assert post(server, [a_job(request)]).status_code == 200


def test_a_fault_for_ever_ends_when_told(server: JobServer) -> None:
    server.misbehave("500", times=None)
    assert {get(server).status_code for _ in range(5)} == {500}
    server.behave()
    assert get(server).status_code == 200


def test_the_same_seed_gives_the_same_misbehaviour() -> None:
    def statuses(seed: int) -> list[int]:
        with JobServer(seed=seed) as server:
            server.misbehave("500", times=None, chance=0.5)
            return [get(server).status_code for _ in range(20)]

    assert statuses(1) == statuses(1)
    assert set(statuses(1)) == {200, 500}
    assert statuses(1) != statuses(2)


@pytest.mark.parametrize(("taken", "written"), [(False, 0), (True, 1)])
def test_a_post_that_is_refused_may_have_been_written_all_the_same(
    server: JobServer, taken: bool, written: int
) -> None:
    for number, how in enumerate(("500", "html", "close")):
        request = server.create_request()
        server.misbehave(how, taken=taken)
        job = a_job(request, f"j{number}")
        if how == "close":
            with pytest.raises(requests.ConnectionError):
                post(server, [job])
        else:
            post(server, [job])
        assert len(server.jobs(request)) == written
    assert len(server.posts) == 3


def test_silence_lasts_until_the_client_gives_up(server: JobServer) -> None:
    server.misbehave("hang")
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{server.endpoint}job-requests/", timeout=0.2)
    assert server.stalled
    assert get(server).status_code == 200


def test_an_answer_can_be_cut(server: JobServer) -> None:
    server.create_request()
    server.misbehave("cut")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        get(server)


def test_half_of_the_json_looks_like_a_whole_answer(server: JobServer) -> None:
    server.create_request()
    server.misbehave("half")
    answer = get(server)
    assert answer.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_bytes_drip_one_a_second(server: JobServer) -> None:
    server.misbehave("drip")
    begun = time.monotonic()
    with requests.get(f"{server.endpoint}job-requests/", stream=True, timeout=TIMEOUT_S) as answer:
        first = next(answer.iter_content(1))
    assert first == b"{"
    assert time.monotonic() - begun > 0.9


def test_every_value_has_a_wrong_type(server: JobServer) -> None:
    server.create_request()
    true = get(server).json()
    server.misbehave("types")
    spoiled = get(server).json()
    assert spoiled.keys() == true.keys()
    assert type(spoiled["count"]) is not int
    item = true["results"][0]
    for name, value in spoiled["results"][0].items():
        assert value != item[name]


def test_ten_megabytes_come_as_json(server: JobServer) -> None:
    request = server.create_request()
    server.misbehave("big")
    answer = get(server)
    assert len(answer.content) > 10_000_000
    assert [each["identifier"] for each in answer.json()["results"]] == [request]


def test_a_hundred_thousand_requests_are_listed_in_pages(server: JobServer) -> None:
    server.create_request(["analyse"])
    server.misbehave("crowd", times=None)
    first = get(server).json()
    assert first["count"] == 100_000
    assert len(first["results"]) == 100
    last = listed(server, "?offset=99999")
    assert len(last) == 1
    every = listed(server, "?limit=100000")
    assert len(set(every)) == 100_000


def test_an_html_page_may_say_200(server: JobServer) -> None:
    server.misbehave("html")
    answer = get(server)
    assert (answer.status_code, answer.text[:15]) == (200, "<!doctype html>")


def test_a_test_may_garble_the_answer_itself(server: JobServer) -> None:
    server.misbehave(lambda body: body.replace(b"count", b"tnuoc"))
    assert "tnuoc" in get(server).json()


def test_a_misbehaviour_nobody_knows_is_told(server: JobServer) -> None:
    with pytest.raises(ValueError, match="explode"):
        server.misbehave("explode")


@pytest.mark.parametrize("how", ["302", "307", "next-away"])
def test_what_was_brought_to_the_other_server_is_recorded(server: JobServer, how: str) -> None:
    server.misbehave(how)
    head = {"Authorization": server.token()}
    url = f"{server.endpoint}job-requests/"
    answer = requests.get(url, headers=head, allow_redirects=False, timeout=TIMEOUT_S)
    away = answer.json()["next"] if how == "next-away" else answer.headers["Location"]
    assert urlsplit(away).port != urlsplit(url).port
    requests.get(away, timeout=TIMEOUT_S)
    requests.get(away, headers=head, timeout=TIMEOUT_S)
    assert [call.authorization for call in server.elsewhere.calls] == [None, server.token()]


def test_next_may_lead_to_the_same_page_for_ever(server: JobServer) -> None:
    server.misbehave("next-loop")
    assert get(server, "?limit=5").json()["next"] == f"{server.endpoint}job-requests/?limit=5"


def test_a_server_that_is_restarted_knows_what_it_knew(server: JobServer) -> None:
    request = server.create_request()
    with requests.Session() as session:
        session.headers["Authorization"] = server.token()
        url = f"{server.endpoint}job-requests/"
        assert session.get(url, timeout=TIMEOUT_S).ok
        server.stop()
        with pytest.raises(requests.ConnectionError):
            session.get(url, timeout=TIMEOUT_S)
        server.start()
        results = session.get(url, timeout=TIMEOUT_S).json()["results"]
    assert [each["identifier"] for each in results] == [request]


def test_with_tls_only_who_trusts_its_ca_gets_in(tmp_path: Path) -> None:
    with JobServer(tls=tmp_path) as server:
        url = f"{server.endpoint}job-requests/"
        assert url.startswith("https://")
        assert requests.get(url, verify=str(server.ca), timeout=TIMEOUT_S).ok
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(url, timeout=TIMEOUT_S)
        assert requests.get(url, verify=str(server.ca), timeout=TIMEOUT_S).ok


def test_with_tls_a_client_that_says_nothing_holds_up_nobody(tmp_path: Path) -> None:
    with JobServer(tls=tmp_path) as server:
        url = f"{server.endpoint}job-requests/"
        with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)):
            assert requests.get(url, verify=str(server.ca), timeout=TIMEOUT_S).ok


def test_a_bug_in_what_a_test_gave_is_not_taken_for_misbehaviour() -> None:
    def broken(body: bytes) -> bytes:
        raise KeyError("not meant to be")

    def asked() -> None:
        with JobServer() as server:
            server.misbehave(broken)
            with pytest.raises(requests.ConnectionError):
                get(server)

    with pytest.raises(AssertionError, match="not meant to be"):
        asked()


def test_posts_are_recorded_as_they_came(server: JobServer) -> None:
    request = server.create_request()
    body = json.dumps([a_job(request)]).encode()
    begun = time.monotonic()
    post(server, body)
    (sent,) = server.posts
    assert (sent.size_bytes, sent.body) == (len(body), body)
    assert begun <= sent.at_s <= time.monotonic()
    assert sent.json()[0]["identifier"] == "j1"


def test_the_overview_shows_requests_and_escapes_what_it_shows(server: JobServer) -> None:
    request = server.create_request(["analyse"])
    post(server, [a_job(request, status_message="<script>")])
    page = requests.get(server.page, timeout=TIMEOUT_S).text
    assert request in page
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
