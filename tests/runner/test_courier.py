"""The courier against a server that is wrong, absent or hostile, and reports that come back late.

Reports are put into the outbox as the mover does it; everything else is real.
"""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spoolrunner import files
from spoolrunner.record import changed, to_json
from spoolrunner.report.overview import overview
from spoolrunner.request import Code, Job, Request, Status
from spoolrunner.runner import incoming, outgoing, reporting
from spoolrunner.runner.courier import Courier
from spoolrunner.runner.reporting import Reporter
from spoolrunner.spool import outbox
from spoolrunner.spool.requests import Requests
from spoolrunner.spool.rooms import Rooms
from tests.jobserver.reports import a_job, a_request
from tests.rig.jobserver import JobServer
from tests.runner.conftest import NewCourier

FAULTS = ["500", "302", "429", "403", "400", "html", "hang", "close", "cut", "drip", "half"]
FAULTS += ["types", "big", "next-away", "next-loop"]
ENDED = {"status_code": Code.SUCCEEDED, "attempt": 1}


def a_run(identifier: str, status: Status, **fields: Any) -> Request:
    about: dict[str, Any] = {"original": {"identifier": identifier}, "source": "job-server"}
    job: Job = a_job(identifier, "analyse", status, **fields)
    if status.final:
        about["completed_at"] = job.completed_at
    return a_request(job, identifier=identifier, expanded=True, **about)


def put(rooms: Rooms, request: Request, sequence: int) -> Path:
    with files.Changes() as disk:
        report = reporting.of(request, "declared", sequence)
        return outbox.put(rooms, disk, report).path


def waits(rooms: Rooms) -> list[str]:
    return sorted(path.name for path in rooms.outbox.glob("[!.]*.json"))


def asked(server: JobServer) -> str:
    return server.create_request(["analyse"])


