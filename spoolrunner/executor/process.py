"""The process executor: a job is a process of this machine, under a keeper that outlives the runner.

For machines without an engine. One folder for each name holds what the keeper wrote (keeper.py has
the three files and their meaning); nothing is kept in memory, so any runner finds any job again.
bubblewrap isolates where it can (sandbox), control groups limit where they can (cgroup), and what
can't be enforced is refused, or left out with a warning if the launch is not strict.
Knows: errors, files, record, and in this package cgroup, images, joblog, sandbox.
"""

import contextlib
import fcntl
import json
import math
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from spoolrunner import files, record
from spoolrunner.errors import Refused, TryLater
from spoolrunner.executor import Absent, Exit, Launch, Look, Running, joblog
from spoolrunner.executor.cgroup import ControlGroups
from spoolrunner.executor.images import DEFAULT_COMMANDS, PATH, Commands, LocalImages
from spoolrunner.executor.sandbox import LAYERS, WORKSPACE, Sandbox

KEEPER = Path(__file__).with_name("keeper.py")
BEGIN_TIMEOUT_S = 60.0
KILL_TIMEOUT_S = 30.0
RECORD_BYTES = 65536
FOLLOW_S = 0.5


class Started(record.Frozen):
    """The keeper's file `started`."""

    pid: int
    started_at: str
    log: str
    image_id: str


class Status(record.Frozen):
    """The keeper's file `status`."""

    status: int
    reason: str
    started_at: str
    finished_at: str
    image_id: str


R = TypeVar("R", bound=record.Record)


class ProcessExecutor:
    name = "process"

    def __init__(
        self,
        spool8: str,
        *,
        folder: Path,
        commands: Commands = DEFAULT_COMMANDS,
        bubblewrap: str = "bwrap",
    ) -> None:
        """folder: ours alone, made if missing. bubblewrap: the program; "" = do without it."""
        self._prefix = f"sr-{spool8}-"
        self._folder = folder
        self._images = LocalImages(commands)
        self._sandbox = Sandbox(bubblewrap, self._images.programs())
        self._groups = ControlGroups()
        files.make_folder(folder)

    def start(self, launch: Launch) -> None:
        self._check(launch)
        argv = self._images.argv(launch.image, launch.arguments, launch.folder)
        job = self._folder / launch.name
        files.make_folder(job)
        if not (job / "started").exists():
            self._begin(job, launch, argv)

    def look(self, name: str) -> Look:
        job = self._folder / name
        started = _read(job / "started", Started)
        if started is None:
            return Absent()
        # Asked in this order: a status that is written between the two questions is seen.
        alive = _held(job / "lock")
        if ended := _read(job / "status", Status):
            times = (ended.started_at, ended.finished_at)
            return Exit(ended.status, ended.reason, *times, ended.image_id)
        return Running(started.started_at, started.image_id) if alive else Absent()

    def wait(self, name: str, timeout_s: float) -> None:
        """The kernel tells when the keeper ends."""
        with self._keeper(name) as keeper:
            if keeper is not None:
                poller = select.poll()
                poller.register(keeper, select.POLLIN)
                poller.poll(math.ceil(timeout_s * 1000))

    ...
