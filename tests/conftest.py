"""What every test may use: the private docker engine, started once for a whole run."""

import os
from collections.abc import Iterator

import pytest

from tests.rig import images
from tests.rig.engine import Engine, missing
from tests.rig.engine import engine as private_engine


@pytest.fixture(scope="session", autouse=True)
def open_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """pytest's folders are for their owner alone; jobs and other users have to reach theirs."""
    base = tmp_path_factory.getbasetemp()
    for path in (base, *base.parents):
        if path.name.startswith(("pytest-", "popen-")):
            path.chmod(0o755)


@pytest.fixture(scope="session")
def engine_needed() -> None:
    """On a laptop tests that need an engine are skipped with the reason; in CI they fail."""
    reason = missing()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def engine(engine_needed: None) -> Iterator[Engine]:
    """A private engine with the stand-in images. Shared: use a spool id (label) of your own."""
    with private_engine() as one:
        one.load(images.archive())
        yield one


@pytest.fixture
def engine_alone(engine_needed: None) -> Iterator[Engine]:
    """An engine for one test, to be killed, frozen and restarted at will; containers outlive it."""
    with private_engine("--live-restore") as one:
        one.load(images.archive())
        yield one
