"""Killed at some of all points; the full form is `python -m tests.jobrunner.kills`."""

from tests.crash.points import rotating
from tests.jobrunner.kills import placed, try_all

EVERY = 120


def test_killed_at_any_call_it_is_done_again_and_nothing_old_was_changed() -> None:
    offset = rotating(EVERY)
    print(f"every {EVERY}. from {offset}")  # shown if it fails: how to repeat it
    with placed() as place:
        chosen = place.points()[offset::EVERY]
        came, found = try_all(place, chosen)
    assert found == {}
    assert came  # a few calls are under names that change
