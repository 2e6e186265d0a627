"""Killed at some questions to a docker engine; at all of them: `python -m tests.crash.engine`."""

from collections.abc import Iterator

import pytest

from tests.crash.engine import DockerLife, living_in
from tests.crash.points import Point, try_one
from tests.rig.engine import Engine


@pytest.fixture(scope="module")
def docker_life(engine: Engine) -> Iterator[DockerLife]:
    with living_in(engine) as life:
        yield life


@pytest.mark.parametrize("call", ["containers/create", "containers/NAME/start"])
def test_a_runner_killed_while_it_asks_an_engine_starts_no_job_twice(
    docker_life: DockerLife, call: str
) -> None:
    result = try_one(docker_life, Point("run", f"engine POST {call}", 1, "during"))
    assert (result.came, result.violations) == (True, [])
