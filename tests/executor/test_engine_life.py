"""Who ended a container: itself, a person, or its engine's own restart."""

from datetime import UTC, datetime

import pytest

from spoolrunner.executor import Exit
from spoolrunner.executor.engine_life import started_s, took_with_it

ENGINE_S = 1_800_000_000.0  # when the engine came back


def ended(status: int, after_s: float, *, began_s: float = -3600) -> Exit:
    """A container that ended so long after the engine's start (negative: before it)."""
    return Exit(status, "", at(began_s), at(after_s))


def at(after_s: float) -> str:
    return datetime.fromtimestamp(ENGINE_S + after_s, UTC).isoformat()


@pytest.mark.parametrize(
    ("one", "live_restore", "taken"),
    [
        pytest.param(ended(143, -3), False, True, id="asked-to-end-by-a-stop"),
        pytest.param(ended(1, -8), False, True, id="ended-in-its-own-way-when-asked"),
        pytest.param(ended(137, -3600), False, True, id="killed-by-a-stop-an-hour-ago"),
        pytest.param(ended(137, 10), False, True, id="found-and-killed-at-the-start"),
        pytest.param(ended(0, -3), False, False, id="had-just-done-its-work"),
        pytest.param(ended(3, -600), False, False, id="failed-long-before"),
        pytest.param(ended(137, 300), False, False, id="killed-by-a-person-later"),
        pytest.param(ended(137, 30, began_s=5), False, False, id="begun-since"),
        pytest.param(ended(3, -3), True, False, id="failed-while-the-engine-was-away"),
        pytest.param(ended(3, 10), True, False, id="went-on-and-failed"),
        pytest.param(ended(137, -1), True, True, id="its-shim-was-killed-too"),
    ],
)
def test_whose_end_it_was(one: Exit, live_restore: bool, taken: bool) -> None:
    assert took_with_it(one, ENGINE_S, live_restore=live_restore) == taken


def test_an_engine_of_another_machine_is_not_judged() -> None:
    assert started_s("tcp://127.0.0.1:2375") is None
    assert started_s("unix:///nowhere") is None
    assert not took_with_it(ended(137, -3), None, live_restore=False)
