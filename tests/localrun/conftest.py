"""Studies as researchers have them: folders with a project.yaml, and no git."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from spoolrunner.localrun import ActionRun, Options, Planned, Result, State, local_run
from tests.site import PROJECT, WITHIN_S
from tests.system.conftest import folder

__all__ = ["folder"]

SETTINGS = {"EXECUTOR": "process", "STOP_GRACE": "1s"}


def action(
    script: str, *needs: str, out: str = "", level: str = "moderately_sensitive", image: str = ""
) -> dict[str, Any]:
    """An action of project.yaml that runs a shell script. out: its one output pattern."""
    run = f"{image or 'python:v2'} sh -c {shlex.quote(script)}"
    outputs = {level: {"it": out}} if out else {level: {}}
    return {"run": run, "needs": list(needs), "outputs": outputs}


def make(out: str, text: str = "x") -> str:
    """A script that makes one file."""
    return f"mkdir -p $(dirname {out}); echo {text} > {out}"


@dataclass
class Study:
    """settings: what the environment says."""

    folder: Path
    settings: dict[str, str] = field(default_factory=lambda: dict(SETTINGS))
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def has(self, **actions: dict[str, Any]) -> None:
        project = {"version": "4.0", "actions": actions}
        (self.folder / "project.yaml").write_text(json.dumps(project))

    def write(self, path: str, text: str = "x\n") -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def read(self, path: str) -> str:
        return (self.folder / path).read_text()

    def run(self, *actions: str, watcher: Any = None, **options: Any) -> Result:
        more = {"watcher": watcher} if watcher else {}
        settings = self.settings
        return local_run(self.folder, actions, Options(**options), settings=settings, **more)

    @property
    def home(self) -> Path:
        return self.folder / "metadata" / ".spoolrunner"

    def leftovers(self) -> list[str]:
        """Job folders and processes that an executor still knows."""
        places = (self.home / "storage" / "volumes", self.home / "processes")
        return [name for place in places if place.exists() for name in os.listdir(place)]

    # the command, in a process of its own

    def environment(self) -> dict[str, str]:
        own = ("PATH", "HOME", "LANG", "TMPDIR")
        kept = {name: os.environ[name] for name in own if name in os.environ}
        return {**kept, "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1", **self.settings}

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "spoolrunner", "local-run", *words],
            env=self.environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        one = subprocess.Popen(
            [sys.executable, "-m", "spoolrunner", "local-run", *words],
            env=self.environment(),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.started.append(one)
        return one

    def close(self) -> None:
        for one in self.started:
            if one.poll() is None:
                os.killpg(one.pid, signal.SIGKILL)
            one.communicate()
        if self.started:
            self.has(none=action("true"))
            self.command("none")  # ends what a killed one left


def states(result: Result) -> dict[str, State]:
    return {one.action: one.state for one in result.actions}


def one(result: Result, name: str) -> ActionRun:
    return next(run for run in result.actions if run.action == name)


def until(holds: Callable[[], bool], what: str) -> None:
    """Look again until it holds; fails loudly when time is up."""
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)


class Seen:
    """A Watcher that remembers. then: called at every change."""

    def __init__(self, then: Callable[["Seen"], None] = lambda seen: None) -> None:
        self.plan: Planned | None = None
        self.now: dict[str, ActionRun] = {}
        self.history: list[tuple[str, State]] = []
        self.most_at_once = 0
        self.stops = 0
        self._then = then

    def planned(self, plan: Planned) -> None:
        self.plan = plan

    def changed(self, action: ActionRun) -> None:
        self.now[action.action] = action
        self.history.append((action.action, action.state))
        self.most_at_once = max(self.most_at_once, len(self.running()))
        self._then(self)

    def stopping(self, *, again: bool) -> None:
        self.stops += 1

    def running(self) -> list[ActionRun]:
        return [run for run in self.now.values() if run.state is State.RUNNING]


@pytest.fixture
def study(folder: Path) -> Iterator[Study]:
    path = folder / "my-study"
    path.mkdir()
    made = Study(path)
    yield made
    made.close()
