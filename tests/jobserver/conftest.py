"""A job-server over real HTTP, and clients of it that lose patience sooner than in life."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spoolrunner.jobserver import JobServer, Limits
from tests.rig import jobserver as rig

QUICK = Limits(connect_s=2, read_s=2, exchange_s=2, listing_s=60, repeats=0)


@pytest.fixture(autouse=True)
def _nobodys_proxies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["2022-06", "2026"])
def server(request: pytest.FixtureRequest) -> Iterator[rig.JobServer]:
    """As it was, and as it is."""
    with rig.JobServer(era=request.param) as one:
        yield one


@pytest.fixture
def old_server() -> Iterator[rig.JobServer]:
    with rig.JobServer(era="2022-06") as one:
        yield one


At = Callable[..., JobServer]
Connect = Callable[..., JobServer]


@pytest.fixture
def at() -> Iterator[At]:
    """at(address, limits) -> a client for the backend "test"."""
    made: list[JobServer] = []

    def at(address: str, limits: Limits = QUICK, token: str = "canary") -> JobServer:
        made.append(JobServer(address, token, "test", limits=limits))
        return made[-1]

    yield at
    for client in made:
        client.close()


@pytest.fixture
def connect(at: At) -> Connect:
    """connect(server, limits) -> the same, with the server's own token."""

    def connect(
        server: rig.JobServer, limits: Limits = QUICK, endpoint: str = "", token: str = ""
    ) -> JobServer:
        return at(endpoint or server.endpoint, limits, token or server.token("test"))

    return connect
