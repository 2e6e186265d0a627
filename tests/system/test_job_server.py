"""With a job-server: requests come in through the one door, and it hears of every end."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.jobserver import JobServer
from tests.site import Site, head
from tests.system.conftest import NewSite

QUICK = """\
version: "4.0"
actions:
  first:
    run: python:v2 sh -c "echo x > a.csv"
    outputs:
      highly_sensitive: {a: a.csv}
  second:
    run: python:v2 sh -c "cat a.csv > b.csv"
    needs: [first]
    outputs:
      moderately_sensitive: {b: b.csv}
  bad:
    run: python:v2 sh -c "echo canary; exit 7"
    outputs:
      moderately_sensitive: {b: c.csv}
  endless:
    run: python:v2 sh -c "sleep 1000"
    outputs:
      moderately_sensitive: {b: d.csv}
"""


@pytest.fixture(params=["2022-06", "2026"])
def server(request: pytest.FixtureRequest) -> Iterator[JobServer]:
    with JobServer(era=request.param) as one:
        yield one


@pytest.fixture
def joined(new_site: NewSite, server: JobServer) -> Site:
    return new_site(
        BACKEND="test",
        USING_DUMMY_DATA_BACKEND="true",
        JOB_SERVER_ENDPOINT=server.endpoint,
        JOB_SERVER_TOKEN=server.token("test"),
        POLL_INTERVAL="1",
        STOP_GRACE="1s",
    )


def asked(server: JobServer, study: Path, *actions: str) -> str:
    return server.create_request(
        list(actions), repo=str(study), branch="main", sha=head(study), workspace="ws"
    )


def test_a_request_made_on_the_server_runs_to_its_end_there(
    joined: Site, server: JobServer
) -> None:
    study = joined.study({"project.yaml": QUICK})
    joined.start()
    identifier = asked(server, study, "second")
    joined.until(lambda: server.request_status(identifier) == "succeeded", 20)
    jobs = {job.action: job for job in server.jobs(identifier)}
    assert set(jobs) == {"first", "second"}
    assert "b.csv" in jobs["second"].status_message
    assert all(server.history(job.identifier)[0] == "pending" for job in jobs.values())


def test_a_failure_is_told_in_our_words_with_a_reference_that_finds_the_log(
    joined: Site, server: JobServer
) -> None:
    study = joined.study({"project.yaml": QUICK})
    identifier = asked(server, study, "bad")
    joined.drain()
    [job] = server.jobs(identifier)
    assert (job.status, "canary" in job.status_message) == ("failed", False)
    reference = joined.jobs(identifier)["bad"]["reference"]
    assert reference in job.status_message
    assert "canary" in joined.do("logs", reference)


def test_cancelled_there_it_stops_here(joined: Site, server: JobServer) -> None:
    study = joined.study({"project.yaml": QUICK})
    joined.start()
    identifier = asked(server, study, "endless")
    joined.until(lambda: server.request_status(identifier) == "running", 20)
    begun_s = time.monotonic()
    server.cancel(identifier)
    joined.until(lambda: server.request_status(identifier) == "failed", 20)
    assert time.monotonic() - begun_s < 10
    assert server.jobs(identifier)[0].status_code == "cancelled_by_user"


def test_what_is_refused_is_told_and_not_listed_for_ever(joined: Site, server: JobServer) -> None:
    study = joined.study({"project.yaml": QUICK})
    other = joined.study({"project.yaml": QUICK}, name="other")
    joined.drop(joined.request(study, "first", identifier="mine"))
    joined.drain()
    identifier = asked(server, other, "first")
    joined.drain()
    assert server.request_status(identifier) == "failed"
    assert [job.action for job in server.jobs(identifier)] == ["__error__"]
    assert joined.rejected() == {}


def test_an_end_is_sent_when_the_server_is_back(joined: Site, server: JobServer) -> None:
    study = joined.study({"project.yaml": QUICK})
    joined.start()
    identifier = asked(server, study, "second")
    joined.until(lambda: (joined.spool / "running" / f"{identifier}.json").exists(), 20)
    server.stop()
    joined.finished(identifier)
    assert list((joined.spool / "outbox").glob(f"{identifier}.*.json"))
    assert "reports" in joined.do("status")
    server.start()
    joined.until(lambda: server.request_status(identifier) == "succeeded", 60)
    joined.until(lambda: not list((joined.spool / "outbox").glob("*.json")), 20)


def test_a_request_dropped_by_hand_is_nobodys_business_there(
    joined: Site, server: JobServer
) -> None:
    study = joined.study({"project.yaml": QUICK})
    joined.do("submit", str(study), "first")
    joined.drain()
    assert server.posts == []
    assert list((joined.spool / "outbox").glob("*.json")) == []


def test_a_finished_request_listed_again_is_answered_and_not_run_again(
    joined: Site, server: JobServer
) -> None:
    study = joined.study({"project.yaml": QUICK})
    identifier = asked(server, study, "first")
    server.misbehave("500", "POST", times=None)
    joined.drain()
    for path in (joined.spool / "outbox").glob("*.json"):
        path.unlink()
    server.behave()
    joined.drain()
    assert server.request_status(identifier) == "succeeded"
    assert joined.jobs(identifier)["first"]["attempt"] == 1


def test_retry_asks_again_for_what_failed(joined: Site, server: JobServer) -> None:
    study = joined.study({"project.yaml": QUICK})
    identifier = asked(server, study, "bad", "first")
    joined.drain()
    again = joined.do("retry", identifier).strip()
    joined.drain()
    assert joined.done(again)["retry_of"] == identifier
    assert list(joined.jobs(again)) == ["bad"]


def test_kill_says_who_it_was(joined: Site, server: JobServer) -> None:
    study = joined.study({"project.yaml": QUICK})
    joined.start()
    identifier = asked(server, study, "endless")
    joined.until(lambda: server.request_status(identifier) == "running", 20)
    joined.do("kill", identifier)
    joined.until(lambda: server.request_status(identifier) == "failed", 20)
    assert server.jobs(identifier)[0].status_code == "killed_by_admin"
