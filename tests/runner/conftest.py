"""A spool on the real disk, a job-server over real HTTP, and couriers between them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spoolrunner.jobserver import JobServer as Client
from spoolrunner.jobserver import Limits
from spoolrunner.runner.courier import Courier
from spoolrunner.spool import rooms as spool_rooms
from spoolrunner.spool.rooms import Rooms
from tests.rig.jobserver import JobServer

NOW = "2026-11-22T10:00:00.000Z"
QUICK = Limits(connect_s=1, read_s=1, exchange_s=1, listing_s=60, repeats=0)

NewCourier = Callable[..., Courier]


@pytest.fixture
def rooms(tmp_path: Path) -> Rooms:
    return spool_rooms.create(tmp_path / "spool", NOW, group=None, volatile=True)


@pytest.fixture
def server() -> Iterator[JobServer]:
    with JobServer(era="2022-06") as one:
        yield one


@pytest.fixture
def new_courier(rooms: Rooms, server: JobServer) -> Iterator[NewCourier]:
    """What a runner that has just started has; again: the next runner's."""
    clients: list[Client] = []

    def make(behind: set[str] | None = None, refresh_s: float = 60) -> Courier:
        client = Client(server.endpoint, server.token("test"), "test", limits=QUICK)
        clients.append(client)
        lagging = set() if behind is None else behind
        return Courier(rooms, client, "declared", lambda: lagging, refresh_s=refresh_s)

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def courier(new_courier: NewCourier) -> Courier:
    return new_courier()
