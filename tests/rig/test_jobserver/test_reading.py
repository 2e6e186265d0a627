"""Reading job requests: who is shown what, and in which pages."""

import pytest
import requests

from tests.rig.jobserver import JobServer
from tests.rig.test_jobserver.client import TIMEOUT_S, get, listed


def test_a_request_is_served_as_in_2022(old: JobServer) -> None:
    identifier = old.create_request(["analyse"])
    (served,) = get(old).json()["results"]
    assert list(served) == [
        *("backend", "sha", "identifier", "force_run_dependencies", "requested_actions"),
        *("cancelled_actions", "created_by", "created_at", "workspace"),
    ]
    assert list(served["workspace"]) == ["name", "repo", "branch", "db", "created_by", "created_at"]
    assert served["identifier"] == identifier
    assert len(identifier) == 16
    assert served["created_at"].endswith("Z")


def test_a_request_is_served_as_today(today: JobServer) -> None:
    today.create_request(["analyse"])
    (served,) = get(today).json()["results"]
    assert "db" not in served["workspace"]
    assert served["database_name"] == "default"
    assert (served["project"], served["orgs"]) == ("test-project", ["test-org"])
    assert served["codelists_ok"] is True


def test_the_token_decides_and_not_the_query(server: JobServer) -> None:
    mine = server.create_request()
    server.create_request(backend="other")
    assert listed(server, "?backend=other") == [mine]


@pytest.mark.parametrize("token", ["-", ""])
def test_without_a_token_every_backend_is_listed(server: JobServer, token: str) -> None:
    both = [server.create_request(), server.create_request(backend="other")]
    assert listed(server, Authorization=token) == both[::-1]


@pytest.mark.parametrize("word", ["wrong", "Bearer {}", "Token {}"])
def test_any_other_token_is_403(server: JobServer, word: str) -> None:
    answer = get(server, Authorization=word.format(server.token()))
    assert (answer.status_code, answer.json()) == (403, {"detail": "Invalid token"})


def test_the_slash_at_the_end_is_needed(server: JobServer) -> None:
    url = f"{server.endpoint}job-requests"
    answer = requests.get(url, allow_redirects=False, timeout=TIMEOUT_S)
    assert (answer.status_code, answer.headers["Location"]) == (301, "/api/v2/job-requests/")
    followed = requests.post(
        f"{server.endpoint}jobs", headers={"Authorization": server.token()}, timeout=TIMEOUT_S
    )
    assert followed.status_code == 405


def test_only_the_first_hundred_come_at_once_newest_first(server: JobServer) -> None:
    made = [server.create_request() for _ in range(107)]
    first = get(server, "?backend=test").json()
    assert first["count"] == 107
    assert first["previous"] is None
    assert [each["identifier"] for each in first["results"]] == made[:6:-1]
    url = f"{server.endpoint}job-requests/?backend=test&limit=100&offset=100"
    assert first["next"] == url
    second = get(server, "?backend=test&limit=100&offset=100").json()
    assert [each["identifier"] for each in second["results"]] == made[6::-1]
    assert second["next"] is None
    assert second["previous"] == f"{server.endpoint}job-requests/?backend=test&limit=100"
    assert len(listed(server, "?limit=1000")) == 107


@pytest.mark.parametrize("query", ["?limit=0", "?limit=-1", "?limit=many&offset=-3"])
def test_a_limit_that_is_none_is_as_if_not_given(server: JobServer, query: str) -> None:
    made = server.create_request()
    assert listed(server, query) == [made]


def test_what_is_wanted_is_json_or_a_page(server: JobServer) -> None:
    assert get(server, Accept="application/xml").status_code == 406
    page = get(server, Accept="text/html")
    assert page.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_job_requests_are_only_read(server: JobServer, method: str) -> None:
    answer = requests.request(method, f"{server.endpoint}job-requests/", timeout=TIMEOUT_S)
    assert answer.status_code == 405


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_jobs_are_only_posted(server: JobServer, method: str) -> None:
    head = {"Authorization": server.token()}
    answer = requests.request(method, f"{server.endpoint}jobs/", headers=head, timeout=TIMEOUT_S)
    assert answer.status_code == 405
