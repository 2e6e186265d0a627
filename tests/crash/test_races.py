"""A short race; the long form is `python -m tests.crash.races`."""

from tests.crash.life import living
from tests.crash.points import rotating
from tests.crash.races import race

FOR_S = 60


def test_everybody_at_once_loses_and_doubles_nothing() -> None:
    seed = rotating(1_000_000)
    print(f"--seed {seed}")
    with living() as life:
        seen, found = race(life.place, FOR_S, seed, 2)
    assert found == []
    assert seen["run killed"] > 2, "nobody was killed: the machine is too slow for this race"
