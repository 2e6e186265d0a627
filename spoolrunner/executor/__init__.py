"""The executor contract: begin a container once, look at it, stop it, clear it away.

An executor knows nothing of projects, privacy or requests: it is given a Launch and a name.
`sr-SPOOL8-JOBID-ATTEMPT` is the name, so whoever restarts finds the same container again.
One suite (tests/executor/) runs against every executor. Knows: errors, files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

RESTARTED = "executor_restarted"
UNPREPARED = "unprepared"


@dataclass(frozen=True)
class Limits:
    """0 means no limit."""

    cpus: float = 0
    memory_bytes: int = 0
    pids: int = 0
    log_bytes: int = 0


@dataclass(frozen=True)
class Launch:
    """All an executor needs to begin one attempt of one job.

    image: as the engine knows it, e.g. ghcr.io/opensafely-core/python:v2, or its id.
    arguments: what follows the image on its command line (the image has its own entry point).
    environment: may hold secrets; never put it on a command line, never log it.
    folder: a folder of the host, the job sees it as /workspace, writable, its working directory.
    log: the file to which `save_log` and the process executor write (outside of folder).
    network: the name of the engine's network, or "" for none at all.
    hosts: names the job may resolve -> addresses (with a network only).
    user: (uid, gid) of the job.
    writable_root: may it write in the image's own folders? Else only in /workspace and /tmp.
    strict: what can't be enforced must be refused (real data); else it may be left out with
        a warning by `shortcomings`.
    """

    name: str
    image: str
    arguments: tuple[str, ...]
    folder: Path
    log: Path
    user: tuple[int, int]
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()
    network: str = ""
    hosts: Mapping[str, str] = field(default_factory=dict)
    writable_root: bool = False
    strict: bool = True


@dataclass(frozen=True)
class Running:
    """It has been started and has not ended. started_at: ISO 8601 UTC with Z."""

    started_at: str
    image_id: str = ""


@dataclass(frozen=True)
class Used:
    """What it used from its start to its end. None: the kernel did not tell.

    cpu_s: processor time; not of a daemon that ended with its sandbox. memory_peak_bytes: the most
    that it held at once, with the files that the kernel kept in memory for it. read_bytes,
    written_bytes: from and to disks.
    """

    cpu_s: float | None = None
    memory_peak_bytes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None


@dataclass(frozen=True)
class Exit:
    """It has ended and nothing of it runs any more.

    status: exit status, 128 + signal if a signal ended it. reason: "", "out_of_memory", or
    RESTARTED: not the job's own end, the executor's restart took it along; or UNPREPARED: the
    executor failed before anything of the job ran.
    started_at, finished_at: ISO 8601 UTC with Z, by the executor's clock.
    """

    status: int
    reason: str
    started_at: str
    finished_at: str
    image_id: str = ""
    used: Used = Used()


@dataclass(frozen=True)
class Absent:
    """There is no such container; it never was started, or somebody removed it."""


@dataclass(frozen=True)
class Image:
    """An image that is here. built_at: ISO 8601 UTC with Z, "" if that is not known."""

    id: str
    built_at: str = ""


Look = Running | Exit | Absent


@dataclass(frozen=True)
class Usage:
    """What a running job uses. cpu_s: processor time since it began. pids: with its threads."""

    cpu_s: float
    memory_bytes: int
    pids: int


@dataclass(frozen=True)
class Process:
    """A job's first process, as the machine that runs it sees it."""

    pid: int
    argv: tuple[str, ...]


class Images(Protocol):
    """Nothing is ever pulled."""

    def find(self, image: str) -> Image | None:
        """None: it is not here."""


class Executor(Protocol):
    """Every method may be called from any thread and is safe to repeat.

    All but `wait` raise TryLater if the executor does not answer within its time limit; that is
    never the same as Absent. Names are checked by the caller.
    """

    name: str  # "docker", "process": recorded with the attempt, and asked only there

    def start(self, launch: Launch) -> None:
        """Begin it. The same name twice is started once.

        Raises Refused for what it can't enforce or can't find (kind "no_image" names the image;
        kind "cannot_start" when the engine says the command can't be begun: nothing is left then).
        """

    def look(self, name: str) -> Look:
        """What is true now. A container that was made but never began counts as Absent."""

    def wait(self, name: str, timeout_s: float) -> None:
        """Return when it may have ended, or after timeout_s. A hint: always look afterwards."""

    def stop(self, name: str, grace_s: float) -> None:
        """It no longer runs when this returns: asked first, killed after grace_s."""

    def usage(self, name: str) -> Usage | None:
        """What it uses now; None if it does not run, or that can't be known."""

    def process(self, name: str) -> Process | None:
        """Its first process; None if it does not run."""

    def said_bytes(self, name: str) -> int:
        """How much it has said so far, what was cut out included; at least that."""

    def save_log(self, name: str, path: Path, limit_bytes: int) -> None:
        """Write what it said to path, at most limit_bytes: head and tail, saying what was cut."""

    def follow_log(self, name: str, follow: bool) -> Iterator[bytes]:
        """What it has said so far, and with follow what it says until it ends."""

    def clear(self, name: str) -> None:
        """No trace left; clearing nothing is fine."""

    def names(self) -> list[str]:
        """Every container of this spool that the executor knows, running or not."""

    @property
    def images(self) -> Images:
        """Which images are here."""

    def image_id(self, image: str) -> str:
        """The id of a local image, or "" if it is not here. Nothing is ever pulled."""

    def runtimes(self, registry: str) -> set[str]:
        """Names, without tags, of the images of this registry that are here."""

    def shortcomings(self) -> list[str]:
        """What it can't enforce here, one sentence each; empty when everything holds."""
