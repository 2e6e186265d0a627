"""The short form of `python -m tests.soak.jobserver`."""

from pathlib import Path

from tests.soak.jobserver import soak
from tests.system.conftest import folder

__all__ = ["folder"]


def test_under_a_bad_server_and_a_killed_runner_all_is_told_in_order(folder: Path) -> None:
    outcome = soak(folder, requests=30, jobs=5, for_s=20, seed=1)
    assert outcome.is_good, outcome
    assert min(outcome.kills, outcome.outages) > 0, outcome
