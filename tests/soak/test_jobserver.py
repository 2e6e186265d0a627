"""The short form of `python -m tests.soak.jobserver`, against both servers at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.soak.jobserver import soak
from tests.system.conftest import folder

__all__ = ["folder"]

ERAS = ("2022-06", "2026")


def test_under_a_bad_server_and_a_killed_runner_all_is_told_in_order(folder: Path) -> None:
    with ThreadPoolExecutor() as both:
        begun = [
            both.submit(soak, folder / era, era=era, requests=30, jobs=5, for_s=20, seed=1)
            for era in ERAS
        ]
    for era, soaked in zip(ERAS, begun, strict=True):
        outcome = soaked.result()
        assert outcome.is_good, f"{era}:\n{outcome}"
        assert min(outcome.kills, outcome.outages) > 0, f"{era}:\n{outcome}"
