"""A git host, and Studies that reach it as a site reaches GitHub through its proxy."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spoolrunner.checkout import Studies
from tests.rig.githost import GitHost

Make = Callable[..., Studies]


@pytest.fixture(scope="session")
def only_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHost]:
    with GitHost(tmp_path_factory.mktemp("githost")) as host:
        yield host


@pytest.fixture
def host(only_host: GitHost, monkeypatch: pytest.MonkeyPatch) -> GitHost:
    only_host.faults.clear()
    only_host.requests.clear()
    only_host.fetches.clear()
    only_host.tokens.clear()
    only_host.stalled.clear()
    monkeypatch.setenv("GIT_SSL_CAINFO", str(only_host.ca))
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return only_host


@pytest.fixture
def root_needed() -> None:
    """On a laptop such tests are skipped; in CI they fail."""
    if os.geteuid() and os.environ.get("CI") == "true":
        pytest.fail("only root can do this")
    if os.geteuid():
        pytest.skip("only root can do this")


@pytest.fixture
def org(request: pytest.FixtureRequest) -> str:
    """An organisation for this test alone, on the shared host."""
    return f"org{abs(hash(request.node.nodeid))}"


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    folder = tmp_path / "locks"
    folder.mkdir()
    return folder


@pytest.fixture
def make(tmp_path: Path, locks: Path, request: pytest.FixtureRequest) -> Make:
    """Studies with the settings of a test; the cache is the same for all of one test."""

    def studies(**settings: Any) -> Studies:
        usual: dict[str, Any] = {
            "locks": locks,
            "backend": "tpp",
            "allowed_orgs": ["*"],
            "allow_local": True,
            "mirror": None,
            "token": None,
            "proxy_domain": None,
            "timeout_s": 20,
            "waits_s": (0, 0),
        }
        return Studies(tmp_path / "cache", **(usual | settings))

    return studies


@pytest.fixture
def studies(make: Make, host: GitHost) -> Studies:
    """Through the site's proxy for GitHub, with the site's token."""
    return make(proxy_domain=host.domain, token=host.token, allow_local=False)
