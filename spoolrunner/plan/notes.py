"""What a plan tells the person: one sentence for each reason, naming the actions it is about.

Made of our own words and of names from the project and of requests. Pure. Knows: verdict.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from graphlib import TopologicalSorter

from spoolrunner.plan.verdict import NEVER, Known, Why

MOST_NAMES = 20  # in one sentence: a project may have 2,500 actions

AGAIN = {
    Why.FAILED_BEFORE: "Run again, because their last run failed",
    Why.OUTPUTS_GONE: "Run again, because outputs of theirs are gone",
    Why.OUTPUTS_CHANGED: "Run again, because outputs of theirs were changed after publication",
}
BEHIND = (
    "Reused as they are, although something they were made from is made anew "
    "(ask for them by name to make them anew too)"
)


def notes(
    verdicts: Mapping[str, Why],
    known: Mapping[str, Known],
    needs: Mapping[str, Sequence[str]],
    *,
    request: str,
    sha: str,
) -> tuple[str, ...]:
    """The sentences on a plan of this request for this commit, in the order of the plan."""
    behind = _behind(verdicts, known, needs)
    about: dict[str, list[str]] = defaultdict(list)
    for action, why in verdicts.items():
        run = known.get(action, NEVER)
        if why in AGAIN:
            about[AGAIN[why]].append(action)
        if why is Why.AWAITED and run.request != request:
            about[f"Not run twice, because request {run.request} has them scheduled"].append(action)
        if why is Why.REUSED and run.sha != sha:
            about[f"Reused, although made from another commit ({run.sha[:7]})"].append(action)
        if why is Why.REUSED and action in behind:
            about[BEHIND].append(action)
    return tuple(f"{reason}: {listed(actions)}." for reason, actions in about.items())


def nothing_to_do(verdicts: Collection[Why]) -> str:
    """What to say if nothing of what was asked for runs, else "".

    Never an error, whatever the mixture (reference/opensafely.md 6, row 22).
    """
    if any(why.runs for why in verdicts):
        return ""
    if Why.AWAITED not in verdicts:
        return "Nothing to do: all actions have already run."
    if Why.REUSED not in verdicts:
        return "Nothing to do: all actions asked for are already scheduled."
    return "Nothing to do: all actions have already run or are already scheduled."


def listed(names: Sequence[str]) -> str:
    """Names in quotes, the first MOST_NAMES of them."""
    shown = ", ".join(map(repr, names[:MOST_NAMES]))
    hidden = len(names) - MOST_NAMES
    return f"{shown} and {hidden} more" if hidden > 0 else shown


def _behind(
    verdicts: Mapping[str, Why], known: Mapping[str, Known], needs: Mapping[str, Sequence[str]]
) -> Collection[str]:
    """Actions that need, at whatever distance, something that runs now or is scheduled."""
    behind: set[str] = set()
    anew = {action for action, why in verdicts.items() if why is not Why.REUSED}
    anew.update(action for action, run in known.items() if run.active)
    for action in TopologicalSorter(needs).static_order():
        if any(name in anew or name in behind for name in needs[action]):
            behind.add(action)
    return behind
