"""Control groups: the kernel's limits for a job as a whole, made by hand where we may write them.

One group for each job, called by the container's name, beneath `spoolrunner` at the top of the
hierarchy: not beneath our own, because a service manager kills what lies there when it restarts us,
and a job outlives its runner. Version 1 has a hierarchy for each controller, version 2 one for all.
Nothing here is a disk, so these changes do not go through `files`.
Knows: errors, executor.
"""

import contextlib
import errno
import functools
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spoolrunner.errors import TryLater
from spoolrunner.executor import Limits

HIERARCHY = Path("/sys/fs/cgroup")
OURS = "spoolrunner"
CONTROLLERS = ("memory", "pids", "cpu")
CPU_PERIOD_US = 100_000
REMOVE_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Group:
    """Files of one job's group. join: a process that writes 0 to each is in; "" = not there."""

    join: tuple[str, ...]
    oom_events: str
    pids_max: str
    memory_peak: str


class ControlGroups:
    def __init__(self, hierarchy: Path = HIERARCHY) -> None:
        self._hierarchy = hierarchy
        self._unified = (hierarchy / "cgroup.controllers").exists()

    @functools.cached_property
    def controllers(self) -> frozenset[str]:
        """Those that can be used here: each was tried by making a group and setting a limit.

        Raises TryLater if that can't be tried now.
        """
        return frozenset(name for name in CONTROLLERS if self._works(name))

    def make(self, name: str, limits: Limits) -> Group:
        """Make the job's group and set its limits; fine if it is there. Raises TryLater."""
        try:
            for controller in self.controllers:
                folder = self._folder(controller, name)
                folder.mkdir(parents=True, exist_ok=True)
                for file, value in self._settings(controller, limits):
                    (folder / file).write_text(value)
        except OSError as error:
            raise TryLater("A job's control group could not be made.", detail=str(error)) from error
        return self._group(name)

    def remove(self, name: str) -> None:
        """Kill whatever is left in it and remove it. Raises TryLater if that takes too long."""
        deadline = time.monotonic() + REMOVE_TIMEOUT_S
        while remaining := [folder for folder in self._folders(name) if not _removed(folder)]:
            for folder in remaining:
                _kill_members(folder)
            if time.monotonic() > deadline:
                raise TryLater("A job's processes do not end although they were killed.")
            time.sleep(0.01)  # nothing tells when a group's last process is gone for good

    def _works(self, controller: str) -> bool:
        probe = f".probe-{os.getpid()}"
        folder = self._folder(controller, probe)
        tiny = Limits(cpus=1, memory_bytes=1 << 30, pids=64)
        try:
            self._enable(controller)
            folder.mkdir(parents=True, exist_ok=True)
            for file, value in self._settings(controller, tiny):
                (folder / file).write_text(value)
            folder.rmdir()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):  # our own trouble
                raise TryLater("Control groups can't be tried now.", detail=str(error)) from error
            return False
        return True

    def _enable(self, controller: str) -> None:
        """Version 2 only: a group has those controllers that each group above it passes on."""
        if not self._unified:
            return
        (self._hierarchy / OURS).mkdir(exist_ok=True)
        for folder in (self._hierarchy, self._hierarchy / OURS):
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")

    def _folder(self, controller: str, name: str) -> Path:
        above = self._hierarchy if self._unified else self._hierarchy / controller
        return above / OURS / name

    def _folders(self, name: str) -> list[Path]:
        every = {self._folder(controller, name): None for controller in CONTROLLERS}
        return [folder for folder in every if folder.exists()]

    def _group(self, name: str) -> Group:
        used = {controller: self._folder(controller, name) for controller in self.controllers}
        events = "memory.events" if self._unified else "memory.oom_control"
        peak = "memory.peak" if self._unified else "memory.max_usage_in_bytes"
        return Group(
            join=tuple(sorted({str(folder / "cgroup.procs") for folder in used.values()})),
            oom_events=str(used["memory"] / events) if "memory" in used else "",
            pids_max=str(used["pids"] / "pids.max") if "pids" in used else "",
            memory_peak=str(used["memory"] / peak) if "memory" in used else "",
        )

    def _settings(self, controller: str, limits: Limits) -> Iterator[tuple[str, str]]:
        """Which file gets which value. Swap counts as memory, as in `docker run --memory-swap`."""
        if controller == "memory" and limits.memory_bytes:
            yield from self._memory(str(limits.memory_bytes))
        elif controller == "pids" and limits.pids:
            yield "pids.max", str(limits.pids)
        elif controller == "cpu" and limits.cpus:
            quota_us = round(limits.cpus * CPU_PERIOD_US)
            if self._unified:
                yield "cpu.max", f"{quota_us} {CPU_PERIOD_US}"
            else:
                yield "cpu.cfs_quota_us", str(quota_us)

    def _memory(self, size_bytes: str) -> Iterator[tuple[str, str]]:
        if self._unified:
            yield "memory.max", size_bytes
            yield "memory.swap.max", "0"
        else:
            yield "memory.limit_in_bytes", size_bytes
            if (self._hierarchy / "memory" / "memory.memsw.limit_in_bytes").exists():
                yield "memory.memsw.limit_in_bytes", size_bytes


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _kill_members(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        for pid in (folder / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
