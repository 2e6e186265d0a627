"""One house for every executor: the same launches, whoever runs them."""

import errno
import functools
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from spoolrunner.executor import Executor, Exit, Launch
from spoolrunner.executor.docker import DockerExecutor
from spoolrunner.executor.process import ProcessExecutor
from tests.rig import images

BOUND_S = 60  # longer than anything here takes; only a broken executor comes near it
AS_ROOT = os.geteuid() == 0
USER = (10000, 10000) if AS_ROOT else (os.geteuid(), os.getegid())
# Debian's own Python: the job's user may not reach the interpreter of these tests, and without a
# sandbox nobody shows it to them.
LOCAL_COMMANDS = {"busybox:*": (), "python:*": ("/usr/bin/python3",)}
EXECUTORS = ("process", "process-without-bubblewrap", "docker")


@dataclass
class House:
    """An executor of a spool of its own, and what its launches need."""

    executor: Executor
    again: Callable[[], Executor]  # another runner's: a new object that knows nothing
    kind: str
    spool8: str
    base: Path

    def launch(self, *arguments: str, number: int = 1, **changes: Any) -> Launch:
        """One that runs in a folder of its own, as the job's user. number tells launches apart."""
        folder = self.base / f"work-{number}"
        folder.mkdir(exist_ok=True)
        os.chown(folder, *USER)
        plain = Launch(
            name=f"sr-{self.spool8}-job{number}-1",
            image=images.BUSYBOX,
            arguments=arguments,
            folder=folder,
            log=self.base / f"log-{number}",
            user=USER,
            strict=self.isolated,
        )
        return replace(plain, **changes)

    @property
    def isolated(self) -> bool:
        return self.kind != "process-without-bubblewrap"

    def waiting(self, script: str, **changes: Any) -> Launch:
        """A started shell script that waits at a gate before `script`."""
        launch = self.launch("sh", "-c", f"read go < gate; {script}", **changes)
        self.gate(launch)
        self.executor.start(launch)
        return launch

    def open_gate(self, launch: Launch) -> None:
        """Let it through, as soon as it stands there."""
        deadline = time.monotonic() + BOUND_S
        while not _let_through(launch.folder / "gate"):
            assert time.monotonic() < deadline, "the job does not come to the gate"
            time.sleep(0.005)

    def gate(self, launch: Launch) -> None:
        os.mkfifo(launch.folder / "gate")
        os.chown(launch.folder / "gate", *USER)

    def run(self, launch: Launch) -> Exit:
        self.executor.start(launch)
        return self.end_of(launch)

    def end_of(self, launch: Launch) -> Exit:
        self.executor.wait(launch.name, BOUND_S)
        ended = self.executor.look(launch.name)
        assert isinstance(ended, Exit), ended
        return ended

    def said(self, launch: Launch, limit_bytes: int = 1 << 20) -> str:
        saved = self.base / "saved-log"
        self.executor.save_log(launch.name, saved, limit_bytes)
        return saved.read_text(errors="replace")

    def clear(self) -> None:
        for name in self.executor.names():
            self.executor.clear(name)


def _let_through(gate: Path) -> bool:
    try:
        descriptor = os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:  # nobody reads yet
            raise
        return False
    os.write(descriptor, b"go\n")
    os.close(descriptor)
    return True


def process_house(base: Path, kind: str, **options: Any) -> House:
    spool8 = secrets.token_hex(4)
    options = {
        "folder": base / "executor",
        "commands": LOCAL_COMMANDS,
        "bubblewrap": "bwrap" if kind == "process" else "",
        **options,
    }
    again = functools.partial(ProcessExecutor, spool8, **options)
    return House(again(), again, kind, spool8, base)


def docker_house(base: Path, engine: Any) -> House:
    spool8 = secrets.token_hex(4)
    again = functools.partial(DockerExecutor, spool8, url=engine.socket)
    return House(again(), again, "docker", spool8, base)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that other users can pass through; those of pytest are closed (0700), like ours."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o711)
        yield Path(name)


@pytest.fixture(params=EXECUTORS)
def house(request: pytest.FixtureRequest, tmp_path: Path, reachable: Path) -> Iterator[House]:
    if request.param == "docker":
        one = docker_house(tmp_path, request.getfixturevalue("engine"))
    elif request.param == "process":
        one = process_house(tmp_path, request.param)
    else:
        one = process_house(reachable, request.param)
    yield one
    one.clear()
