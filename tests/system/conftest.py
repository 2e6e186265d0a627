"""Sites for whole runs: under the process executor, and under a real engine."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rig.engine import Engine
from tests.site import Site

NewSite = Callable[..., Site]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Jobs run as another user and have to reach it."""
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.fixture
def new_site(folder: Path) -> Iterator[NewSite]:
    """Makes sites; their runners end with the test."""
    sites: list[Site] = []

    def make(name: str = "site", **settings: str) -> Site:
        sites.append(Site(folder / name, **settings))
        return sites[-1]

    yield make
    for site in sites:
        site.close()


@pytest.fixture
def site(new_site: NewSite) -> Site:
    """Dummy data, process executor."""
    return new_site()


@pytest.fixture
def docker_site(new_site: NewSite, engine: Engine) -> Site:
    """Dummy data, a real engine."""
    return new_site(EXECUTOR="docker", DOCKER_HOST=engine.socket)
