"""The verdict on an action: it runs, and why, or it is reused, or it is awaited.

A total table (tests/plan/test_verdict.py has every row of it), after reference/opensafely.md 4.5
with today's rules. Pure. Knows nothing of the package.
"""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Of the newest run of an action in the workspace, by any request, that was not cancelled."""

    NEVER = "never"
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Files(StrEnum):
    """What is true now of the outputs that a succeeded run published."""

    INTACT = "intact"
    GONE = "gone"
    CHANGED = "changed"


@dataclass(frozen=True)
class Known:
    """What is known of an action's newest run: whose it is and from which commit."""

    state: State
    request: str = ""
    job: str = ""
    sha: str = ""
    files: Files = Files.INTACT

    @property
    def active(self) -> bool:
        return self.state in (State.PENDING, State.RUNNING)


NEVER = Known(State.NEVER)


class Why(StrEnum):
    """The verdict on an action: why it runs, or (the last two) why it does not."""

    ASKED_FOR = "asked_for"
    NEVER_RAN = "never_ran"
    FAILED_BEFORE = "failed_before"
    OUTPUTS_GONE = "outputs_gone"
    OUTPUTS_CHANGED = "outputs_changed"
    FORCED = "forced"
    REUSED = "reused"
    AWAITED = "awaited"

    @property
    def runs(self) -> bool:
        return self not in (Why.REUSED, Why.AWAITED)


def decide(known: Known, *, named: bool, force: bool) -> Why:
    """The verdict on one action. named: asked for by its own name, not by run_all or a need.

    What is already scheduled is never scheduled twice, even by name or force.
    """
    if known.active:
        return Why.AWAITED
    if named:
        return Why.ASKED_FOR
    if known.state is State.NEVER:
        return Why.NEVER_RAN
    if known.state is State.FAILED:
        return Why.FAILED_BEFORE
    if known.files is Files.GONE:
        return Why.OUTPUTS_GONE
    if known.files is Files.CHANGED:
        return Why.OUTPUTS_CHANGED
    return Why.FORCED if force else Why.REUSED
