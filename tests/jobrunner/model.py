"""What job-runner 2.52.3 makes of a request, written anew from the reference (4.4, 4.5) alone.

Of rows of its table and a study's needs it says of each action: "reuse", "wait" (it is scheduled
already), "run"; or "refuse", which it does with all of a request that needs what failed last.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """In the order in which they were stored."""

    action: str
    state: str
    cancelled: int | None
    created_at: int


def latest(rows: Sequence[Row]) -> dict[str, Row]:
    """`cancelled = 0` in SQL, sorted by whole seconds, the newest first; of equals the first."""
    seen = [row for row in rows if row.cancelled == 0 and row.action != "__error__"]
    by_action = itertools.groupby(sorted(seen, key=lambda row: row.action), lambda row: row.action)
    found = {}
    for action, runs in by_action:
        found[action] = max(runs, key=lambda row: row.created_at)  # of equals the first
    return found


def verdicts(
    rows: Sequence[Row], needs: Mapping[str, Sequence[str]], asked: Sequence[str], *, force: bool
) -> dict[str, str]:
    """Of the actions that it looks at; what a reused one needs is not looked at."""
    known = {action: row for action, row in latest(rows).items() if action in needs}
    found: dict[str, str] = {}

    def look(action: str) -> None:
        if action in found:
            return
        found[action] = verdict = _verdict(known.get(action), action in asked, force=force)
        if verdict == "run":
            for needed in needs[action]:
                look(needed)

    for action in list(needs) if "run_all" in asked else asked:
        look(action)
    return found


def _verdict(row: Row | None, named: bool, *, force: bool) -> str:
    if row is None:
        return "run"
    if row.state in ("pending", "running"):
        return "wait"
    if named or force:
        return "run"
    return "reuse" if row.state == "succeeded" else "refuse"
