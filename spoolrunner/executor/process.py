"""The process executor: a job is a process of this machine, kept by a keeper that outlives us.

For machines without an engine. Each name has a folder, written by its keeper (kept, keeper);
nothing is held in memory. bubblewrap isolates where it can (sandbox), control groups limit where
they can (cgroup); what can't be enforced is refused, or left out and told where that is allowed.
Knows: errors, files, and of this package cgroup, images, joblog, kept, sandbox.
"""

import contextlib
import io
import json
import math
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from spoolrunner import files
from spoolrunner.errors import Refused, TryLater
from spoolrunner.executor import (
    Absent,
    Launch,
    Limits,
    Look,
    Process,
    Running,
    Usage,
    joblog,
)
from spoolrunner.executor.cgroup import ControlGroups
from spoolrunner.executor.images import DEFAULT_COMMANDS, PATH, Commands, LocalImages
from spoolrunner.executor.kept import KeptJob
from spoolrunner.executor.process_stats import Processes, first_below
from spoolrunner.executor.sandbox import LAYERS, Sandbox, become

FOLLOW_S = 0.5


class ProcessExecutor:
    """Implements the Executor protocol. Several may share a folder, in any process and thread."""

    name = "process"

    def __init__(
        self,
        spool8: str,
        *,
        folder: Path,
        commands: Commands = DEFAULT_COMMANDS,
        bubblewrap: str = "bwrap",
    ) -> None:
        """folder: ours alone, made if missing. bubblewrap: the program's name, "" = do without."""
        self._prefix = f"sr-{spool8}-"
        self._folder = folder
        self._images = LocalImages(commands)
        self._sandbox = Sandbox(bubblewrap, self._images.programs())
        self._groups = ControlGroups()
        self._processes = Processes()
        files.make_folder(folder)

    def start(self, launch: Launch) -> None:
        argv = self._images.argv(launch.image, launch.arguments, launch.folder)
        if launch.strict and (lacking := self._lacking(launch)):
            raise Refused(
                f"The process executor can't guarantee {' and '.join(lacking)}.",
                kind="cannot_enforce",
                hint="Use EXECUTOR=docker, or see `spoolrunner check` for what this machine lacks.",
            )
        self._check_is_there()
        files.make_folder(self._folder / launch.name)
        job = self._job(launch.name)
        if job.started is None:
            with contextlib.ExitStack() as memory:
                argv, descriptors = self._wrapped(launch, argv, memory)
                told = self._description(launch, argv) | {"sandbox": descriptors[:1]}
                job.begin(json.dumps(told), descriptors)

    def look(self, name: str) -> Look:
        found = self._job(name).look()
        if isinstance(found, Absent):
            self._check_is_there()
        return found

    def wait(self, name: str, timeout_s: float) -> None:
        self._job(name).wait(timeout_s)

    def stop(self, name: str, grace_s: float) -> None:
        self._job(name).stop(grace_s)
        self._groups.remove(name)  # with whatever a keeper that was killed left behind

    def usage(self, name: str) -> Usage | None:
        job = self._job(name)
        alive = isinstance(job.look(), Running)
        return self._processes.usage(job.started.pid) if alive and job.started else None

    def process(self, name: str) -> Process | None:
        job = self._job(name)
        alive = isinstance(job.look(), Running)
        return first_below(job.started.pid) if alive and job.started else None

    def said_bytes(self, name: str) -> int:
        """Its log only grows: what was cut out is a hole in it."""
        with contextlib.suppress(FileNotFoundError):
            if started := self._job(name).started:
                return os.stat(started.log).st_size
        return 0

    def save_log(self, name: str, path: Path, limit_bytes: int) -> None:
        if started := self._job(name).started:
            with contextlib.suppress(FileNotFoundError):  # a power cut took it
                joblog.save(Path(started.log), path, limit_bytes)

    def follow_log(self, name: str, follow: bool) -> Iterator[bytes]:
        started = self._job(name).started
        if started is None:
            return
        with io.FileIO(started.log) as log:
            alive = True
            while alive:
                alive = follow and isinstance(self.look(name), Running)
                yield from joblog.unread(log)
                if alive:
                    self.wait(name, FOLLOW_S)

    def clear(self, name: str) -> None:
        self._check_is_there()
        if (self._folder / name).exists():
            self.stop(name, 0)
            self._job(name).forget()

    def names(self) -> list[str]:
        return sorted(name for name in os.listdir(self._folder) if name.startswith(self._prefix))

    @property
    def images(self) -> LocalImages:
        return self._images

    def image_id(self, image: str) -> str:
        return self._images.image_id(image)

    def runtimes(self, registry: str) -> set[str]:
        """Of any registry: programs of this machine stand for all."""
        return self._images.runtimes()

    def shortcomings(self) -> list[str]:
        can = self._groups.controllers
        told = {
            "A job can't be given a database's network.": False,
            "Jobs can use the network, see this machine's files and each other, and have no "
            "/workspace (their user must be able to reach their folder where it is): bubblewrap is "
            "missing or may not be used.": self._sandbox.usable,
            "Memory is limited for each process of a job, not for the whole job.": "memory" in can,
            "Processes are counted for each user, not for each job.": "pids" in can,
            "A job can take more CPUs than its share if it wants to.": "cpu" in can,
        }
        return [sentence for sentence, holds in told.items() if not holds]

    def _check_is_there(self) -> None:
        """Raises TryLater. A disk that is away must not look like jobs that are gone: those would
        be started again."""
        if not self._folder.is_dir():
            raise TryLater("The spool is away.", kind="spool_away", detail=str(self._folder))

    def _job(self, name: str) -> KeptJob:
        return KeptJob(self._folder / name)

    def _lacking(self, launch: Launch) -> list[str]:
        """What this launch asks for and this machine can't enforce, in words for people."""
        can, limits, own = self._groups.controllers, launch.limits, (os.geteuid(), os.getegid())
        told = {
            "that a job has no network": self._sandbox.usable,
            f"the network {launch.network}": not launch.network,
            "the memory limit": "memory" in can or not limits.memory_bytes,
            "the limit of processes": "pids" in can or not limits.pids,
            "the CPU limit": "cpu" in can or not limits.cpus,
            "another user than the runner's": own[0] == 0 or launch.user == own,
        }
        return [guarantee for guarantee, holds in told.items() if not holds]

    def _wrapped(
        self, launch: Launch, argv: Sequence[str], memory: contextlib.ExitStack
    ) -> tuple[list[str], list[int]]:
        """The command within the sandbox, and the open descriptors that it mentions: first, if
        there is a sandbox, the one into which that tells how the command ended."""
        if not self._sandbox.usable:
            return become(launch.user, argv), []
        uid, gid = launch.user
        made_up = {
            "/etc/passwd": _in_memory(f"job:x:{uid}:{gid}::/tmp:/bin/sh\n", memory),
            "/etc/group": _in_memory(f"job:x:{gid}:\n", memory),
        }
        said = _in_memory("", memory)
        words = self._sandbox.options(launch.folder, made_up, said)
        options = _in_memory("".join(f"{word}\0" for word in words), memory)
        return self._sandbox.argv(options, launch.user, argv), [said, options, *made_up.values()]

    def _description(self, launch: Launch, argv: list[str]) -> dict[str, Any]:
        """All that the keeper is told, secrets in the environment included."""
        layers = LAYERS if self._sandbox.usable else 0
        limits = launch.limits
        pids = limits.pids and limits.pids + layers
        group = self._groups.make(launch.name, replace(limits, pids=pids))
        return {
            "argv": argv,
            "environment": {"PATH": PATH, "HOME": "/tmp", "LANG": "C.UTF-8", **launch.environment},
            "cwd": str(launch.folder),
            "owner": launch.user if os.geteuid() == 0 else None,
            "layers": layers,
            "image_id": self._images.image_id(launch.image),
            "log": str(launch.log),
            "log_bytes": limits.log_bytes,
            "rlimits": self._rlimits(limits),
            "cpus": self._cpus(limits),
            "join": group.join,
            "oom_events": group.oom_events,
            "pids_max": group.pids_max,
            "memory_peak": group.memory_peak,
        }

    def _rlimits(self, limits: Limits) -> dict[str, int]:
        """No core dumps (they hold patients' data), and what has to do where no group limits."""
        found = {"RLIMIT_CORE": 0}
        if limits.memory_bytes and "memory" not in self._groups.controllers:
            found["RLIMIT_AS"] = limits.memory_bytes
        if limits.pids and "pids" not in self._groups.controllers:
            found["RLIMIT_NPROC"] = limits.pids
        return found

    def _cpus(self, limits: Limits) -> list[int]:
        """Some CPUs at random where no group gives each job its share; [] = any."""
        here = sorted(os.sched_getaffinity(0))
        wanted = math.ceil(limits.cpus)
        if "cpu" in self._groups.controllers or not 0 < wanted < len(here):
            return []
        return random.sample(here, wanted)


def _in_memory(text: str, memory: contextlib.ExitStack) -> int:
    """A descriptor from which text can be read once; it never touches a disk."""
    descriptor = os.memfd_create("spoolrunner")
    memory.callback(os.close, descriptor)
    files.write_all(descriptor, os.fsencode(text))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
