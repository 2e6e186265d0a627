"""How a local run goes on, for a pipe or a log: a line when an action begins and when it ends."""

import time
from datetime import UTC, datetime
from types import TracebackType

from spoolrunner.figures import time_words
from spoolrunner.localrun import ActionRun, Planned, State

EVERY_S = 10.0  # between lines of one action that goes on with the same
AGAIN = "Stopping what still runs, without grace."
STOPPING = "Stopping what runs. Interrupt again to stop it without grace."


class Lines:
    """A Watcher. timestamps: put the time (UTC) before each line."""

    def __init__(self, *, timestamps: bool) -> None:
        self._timestamps = timestamps
        self._width = 0
        self._told: dict[str, tuple[State, str]] = {}
        self._told_s: dict[str, float] = {}

    def __enter__(self) -> "Lines":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def planned(self, plan: Planned) -> None:
        self._width = max(len(one.action) for one in plan.actions)
        for line in heading(plan):
            self._print(line)
        for one in plan.actions:
            if one.state is State.REUSED:
                self.changed(one)

    def changed(self, action: ActionRun) -> None:
        """The steps of one that runs are not worth a line each, but something that lasts is one
        now and then."""
        news, now_s = (action.state, action.message), time.monotonic()
        lasts = action.headway and now_s - self._told_s.get(action.action, now_s) >= EVERY_S
        if self._told.get(action.action) != news or lasts:
            self._print(line(action, self._width))
            self._told_s[action.action] = now_s
        self._told[action.action] = news

    def stopping(self, *, again: bool) -> None:
        self._print(AGAIN if again else STOPPING)

    def _print(self, text: str) -> None:
        print(f"{now()} {text}" if self._timestamps else text, flush=True)


def heading(plan: Planned) -> list[str]:
    names = [one.action for one in plan.actions if one.state is not State.REUSED]
    number = "1 action" if len(names) == 1 else f"{len(names)} actions"
    lines = [f"Running {number} with {plan.executor}, {plan.concurrency} at once."]
    if plan.warnings:
        count = "1 warning" if plan.warnings == 1 else f"{plan.warnings} warnings"
        lines.append(f"project.yaml has {count}: `spoolrunner validate` tells.")
    return [*lines, *plan.notes]


def line(action: ActionRun, width: int) -> str:
    """An action and what is true of it, in columns."""
    elapsed = time_words(action.elapsed_s(time.monotonic()) if action.state.final else None)
    text = f"{action.action:<{width}}  {action.state:<9}  {elapsed:>8}  {said(action)}"
    return text.rstrip()


def said(action: ActionRun) -> str:
    """What is to be said beside its state."""
    if action.state is State.REUSED:
        return f"made {_minute(action.made_at)}"
    if action.state is State.SUCCEEDED:
        kept = sum(1 for output in action.outputs.values() if output.excluded)
        note = f", {kept} not fit for release" if kept else ""
        count = len(action.outputs)
        return ("1 output" if count == 1 else f"{count} outputs") + note
    return action.message or action.headway


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _minute(moment: str) -> str:
    """An ISO time as people read it, by their own clock."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M")
