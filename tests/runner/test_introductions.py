"""Jobs that the server has not seen are told as pending before anything else, and never after it.

A server of 2022 writes no mail about a job that it first sees ended (reference/jobserver.md 2).
"""

import shutil

import pytest

from spoolrunner.request import Request, Status
from spoolrunner.runner.courier import Courier
from spoolrunner.spool import outbox
from spoolrunner.spool.requests import Requests
from spoolrunner.spool.rooms import Rooms
from tests.jobserver.reports import a_job, a_request, succeeded
from tests.rig.jobserver import JobServer
from tests.runner.conftest import NewCourier
from tests.runner.test_courier import ENDED, a_run, asked, history, put, waits

TOLD = ["pending", "succeeded"]


def listed(server: JobServer, courier: Courier) -> str:
    """A request that the courier has read, and no report of it yet."""
    identifier = server.create_request(["analyse"], will_notify=True)
    assert courier.once()
    return identifier


def end(rooms: Rooms, identifier: str, sequence: int = 5) -> Request:
    """It ends as the mover does it: the report lies in the outbox before done/ has the request."""
    done = a_run(identifier, Status.SUCCEEDED, **ENDED)
    put(rooms, done, sequence)
    Requests(rooms).readopt(done)
    return done


def test_what_ended_while_the_server_was_away_is_introduced_first(
    rooms: Rooms, server: JobServer, new_courier: NewCourier
) -> None:
    identifier = listed(server, new_courier())
    server.stop()
    end(rooms, identifier)
    assert not new_courier().once()
    server.start()
    assert new_courier().once()
    assert (history(server, identifier), len(server.mails), waits(rooms)) == (TOLD, 1, [])


def test_what_ended_unheard_waits_until_the_server_can_say_that_it_still_lists_it(
    rooms: Rooms, server: JobServer, new_courier: NewCourier
) -> None:
    identifier = listed(server, new_courier())
    end(rooms, identifier)
    courier = new_courier()
    server.misbehave("500", "GET")
    assert not courier.once()
    assert server.posts == []
    assert courier.once()
    assert history(server, identifier) == TOLD


@pytest.mark.parametrize("refusals", [1, 2, 3])
def test_a_refused_introduction_is_kept_until_the_request_has_ended_and_after(
    rooms: Rooms, server: JobServer, new_courier: NewCourier, refusals: int
) -> None:
    identifier = listed(server, new_courier())
    server.misbehave("400", "POST", times=refusals)
    Requests(rooms).save([a_run(identifier, Status.RUNNING)])
    put(rooms, a_run(identifier, Status.RUNNING), 3)
    new_courier().once()
    Requests(rooms).path(identifier).unlink()
    end(rooms, identifier)
    for _ in range(3):  # as many runners: each answers what is listed
        assert new_courier().once()
    assert [one for one in history(server, identifier) if one != "running"] == TOLD
    assert (len(server.mails), outbox.refused(rooms)) == (1, [])


@pytest.mark.parametrize("how", ["500", "close", "403", "429"])
@pytest.mark.parametrize("taken", [True, False])
def test_an_introduction_whose_answer_was_lost_is_told_again_and_nothing_undone(
    rooms: Rooms, server: JobServer, new_courier: NewCourier, how: str, taken: bool
) -> None:
    identifier = listed(server, new_courier())
    server.misbehave(how, "POST", taken=taken)
    end(rooms, identifier)
    assert not new_courier().once()
    assert new_courier().once()
    assert (history(server, identifier), len(server.posts)) == (TOLD, 3)


def test_an_end_whose_answer_was_lost_is_told_again_without_an_introduction(
    rooms: Rooms, server: JobServer, new_courier: NewCourier
) -> None:
    courier = new_courier()
    identifier = listed(server, courier)
    put(rooms, a_run(identifier, Status.PENDING), 3)
    assert courier.once()
    server.misbehave("500", "POST", taken=True)
    end(rooms, identifier)
    assert not courier.once()
    assert new_courier().once()
    assert (history(server, identifier), len(server.mails)) == (TOLD, 1)


def test_a_job_planned_later_is_introduced_and_those_that_ended_stay_so(
    rooms: Rooms, server: JobServer, courier: Courier
) -> None:
    """Where another request's job was cancelled, its action is planned anew in this one."""
    identifier = listed(server, courier)
    first, last = succeeded(identifier, "extract"), a_job(identifier, "report", sequence=3)
    put(rooms, a_request(first, last, identifier=identifier), 3)
    courier.once()
    later = succeeded(identifier, "analyse", sequence=2)
    put(rooms, a_request(first, later, last, identifier=identifier), 4)
    courier.once()
    told = {job.action: server.history(job.identifier) for job in server.jobs(identifier)}
    assert told == {"extract": TOLD, "analyse": TOLD, "report": ["pending"]}


def test_what_is_told_only_by_the_minute_is_introduced_too(
    rooms: Rooms, server: JobServer, new_courier: NewCourier
) -> None:
    """Its own report was refused; the refresh is the next that the server hears of it."""
    courier = new_courier(refresh_s=0.0)
    identifier = listed(server, courier)
    Requests(rooms).save([a_run(identifier, Status.RUNNING)])
    server.misbehave("400", "POST")
    put(rooms, a_run(identifier, Status.RUNNING), 3)
    courier.once()
    courier.once()
    assert history(server, identifier) == ["pending", "running"]


def test_what_a_person_dropped_first_is_introduced_once_it_is_listed(
    rooms: Rooms, server: JobServer, courier: Courier
) -> None:
    identifier = asked(server)
    Requests(rooms).save([a_run(identifier, Status.PENDING)])
    courier.once()
    put(rooms, a_run(identifier, Status.RUNNING), 3)
    courier.once()
    assert history(server, identifier) == ["pending", "running"]


def test_an_item_that_could_not_be_used_brings_its_mail(
    rooms: Rooms, server: JobServer, courier: Courier
) -> None:
    identifier = server.create_request(["analyse"], sha="HEAD", will_notify=True)
    assert courier.once()
    assert (history(server, identifier), len(server.mails)) == (["pending", "failed"], 1)


def test_an_outbox_laid_back_from_a_backup_undoes_no_end(
    rooms: Rooms, server: JobServer, new_courier: NewCourier
) -> None:
    """Both the end and the note that the server has heard nothing, after it has heard the end."""
    identifier = listed(server, new_courier())
    server.misbehave("500", "POST", times=None)
    end(rooms, identifier)
    new_courier().once()
    shutil.copytree(rooms.outbox, rooms.folder / "backup")
    server.behave()
    for courier in (new_courier(), new_courier()):
        assert courier.once()
        shutil.copytree(rooms.folder / "backup", rooms.outbox, dirs_exist_ok=True)
        server.misbehave("500", "GET")  # whether the server lists it can't be told now
        courier.once()
        assert courier.once()
        assert (history(server, identifier), waits(rooms)) == (TOLD, [])
    assert len(server.mails) == 1


def test_of_what_ended_and_is_listed_nowhere_nothing_is_kept(
    rooms: Rooms, server: JobServer, new_courier: NewCourier
) -> None:
    identifier = listed(server, new_courier())
    end(rooms, identifier)
    assert new_courier().once()
    assert list((rooms.outbox / "sent").iterdir()) == []
