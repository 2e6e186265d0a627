"""A server of each era, and one of both in turn."""

from collections.abc import Iterator

import pytest

from tests.rig.jobserver import JobServer


@pytest.fixture
def old() -> Iterator[JobServer]:
    with JobServer("2022-06") as server:
        yield server


@pytest.fixture
def today() -> Iterator[JobServer]:
    with JobServer("2026") as server:
        yield server


@pytest.fixture(params=["2022-06", "2026"])
def server(request: pytest.FixtureRequest) -> Iterator[JobServer]:
    with JobServer(request.param) as server:
        yield server
