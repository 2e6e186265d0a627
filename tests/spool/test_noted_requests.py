"""A request of many jobs: its file gets notes beside it, and all that read or move it know."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from spoolrunner import notebook
from spoolrunner.notebook import notes_of
from spoolrunner.record import to_json
from spoolrunner.request import Job, Request, Status, WorkspaceRef, job_identifier
from spoolrunner.runner.book import Book
from spoolrunner.runner.intake import Intake
from spoolrunner.spool import find
from spoolrunner.spool.audit import Trail
from spoolrunner.spool.requests import Requests
from spoolrunner.spool.rooms import Rooms
from tests.spool.conftest import asked

NewIntake = Callable[..., Intake]
JOBS = 150


def large(identifier: str = "r1", jobs: int = JOBS) -> Request:
    """As the planner leaves it."""
    actions = [f"action_{number}" for number in range(jobs)]
    return Request(
        identifier=identifier,
        sequence=1,
        backend="tpp",
        workspace=WorkspaceRef(
            name="ws", repo="https://github.com/opensafely/study", branch="main", db="full"
        ),
        sha="a" * 40,
        requested_actions=["run_all"],
        expanded=True,
        created_at="2026-11-22T10:00:00.000Z",
        jobs=[
            Job(identifier=job_identifier(identifier, action), sequence=number, action=action)
            for number, action in enumerate(actions)
        ],
    )


@pytest.fixture
def store(rooms: Rooms) -> Requests:
    return Requests(rooms)


@pytest.fixture
def request_(rooms: Rooms, store: Requests) -> Request:
    """Saved whole; then its first job has succeeded, which is noted."""
    one = large()
    store.save([one])
    succeed(store, one, 0)
    assert notes_of(store.path("r1")).exists()
    return one


def succeed(store: Requests, request: Request, number: int) -> None:
    request.status, job = Status.RUNNING, request.jobs[number]
    job.status = Status.SUCCEEDED
    assert store.save([request], {request.identifier: [job]}) == []


def ended(request: Request) -> list[int]:
    return [number for number, job in enumerate(request.jobs) if not job.active]


def test_a_note_costs_what_it_says_and_everybody_reads_it(rooms, store, request_):
    before = store.path("r1").read_bytes()
    for number in range(1, 20):
        succeed(store, request_, number)
    assert store.path("r1").read_bytes() == before
    assert notes_of(store.path("r1")).stat().st_size < 20 * 1500
    expected = list(range(20))
    assert ended(store.read_active("r1")) == expected
    assert ended(find.active(rooms, "r1")[0].request) == expected
    assert ended(find.any_request(rooms, "r1")[0].request) == expected
    (loaded,), unreadable = Requests(rooms).load()
    assert (ended(loaded), loaded.status, unreadable) == (expected, Status.RUNNING, [])
    assert loaded == request_


def test_bytes_written_stay_within_a_small_factor_of_the_notes(store, request_):
    whole = len(store.path("r1").read_bytes())
    one_note = notes_of(store.path("r1")).stat().st_size
    rewritten, inode = 0, store.path("r1").stat().st_ino
    for number in range(1, JOBS):
        succeed(store, request_, number)
        rewritten += store.path("r1").stat().st_ino != inode
        inode = store.path("r1").stat().st_ino
    assert rewritten * whole <= 2 * JOBS * one_note


def test_what_lies_in_done_is_whole(rooms, store, request_):
    for job in request_.jobs:
        job.status = Status.SUCCEEDED
    request_.status, request_.completed_at = Status.SUCCEEDED, "2026-11-22T11:00:00Z"
    store.save([request_], {"r1": request_.jobs[1:3]})
    store.finish([request_])
    assert os.listdir(rooms.running) == []
    done = json.loads((rooms.done / "2026-11-22/r1.json").read_bytes())
    assert {job["status"] for job in done["jobs"]} == {"succeeded"}
    assert (done["status"], done["completed_at"]) == ("succeeded", "2026-11-22T11:00:00Z")


def test_the_next_runner_writes_it_whole_before_it_notes_anything(rooms, request_):
    store = Requests(rooms)
    (loaded,), _ = store.load()
    succeed(store, loaded, 1)
    assert not notes_of(store.path("r1")).exists()
    succeed(store, loaded, 2)
    assert ended(store.read_active("r1")) == [0, 1, 2]


@pytest.mark.parametrize("hand", ["moved", "edited"])
def test_a_persons_hand_is_noticed_and_nothing_is_noted(store, request_, tmp_path, hand):
    path = store.path("r1")
    if hand == "moved":
        path.rename(tmp_path / "r1.json")
    else:
        path.write_text(path.read_text().replace("action_7", "action_8"))
    before = notes_of(path).read_bytes()
    assert store.save([request_], {"r1": request_.jobs[:1]}) == [request_]
    assert notes_of(path).read_bytes() == before
    assert not path.exists() if hand == "moved" else ended(store.read_active("r1")) == []


def test_notes_that_a_person_removed_cost_nothing(store, request_):
    notes_of(store.path("r1")).unlink()
    succeed(store, request_, 1)
    assert ended(store.read_active("r1")) == [0, 1]


def put(rooms: Rooms, content: bytes) -> None:
    (rooms.inbox / "a.json").write_bytes(content)


def test_a_file_that_was_taken_away_comes_back_with_what_was_noted_of_it(
    rooms: Rooms, request_: Request, new_intake: NewIntake, tmp_path: Path
) -> None:
    (rooms.running / "r1.json").rename(tmp_path / "r1.json")
    put(rooms, (tmp_path / "r1.json").read_bytes())
    (back,) = new_intake().take().new
    assert back == request_
    assert ended(Requests(rooms).read_active("r1")) == [0]
    assert os.listdir(rooms.running) == ["r1.json"]


def test_the_notes_of_a_withdrawn_request_are_not_anothers(
    rooms: Rooms, request_: Request, new_intake: NewIntake
) -> None:
    (rooms.running / "r1.json").unlink()
    put(rooms, json.dumps(asked()).encode())
    (new,) = new_intake().take().new
    assert (new.identifier, new.jobs) == ("r1", [])
    assert os.listdir(rooms.running) == ["r1.json"]
    assert Requests(rooms).read_active("r1") == new


def test_damaged_notes_put_the_request_aside_and_stop_no_other(rooms, store, request_):
    store.save([large("r2", jobs=1)])
    path = notes_of(store.path("r1"))
    heading, *notes = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(heading + b'{"jobs": "none"}\n' + b"".join(notes))
    loaded, unreadable = Requests(rooms).load()
    assert [one.identifier for one in loaded] == ["r2"]
    assert [lying for lying, _ in unreadable] == [store.path("r1"), path]
    assert all("r1.notes" in reason for _, reason in unreadable)
    assert [one.identifier for one in find.all_active(rooms)] == ["r2"]


def test_a_newer_format_is_left_alone_with_its_notes(rooms, request_):
    path = rooms.running / "r1.json"
    newer = to_json({**json.loads(path.read_bytes()), "format": 99, "unheard": "of"})
    path.write_bytes(newer)
    notes = notes_of(path).read_bytes()
    with pytest.raises(Exception, match="newer spoolrunner"):
        Requests(rooms).load()
    assert (path.read_bytes(), notes_of(path).read_bytes()) == (newer, notes)


def test_the_book_notes_jobs_and_writes_requests(rooms, store):
    book, one = Book(store, Trail(rooms), lambda: None), large()
    store.save([one])
    book.add(one)
    path = store.path("r1")
    book.change(one, one.jobs[3], status=Status.SUCCEEDED)
    book.save()
    assert len(notebook.read(path).notes) == 1
    book.change(one, one.jobs[4], status=Status.SUCCEEDED)
    one.cancel = "user"
    book.changed(one)
    book.save()
    assert notebook.read(path).notes == []
    assert store.read_active("r1") == one
    book.change(one, one.jobs[5], status=Status.SUCCEEDED)
    book.drop(one)
    book.save()
    assert ended(store.read_active("r1")) == [3, 4]


def test_a_file_that_a_person_takes_away_while_a_runner_starts_ends_no_runner(
    rooms: Rooms,
) -> None:
    path = rooms.running / "x.json"
    path.write_bytes(b"{}")
    stop = threading.Event()

    def move() -> None:
        while not stop.is_set():
            path.rename(rooms.folder / "away")
            (rooms.folder / "away").rename(path)

    person = threading.Thread(target=move)
    person.start()
    try:
        for _ in range(500):
            Requests(rooms).load()
    finally:
        stop.set()
        person.join()
