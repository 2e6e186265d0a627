"""A spool on the real disk, and the intake that empties its inbox."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spoolrunner.runner.book import Book
from spoolrunner.runner.intake import Intake
from spoolrunner.spool import rooms as spool_rooms
from spoolrunner.spool.audit import Trail
from spoolrunner.spool.inbox import Inbox, Patience
from spoolrunner.spool.requests import Requests
from spoolrunner.spool.rooms import Rooms

NOW = "2026-11-22T10:00:00.000Z"
IMPATIENT = Patience(quiet_s=0.05, incomplete_s=0.1, empty_s=0.2)


@pytest.fixture
def rooms(tmp_path: Path) -> Rooms:
    return spool_rooms.create(tmp_path / "spool", NOW, group=None, volatile=True)


@pytest.fixture
def new_inbox(rooms: Rooms) -> Callable[..., Inbox]:
    """An inbox that waits long enough for no test to see the end of it, unless told otherwise."""

    def make(patience: Patience | None = None) -> Inbox:
        return Inbox(rooms.inbox, "tpp", patience or Patience())

    return make


@pytest.fixture
def new_intake(rooms: Rooms, new_inbox: Callable[..., Inbox]) -> Callable[..., Intake]:
    """What a runner that has just started has; again: the next runner."""

    def make(patience: Patience | None = None) -> Intake:
        book = Book(Requests(rooms), Trail(rooms), lambda: None)
        requests, unreadable = book.store.load()
        assert unreadable == []
        for request in requests:
            book.add(request)
        return Intake(rooms, book, "tpp", new_inbox(patience))

    return make


@pytest.fixture
def intake(new_intake: Callable[..., Intake]) -> Intake:
    return new_intake()


def asked(**fields: Any) -> dict[str, Any]:
    """A request as job-server serves it."""
    about = {"name": "ws", "repo": "https://github.com/opensafely/study", "branch": "main"}
    workspace = {**about, "db": "full", **fields.pop("workspace", {})}
    return {
        "identifier": "r1",
        "backend": "tpp",
        "sha": "a" * 40,
        "requested_actions": ["run_all"],
        "cancelled_actions": [],
        "force_run_dependencies": False,
        "workspace": workspace,
        **fields,
    }
