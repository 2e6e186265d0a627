"""A backup taken while the spool changes: at every moment it holds one state of each request."""

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spoolrunner import files
from spoolrunner.headway import UNHEARD
from spoolrunner.notebook import notes_of
from spoolrunner.request import Request, Status
from spoolrunner.spool import outbox, requestfile
from spoolrunner.spool.backup import Backup
from spoolrunner.spool.outbox import Report
from spoolrunner.spool.requests import Requests
from spoolrunner.spool.rooms import Rooms
from tests.spool.test_noted_requests import large, succeed


class Meanwhile(Backup):
    """Something happens just before a room is read."""

    def __init__(self, rooms: Rooms, room: str, deed: Callable[[], None]) -> None:
        super().__init__(rooms, UNHEARD)
        self._room = room
        self._deed = deed

    def _read(self, room: str) -> Iterator[tuple[str, bytes]]:
        if room == self._room:
            self._deed()
        yield from super()._read(room)


@pytest.fixture
def store(rooms: Rooms) -> Requests:
    return Requests(rooms)


@pytest.fixture
def running(store: Requests) -> Request:
    """Its first job has succeeded, which is noted."""
    one = large()
    store.save([one])
    succeed(store, one, 0)
    return one


def restored(backup: Backup, folder: Path) -> Path:
    backup.write(folder / "backup.tar.gz")
    with tarfile.open(folder / "backup.tar.gz") as whole:
        whole.extractall(folder / "restored", filter="data")
    return folder / "restored"


def end(rooms: Rooms, store: Requests, request: Request) -> None:
    for job in request.jobs:
        job.status = Status.SUCCEEDED
    request.status, request.completed_at = Status.SUCCEEDED, "2026-11-22T11:00:00.000Z"
    tell = Report(request=request.identifier, sequence=store.next_sequence(), final=True)
    store.report = lambda disk, one: outbox.put(rooms, disk, tell) and None
    store.save([request])
    store.finish([request])


def test_a_file_and_its_notes_are_of_one_moment(rooms, store, running, tmp_path, monkeypatch):
    """Between the two the runner writes the file whole and goes on with new notes."""
    read = files.read_regular

    def then_it_changes(path, limit_bytes):
        found = read(path, limit_bytes)
        if path == store.path("r1"):
            monkeypatch.setattr(files, "read_regular", read)
            store.save([running])
            succeed(store, running, 1)
        return found

    monkeypatch.setattr(files, "read_regular", then_it_changes)
    path = restored(Backup(rooms, UNHEARD), tmp_path) / "running/r1.json"
    assert [job.active for job in requestfile.read(path).jobs[:3]] == [False, False, True]


def test_of_what_ends_meanwhile_the_end_is_still_to_be_told(rooms, store, running, tmp_path):
    ends = Meanwhile(rooms, "done", lambda: end(rooms, store, running))
    place = restored(ends, tmp_path)
    assert [path.name for path in (place / "done").glob("*/*")] == ["r1.json"]
    assert not (place / "running").exists()
    assert [path.name[:3] for path in (place / "outbox").glob("*.json")] == ["r1."]


def test_of_what_is_taken_as_active_no_end_comes_back(rooms, store, running, tmp_path):
    ends = Meanwhile(rooms, "outbox", lambda: end(rooms, store, running))
    place = restored(ends, tmp_path)
    assert (place / "running/r1.json").exists()
    assert not list((place / "outbox").glob("*.json"))


def test_the_notes_of_what_was_taken_out_by_hand_are_kept(rooms, store, running, tmp_path):
    store.path("r1").rename(tmp_path / "r1.json")
    place = restored(Backup(rooms, UNHEARD), tmp_path)
    assert (place / "running/r1.notes").read_bytes() == notes_of(store.path("r1")).read_bytes()
