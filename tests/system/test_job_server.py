"""With a job-server: requests come in through the one door, and it hears of every end."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.rig.jobserver import JobServer
from tests.site import Site, head
from tests.system.conftest import NewSite

POLL_S = 1.0
GRACE_S = 1.0
BUSY_S = 5.0  # two cores, and other tests on them
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
        POLL_INTERVAL=f"{POLL_S:g}",
        STOP_GRACE=f"{GRACE_S:g}s",
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
    joined.until(lambda: server.request_status(identifier) == "succeeded")
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
    assert job.identifier in joined.do("show", reference)


def test_what_was_cancelled_before_we_saw_it_never_starts(joined: Site, server: JobServer) -> None:
    study = joined.study({"project.yaml": QUICK})
    identifier = server.create_request(
        ["first", "endless"],
        repo=str(study),
        sha=head(study),
        workspace="ws",
        cancelled_actions=["endless"],
    )
    joined.drain()
    told = {job.action: (job.status_code, job.started_at) for job in server.jobs(identifier)}
    assert told["endless"] == ("cancelled_by_user", None)
    assert told["first"][0] == "succeeded"
    assert joined.jobs(identifier)["endless"]["attempt"] == 0


def test_through_tls_and_a_ca_of_its_own_and_the_token_is_in_no_file(
    new_site: NewSite, tmp_path: Path
) -> None:
    with JobServer(tls=tmp_path) as server:
        token = server.token("test")
        site = new_site(
            BACKEND="test",
            USING_DUMMY_DATA_BACKEND="true",
            JOB_SERVER_ENDPOINT=server.endpoint,
            JOB_SERVER_TOKEN=token,
            REQUESTS_CA_BUNDLE=str(server.ca),
            LOGLEVEL="DEBUG",
            DEBUG_LOG_FILE=str(tmp_path / "debug.log"),
        )
        study = site.study({"project.yaml": QUICK})
        identifier = asked(server, study, "first")
        server.misbehave(lambda body: b"<html>" + token.encode(), times=2)
        done = site.try_to("run", "--drain", "--verbose")
        site.drain()
        assert server.request_status(identifier) == "succeeded"
    assert "job-server" in done.stderr
    assert token not in done.stderr
    found = [path for path in site.folder.parent.rglob("*") if path.is_file()]
    assert tmp_path / "debug.log" in found
    assert [path for path in found if token.encode() in path.read_bytes()] == []


def seconds(job: dict[str, str], begun: str, ended: str) -> float:
    first, last = (datetime.fromisoformat(job[name]) for name in (begun, ended))
    return (last - first).total_seconds()


def test_an_end_is_known_there_within_two_polls_and_the_jobs_own_time(
    joined: Site, server: JobServer
) -> None:
    study = joined.study({"project.yaml": QUICK})
    joined.start()
    joined.until(lambda: server.is_seen("test"))
    begun_s = time.monotonic()
    identifier = asked(server, study, "first")
    joined.until(lambda: server.request_status(identifier) == "succeeded")
    took_s = time.monotonic() - begun_s
    joined.finished(identifier)
    done = joined.jobs(identifier)
    own_s = seconds(done["first"], "started_at", "completed_at")
    assert took_s < 2 * POLL_S + own_s + BUSY_S


def test_cancelled_there_it_is_asked_within_a_poll_and_gone_within_the_grace(
    joined: Site, server: JobServer
) -> None:
    study = joined.study({"project.yaml": QUICK})
    joined.start()
    identifier = asked(server, study, "endless")
    joined.until(lambda: server.request_status(identifier) == "running")
    server.request(identifier).sha = "0" * 40  # of a known request only cancellations count
    begun_s = time.monotonic()
    server.cancel(identifier)
    joined.until(lambda: not is_active(joined, identifier) or "cancel" in is_told(joined))
    asked_s = time.monotonic() - begun_s
    joined.finished(identifier)
    gone_s = time.monotonic() - begun_s
    joined.until(lambda: server.request_status(identifier) == "failed")
    assert server.jobs(identifier)[0].status_code == "cancelled_by_user"
    assert joined.rejected() == {}
    assert asked_s < POLL_S + 1 + BUSY_S
    assert gone_s < POLL_S + 1 + GRACE_S + BUSY_S


def is_active(joined: Site, identifier: str) -> bool:
    return (joined.spool / "running" / f"{identifier}.json").exists()


def is_told(joined: Site) -> str:
    """What the active requests' jobs say that they are at."""
    texts = [path.read_text() for path in (joined.spool / "running").glob("[!.]*.json")]
    return "cancel" if any("Asked to stop." in text for text in texts) else ""


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
    joined.until((joined.spool / "running" / f"{identifier}.json").exists)
    server.stop()
    joined.finished(identifier)
    assert list((joined.spool / "outbox").glob(f"{identifier}.*.json"))
    assert "reports" in joined.do("status")
    server.start()
    joined.until(lambda: server.request_status(identifier) == "succeeded")
    joined.until(lambda: not list((joined.spool / "outbox").glob("[!.]*.json")))


def test_a_request_dropped_by_hand_is_nobodys_business_there(
    joined: Site, server: JobServer
) -> None:
    study = joined.study({"project.yaml": QUICK})
    joined.do("submit", str(study), "first")
    joined.drain()
    assert server.posts == []
    assert list((joined.spool / "outbox").glob("[!.]*.json")) == []


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
    joined.until(lambda: server.request_status(identifier) == "running")
    joined.do("kill", identifier)
    joined.until(lambda: server.request_status(identifier) == "failed")
    assert server.jobs(identifier)[0].status_code == "killed_by_admin"


def test_beside_the_service_a_sync_stands_by_and_takes_over_when_it_dies(
    joined: Site, server: JobServer
) -> None:
    study = joined.study({"project.yaml": QUICK})
    runner = joined.start()
    joined.until(lambda: server.is_seen("test"))
    words = [sys.executable, "-m", "spoolrunner", "sync"]
    with (joined.folder / "sync.log").open("w") as log:
        sync = subprocess.Popen(words, env=joined.environment(), stdout=log, stderr=log)
    try:
        first = asked(server, study, "first")
        joined.until(lambda: server.request_status(first) == "succeeded")
        runner.kill()
        runner.wait()
        second = asked(server, study, "second")
        drop = joined.spool / "inbox" / f"job-server-{second}.json"
        joined.until(drop.exists)
        joined.start()
        joined.until(lambda: server.request_status(second) == "succeeded")
    finally:
        sync.kill()
        sync.wait()
    for job in [*server.jobs(first), *server.jobs(second)]:
        assert server.history(job.identifier)[0] == "pending"
        assert server.history(job.identifier).count("succeeded") == 1


def test_a_refused_report_is_shown_by_status(joined: Site, server: JobServer) -> None:
    study = joined.study({"project.yaml": QUICK})
    identifier = asked(server, study, "first")
    server.misbehave("400", "POST", times=None)
    joined.drain()
    shown = [line for line in joined.do("status").splitlines() if line.startswith("refused")]
    assert identifier in shown[0]
    server.behave()
    joined.drain()
    assert server.request_status(identifier) == "succeeded"
    assert "outbox/refused" not in joined.do("status")