def until(holds: Callable[[], bool], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def history(server: JobServer, identifier: str) -> list[str]:
    [job] = server.jobs(identifier)
    return server.history(job.identifier)


def updates(server: JobServer, identifiers: list[str]) -> list[str]:
    return [str(job.updated_at) for one in identifiers for job in server.jobs(one)]


def test_an_old_report_that_turns_up_late_is_not_sent_by_this_runner_or_the_next(
    rooms: Rooms, server: JobServer, new_courier: NewCourier
) -> None:
    identifier = asked(server)
    Requests(rooms).save([a_run(identifier, Status.RUNNING)])
    put(rooms, a_run(identifier, Status.RUNNING), 5)
    first = new_courier()
    assert first.once()
    for courier in (first, new_courier()):
        put(rooms, a_run(identifier, Status.PENDING), 3)
        assert courier.once()
        assert (history(server, identifier), waits(rooms)) == (["pending", "running"], [])


def test_after_the_end_nothing_older_is_sent(
    rooms: Rooms, server: JobServer, courier: Courier
) -> None:
    identifier = asked(server)
    done = a_run(identifier, Status.SUCCEEDED, **ENDED)
    Requests(rooms).readopt(done)
    put(rooms, done, 5)
    courier.once()
    put(rooms, a_run(identifier, Status.RUNNING), 3)
    courier.once()
    assert (history(server, identifier), waits(rooms)) == (["succeeded"], [])


def test_a_wrong_token_stops_sending_and_is_said_until_it_is_right(
    rooms: Rooms, server: JobServer, courier: Courier
) -> None:
    identifiers = [asked(server) for _ in range(3)]
    for number, identifier in enumerate(identifiers):
        put(rooms, a_run(identifier, Status.RUNNING), number)
    server.misbehave("403", times=None)
    assert not courier.once()
    assert len(server.posts) == 1
    assert "token" in overview(rooms, "test", {}).reports_trouble
    server.behave()
    assert courier.once()
    assert overview(rooms, "test", {}).reports_trouble == ""
    assert {server.request_status(one) for one in identifiers} == {"running"}


def test_a_refused_report_is_set_aside_with_the_answer_and_holds_up_no_other(
    rooms: Rooms, server: JobServer, courier: Courier
) -> None:
    bad, good = asked(server), asked(server)
    put(rooms, a_run(bad, Status.RUNNING, created_at="yesterday"), 1)
    put(rooms, a_run(good, Status.RUNNING), 2)
    assert courier.once()
    assert server.request_status(good) == "running"
    assert overview(rooms, "test", {}).reports_refused == [bad]
    assert b"created_at" in (rooms.outbox / "refused" / f"{bad}.error.json").read_bytes()
    put(rooms, a_run(bad, Status.RUNNING), 3)
    assert courier.once()
    assert server.request_status(bad) == "running"
    assert overview(rooms, "test", {}).reports_refused == []


def test_a_report_at_which_the_server_fails_for_ever_holds_up_no_other(
    rooms: Rooms, server: JobServer, courier: Courier
) -> None:
    """An identifier that it has under another request: 500, each time."""
    owner, bad = asked(server), asked(server)
    mine = a_run(owner, Status.RUNNING)
    put(rooms, mine, 1)
    courier.once()
    stolen = {**reporting.of(mine, "declared", 2).jobs[0], "job_request_id": bad}
    with files.Changes() as disk:
        outbox.put(rooms, disk, outbox.Report(request=bad, sequence=2, jobs=[stolen]))
    good = [asked(server) for _ in range(5)]
    for number, identifier in enumerate(good):
        put(rooms, a_run(identifier, Status.RUNNING), 3 + number)
    assert 0 < courier.round() <= 2  # it comes again soon: the server takes what it can
    assert {server.request_status(one) for one in good} == {"running"}


def test_an_unknown_request_waits_without_alarm_until_it_is_listed(
    rooms: Rooms, server: JobServer, courier: Courier
) -> None:
    put(rooms, a_run("notyet0000000000", Status.RUNNING), 1)
    for _ in range(3):
        assert courier.once()
    assert len(server.posts) == 1
    assert (overview(rooms, "test", {}).reports_trouble, len(waits(rooms))) == ("", 1)
    server.create_request(["analyse"], identifier="notyet0000000000")
    Requests(rooms).save([a_run("notyet0000000000", Status.RUNNING)])
    assert courier.once()
    assert server.request_status("notyet0000000000") == "running"


def test_without_a_server_one_report_of_a_request_waits(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "EVERY_S", 0.0)
    store = Requests(rooms)
    request = a_run("r1", Status.PENDING)
    for _ in range(5):  # as many runners
        reporter = Reporter(rooms, "declared", store.next_sequence)
        store.report = reporter.put
        for _ in range(20):
            store.save([request])
    assert len(waits(rooms)) == 1


@pytest.mark.parametrize("how", FAULTS)
def test_whatever_the_server_does_the_courier_goes_on(
    rooms: Rooms, server: JobServer, courier: Courier, how: str
) -> None:
    identifier = asked(server)
    put(rooms, a_run(identifier, Status.RUNNING), 1)
    server.misbehave(how, times=None, retry_after="31536000")
    assert 0 < courier.round() <= 600
    server.behave()
    put(rooms, a_run(identifier, Status.RUNNING), 2)  # a fault 400 has set the first one aside
    assert courier.round() == 0
    assert server.request_status(identifier) == "running"
    assert server.elsewhere.calls == []


def test_it_comes_again_when_the_server_asks_for_that(
    rooms: Rooms, server: JobServer, courier: Courier
) -> None:
    put(rooms, a_run(asked(server), Status.RUNNING), 1)
    server.misbehave("429", "POST", retry_after="77")
    assert courier.round() == 77
    assert courier.round() == 0


def test_meanwhile_it_asks_nothing(rooms: Rooms, server: JobServer, courier: Courier) -> None:
    identifier = asked(server)
    put(rooms, a_run(identifier, Status.RUNNING), 1)
    server.misbehave("429", retry_after="1")
    stopped = threading.Event()
    running = threading.Thread(target=courier.run, args=(0.05, stopped))
    running.start()
    until(lambda: server.request_status(identifier) == "running")
    stopped.set()
    running.join()
    first, second = server.calls[:2]
    assert second.at_s - first.at_s >= 1


def test_of_two_at_once_one_carries_and_each_report_is_told_once(
    rooms: Rooms, server: JobServer, new_courier: NewCourier
) -> None:
    identifiers = [asked(server) for _ in range(10)]
    stopped = threading.Event()
    couriers = [threading.Thread(target=new_courier().run, args=(0.05, stopped)) for _ in range(2)]
    for one in couriers:
        one.start()
    until(lambda: len(list(rooms.inbox.iterdir())) == 10)
    for sequence, status in enumerate((Status.PENDING, Status.RUNNING, Status.SUCCEEDED)):
        for identifier in identifiers:
            fields = ENDED if status.final else {}
            put(rooms, a_run(identifier, status, **fields), sequence)
        until(lambda: not waits(rooms))
    stopped.set()
    for one in couriers:
        one.join()
    told = [history(server, identifier) for identifier in identifiers]
    assert told == [["pending", "running", "succeeded"]] * 10
    assert len(server.posts) == 30


def test_a_known_request_is_dropped_again_for_new_cancellations_alone(
    rooms: Rooms, server: JobServer, new_courier: NewCourier
) -> None:
    """Whatever else the server says of it now: another commit under its name would be rejected."""
    courier, identifier = new_courier(), asked(server)
    drop = rooms.inbox / f"job-server-{identifier}.json"
    courier.once()
    dropped = json.loads(drop.read_bytes())
    Requests(rooms).save([changed(a_run(identifier, Status.RUNNING), original=dropped)])
    drop.unlink()
    server.request(identifier).sha = "0" * 40
    for again in (courier, new_courier()):
        again.once()
        assert not drop.exists()
    server.request(identifier).cancelled_actions = ["analyse"]
    courier.once()
    assert json.loads(drop.read_bytes()) == dropped | {"cancelled_actions": ["analyse"]}


def test_a_crowd_is_let_in_only_as_far_as_there_is_room(
    rooms: Rooms, server: JobServer, courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "MOST_ACTIVE", 50)
    identifier = asked(server)
    put(rooms, a_run(identifier, Status.RUNNING), 1)
    server.misbehave("crowd", "GET", times=30)
    courier.round()
    assert len(list(rooms.inbox.iterdir())) == 50
    assert server.request_status(identifier) == "running"


def test_a_long_listing_keeps_no_report_back(
    rooms: Rooms, server: JobServer, courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "MEANWHILE_S", 0.0)
    identifiers = [asked(server) for _ in range(101)]
    put(rooms, a_run(identifiers[0], Status.RUNNING), 1)
    assert courier.round() == 0
    assert [call.method for call in server.calls] == ["GET", "POST", "GET"]


def test_a_listing_that_cannot_be_read_keeps_no_report_back(
    rooms: Rooms, server: JobServer, courier: Courier
) -> None:
    identifier = asked(server)
    put(rooms, a_run(identifier, Status.RUNNING), 1)
    server.misbehave("half", "GET", times=None)
    assert courier.round() > 0
    assert server.request_status(identifier) == "running"


def test_where_nothing_is_listed_that_is_told_once_and_is_no_trouble(
    rooms: Rooms, server: JobServer, courier: Courier, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "spoolrunner")
    server.misbehave("404", "GET", times=3)
    for _ in range(3):
        assert courier.round() == 0
    now = overview(rooms, "test", {})
    assert ("lists no job requests" in now.reports_fact, now.reports_trouble) == (True, "")
    assert len(caplog.records) == 1
    put(rooms, a_run(asked(server), Status.RUNNING), 1)
    server.misbehave("404", times=2)
    assert courier.round() > 0  # what can't be delivered is trouble
    assert "404" in overview(rooms, "test", {}).reports_trouble
    assert courier.round() == 0
    now = overview(rooms, "test", {})
    assert (now.reports_fact, now.reports_trouble, waits(rooms)) == ("", "", [])


def test_what_the_server_did_not_know_is_told_again_in_time(
    rooms: Rooms, server: JobServer, courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A v1 job is in no list that could say that it is known now."""
    monkeypatch.setattr(outgoing, "UNKNOWN_S", 0.0)
    put(rooms, a_run("notyet0000000000", Status.RUNNING), 1)
    for _ in range(3):
        assert courier.once()
    assert (len(server.posts), len(waits(rooms))) == (3, 1)


def test_after_a_month_without_an_answer_it_still_asks(server: JobServer, courier: Courier) -> None:
    """2.0 ** 1024 is more than a float holds: the thread ended after 13 hours."""
    server.stop()
    assert all(0 < courier.round() <= 60 for _ in range(1100))


def test_a_strangers_folder_under_the_name_of_a_drop_holds_up_no_other(
    rooms: Rooms, server: JobServer, courier: Courier
) -> None:
    blocked, other = asked(server), asked(server)
    (rooms.inbox / f"job-server-{blocked}.json").mkdir()
    assert courier.round() == 0
    assert (rooms.inbox / f"job-server-{other}.json").is_file()


def test_a_torn_report_is_set_aside(rooms: Rooms, server: JobServer, courier: Courier) -> None:
    identifier = asked(server)
    (rooms.outbox / "torn.0000000000000001.json").write_bytes(b'{"request": "to')
    put(rooms, a_run(identifier, Status.RUNNING), 2)
    assert courier.once()
    assert server.request_status(identifier) == "running"
    assert overview(rooms, "test", {}).reports_refused == ["torn"]


def test_active_requests_are_told_again_in_time_and_together(
    rooms: Rooms, server: JobServer, new_courier: NewCourier
) -> None:
    identifiers = [asked(server) for _ in range(20)]
    Requests(rooms).save([a_run(identifier, Status.RUNNING) for identifier in identifiers])
    courier = new_courier(refresh_s=0.0)
    courier.round()
    seen = updates(server, identifiers)
    assert len(server.posts) == 2  # they are introduced before that, together as well
    courier.round()
    assert len(server.posts) == 3
    assert min(updates(server, identifiers)) > max(seen)
    new_courier(refresh_s=60).round()
    assert len(server.posts) == 3


def test_one_refused_among_those_told_again_is_left_out(
    rooms: Rooms, server: JobServer, new_courier: NewCourier
) -> None:
    known = asked(server)
    bad = a_run(asked(server), Status.RUNNING, created_at="yesterday")
    unknown = a_run("notyet0000000000", Status.RUNNING)
    Requests(rooms).save([bad, unknown, a_run(known, Status.RUNNING)])
    assert new_courier(refresh_s=0.0).round() == 0
    assert server.request_status(known) == "running"


def test_what_lags_behind_is_told_once(
    rooms: Rooms, server: JobServer, new_courier: NewCourier
) -> None:
    identifier = asked(server)
    Requests(rooms).save([a_run(identifier, Status.RUNNING)])
    behind = {identifier}
    courier = new_courier(behind)
    server.misbehave("500", "POST")
    courier.round()
    assert behind == {identifier}
    courier.round()
    courier.round()
    assert (history(server, identifier), behind) == (["pending", "running"], set())
    assert len(server.posts) == 3


def test_what_still_waits_is_not_overtaken_by_the_minutes_news(
    rooms: Rooms, server: JobServer, new_courier: NewCourier
) -> None:
    identifier = asked(server)
    Requests(rooms).save([a_run(identifier, Status.SUCCEEDED, **ENDED)])
    put(rooms, a_run(identifier, Status.RUNNING), 1)
    server.misbehave("500", "POST")
    courier = new_courier({identifier}, refresh_s=0.0)
    courier.round()
    courier.round()
    assert history(server, identifier) == ["running", "succeeded"]


def test_an_end_that_the_server_never_takes_is_not_sent_at_every_poll(
    rooms: Rooms, server: JobServer, courier: Courier
) -> None:
    identifier = asked(server)
    Requests(rooms).readopt(a_run(identifier, Status.SUCCEEDED, created_at="x", **ENDED))
    for _ in range(4):
        courier.round()
    assert len(server.posts) == 1
    assert len(list((rooms.outbox / "refused").iterdir())) == 2


def test_an_item_that_turned_bad_ends_no_request_that_runs_here(
    rooms: Rooms, server: JobServer, courier: Courier
) -> None:
    identifier = asked(server)
    Requests(rooms).save([a_run(identifier, Status.RUNNING)])
    server.request(identifier).requested_actions = [7]  # type: ignore[list-item]
    assert courier.round() == 0
    assert server.posts == []


def test_files_of_ours_in_the_outbox_are_what_they_say(rooms: Rooms) -> None:
    path = put(rooms, a_run("r1", Status.RUNNING), 7)
    [(name, [one])] = outbox.waiting(rooms).items()
    report = outbox.read(one)
    assert (name, path.name) == ("r1", "r1.0000000000000007.json")
    assert report is not None
    assert path.read_bytes() == to_json(report)
