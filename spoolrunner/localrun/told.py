"""The words of a local run: what it is asked, and what it tells of each action. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from spoolrunner.request import Code, Output


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run; the command's flags of the same names. None: as the settings say.

    concurrency: actions at once. memory_bytes, cpus: of each action. debug: leave containers and
    job folders where they are until the next run.
    """

    force_run_dependencies: bool = False
    continue_on_error: bool = False
    debug: bool = False
    concurrency: int = 2
    memory_bytes: int | None = None
    cpus: float | None = None


class State(StrEnum):
    """Of one action in this run. STOPPED: it ran and was stopped; NOT_RUN: it was never begun."""

    REUSED = "reused"
    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    NOT_RUN = "not run"

    @property
    def final(self) -> bool:
        return self not in (State.WAITING, State.RUNNING)


@dataclass(frozen=True)
class Missing:
    """A pattern without an output. like: files the action made that look like what was meant."""

    pattern: str
    like: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ActionRun:
    """All there is to tell of one action.

    headway: how far what lasts has got, in words. started_s, ended_s: time.monotonic.
    made_at: when what is reused was made, ISO 8601 UTC.
    other_files: what it made that no pattern claims. refused: path -> why it was not taken over.
    log: its whole log, with a summary at the end; None if it never ran. tail: the last lines of
    what it said. container, folder: what --debug left of it.
    """

    action: str
    state: State
    message: str = ""
    headway: str = ""
    code: Code | None = None
    made_at: str = ""
    started_s: float | None = None
    ended_s: float | None = None
    outputs: Mapping[str, Output] = field(default_factory=dict)
    missing: tuple[Missing, ...] = ()
    other_files: Sequence[str] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    tail: Sequence[str] = ()
    container: str = ""
    folder: Path | None = None

    def elapsed_s(self, now_s: float) -> float | None:
        """How long it has run, or ran; None if it was never begun."""
        if self.started_s is None:
            return None
        return max(0.0, (self.ended_s or now_s) - self.started_s)


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What will happen. actions: those to be run, needs first, and those that are reused.

    notes: sentences for the person. executor: its name. warnings: how many project.yaml has.
    """

    folder: Path
    actions: tuple[ActionRun, ...]
    notes: tuple[str, ...]
    executor: str
    concurrency: int
    warnings: int


@dataclass(frozen=True, kw_only=True)
class Result:
    """What happened. actions: as planned, each as it ended. nothing_to_do: "" or the sentence."""

    folder: Path
    actions: tuple[ActionRun, ...]
    notes: tuple[str, ...] = ()
    nothing_to_do: str = ""
    executor: str = ""
    elapsed_s: float = 0

    @property
    def succeeded(self) -> bool:
        """Did everything that was to be run succeed?"""
        return all(one.state in (State.SUCCEEDED, State.REUSED) for one in self.actions)


class Watcher(Protocol):
    """Is told how it goes on, from another thread than the caller's, one call after the other."""

    def planned(self, plan: Planned) -> None:
        """Before the first action starts; not called if there is nothing to do."""

    def changed(self, action: ActionRun) -> None:
        """The state of an action, or its message, is another."""

    def stopping(self, *, again: bool) -> None:
        """The person interrupted: actions are being stopped. again: and now without grace."""


class Unwatched:
    """A Watcher that lets it all pass."""

    def planned(self, plan: Planned) -> None:
        return

    def changed(self, action: ActionRun) -> None:
        return

    def stopping(self, *, again: bool) -> None:
        return


class Interrupted(KeyboardInterrupt):
    """Every action has been stopped. result: how far it got."""

    def __init__(self, result: Result) -> None:
        super().__init__()
        self.result = result
