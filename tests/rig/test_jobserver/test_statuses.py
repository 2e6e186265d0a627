"""What the site makes of the jobs it was told of, and its buttons."""

from datetime import UTC, datetime, timedelta

import pytest
import requests

from tests.rig.jobserver import JobServer, NotStarted
from tests.rig.test_jobserver.client import ENDED, TIMEOUT_S, a_job, get, listed, post


@pytest.mark.parametrize(
    ("statuses", "expected", "ends", "is_listed"),
    [
        ("", "unknown", False, True),
        ("pending pending", "pending", False, True),
        ("running pending", "running", False, True),
        ("succeeded pending", "running", False, True),
        ("failed pending", "running", False, True),
        ("succeeded running", "running", False, True),
        ("failed running", "running", False, True),
        ("failed succeeded", "failed", True, False),
        ("failed failed", "failed", True, False),
        ("succeeded succeeded", "succeeded", True, False),
    ],
)
def test_the_status_of_a_request_follows_from_its_jobs(
    old: JobServer, statuses: str, expected: str, ends: bool, is_listed: bool
) -> None:
    request = old.create_request()
    jobs = [a_job(request, f"j{n}", status) for n, status in enumerate(statuses.split())]
    if jobs:
        assert post(old, jobs).ok
    assert old.request_status(request) == expected
    assert (old.request(request).completed_at is not None) == ends
    assert listed(old) == ([request] if is_listed else [])


def test_a_status_nobody_knows_makes_the_request_unknown(old: JobServer) -> None:
    request = old.create_request()
    jobs = [a_job(request, "j1", "banana", completed_at=ENDED), a_job(request, "j2", "succeeded")]
    post(old, jobs)
    assert old.request_status(request) == "unknown"
    assert listed(old) == []


def test_completed_at_alone_decides_the_listing_in_2022(old: JobServer) -> None:
    gone, stays = old.create_request(), old.create_request()
    post(old, [a_job(gone, "j1", "running", completed_at=ENDED)])
    post(old, [a_job(stays, "j2", "failed", completed_at=None)])
    old.cancel(stays)
    assert listed(old) == [stays]


def test_the_status_decides_the_listing_today(today: JobServer) -> None:
    for status, is_listed in (("running", True), ("failed", False)):
        request = today.create_request()
        post(today, [a_job(request, status, status, completed_at=None)])
        assert (request in listed(today)) == is_listed


def test_a_request_older_than_a_year_is_listed_today_only_with_open_jobs(today: JobServer) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=366)
    request = today.create_request(created_at=long_ago)
    assert listed(today) == []
    post(today, [a_job(request)])
    assert listed(today) == [request]


def test_a_final_status_stays_today_though_the_job_changes(today: JobServer) -> None:
    request = today.create_request()
    assert today.request_status(request) == "unknown_error_creating_jobs"
    for status in ("pending", "running", "failed", "running"):
        post(today, [a_job(request, status=status)])
    assert today.request_status(request) == "failed"
    assert today.jobs(request)[0].status == "running"
    assert today.history("j1") == ["pending", "running", "failed", "running"]


def test_what_the_page_of_a_request_shows(server: JobServer) -> None:
    request = server.create_request()
    timed = {"started_at": "2026-11-22T15:38:23Z", "completed_at": ENDED}
    post(server, [
        a_job(request, "j1", "succeeded", **timed),
        a_job(request, "j2", "failed", action="__error__"),
    ])  # fmt: skip
    shown = server.request(request)
    assert shown.is_invalid
    assert shown.succeeded_count == 1
    assert shown.duration == timedelta(seconds=4)


def test_the_statuses_of_a_workspace_are_open_to_all(server: JobServer) -> None:
    request = server.create_request(workspace="wsh")
    post(server, [a_job(request, action="act1", status="succeeded")])
    url = f"{server.endpoint}workspaces/wsh/statuses/"
    assert requests.get(url, timeout=TIMEOUT_S).json() == {"act1": "succeeded"}
    assert requests.get(f"{url}?backend=other", timeout=TIMEOUT_S).json() == {}


def test_cancelling_a_request_names_the_actions_of_its_unfinished_jobs(server: JobServer) -> None:
    request = server.create_request()
    post(server, [a_job(request, "j1", "succeeded"), a_job(request, "j2", "pending")])
    server.request(request).cancelled_actions = ["from before"]
    server.cancel(request)
    (served,) = get(server).json()["results"]
    assert served["cancelled_actions"] == ["action_j2"]


def test_cancelling_before_the_first_job_cancelled_nothing_in_2022(
    old: JobServer, today: JobServer
) -> None:
    request = old.create_request()
    old.cancel(request)
    assert get(old).json()["results"][0]["cancelled_actions"] == []
    with pytest.raises(NotStarted):
        today.cancel(today.create_request())


def test_cancelling_a_job_adds_its_action_once_unless_it_is_finished(server: JobServer) -> None:
    request = server.create_request()
    post(server, [a_job(request, "j1", "succeeded"), a_job(request, "j2"), a_job(request, "j3")])
    for action in ("action_j3", "action_j1", "action_j2", "action_j3"):
        server.cancel(request, action)
    assert server.request(request).cancelled_actions == ["action_j3", "action_j2"]
    with pytest.raises(LookupError):
        server.cancel(request, "nosuchaction")


def test_a_cancelled_request_stays_listed_until_its_jobs_end(server: JobServer) -> None:
    request = server.create_request()
    post(server, [a_job(request)])
    server.cancel(request)
    assert listed(server) == [request]
    post(server, [a_job(request, status="failed", status_code="cancelled_by_user")])
    assert listed(server) == []
