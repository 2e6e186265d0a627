"""A trace: all that a process changed on a disk, with the data, and what it told the world.

The recorder runs inside the hooked process and takes one call at a time, so that the order in the
trace is the order on the disk. What other programs change (git, keepers, jobs) is looked up when
they have ended, and told as a listing of what lies there then.
"""

import glob
import os
import pickle
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.crash.calls import Call, Make

# Below these, others than us change files.
OF_OTHERS = ("git", "processes", "storage/high_privacy/volumes")


@dataclass(frozen=True)
class Lying:
    """Something as it lies on the disk. content: None for a folder. path: relative to the spool."""

    path: str
    mode: int
    owner: tuple[int, int]
    content: bytes | None


@dataclass(frozen=True)
class Made:
    """A call that was made. lying: what has the path of the call (of a move: the target) now."""

    call: Call
    lying: Lying | None


@dataclass(frozen=True)
class Seen:
    """Everything below a folder, as others left it."""

    folder: str
    lying: list[Lying]


@dataclass(frozen=True)
class Told:
    """witness_bytes: of the executor's record. posts: reports that job-server has taken."""

    witness_bytes: int
    posts: int


Event = Made | Seen | Told


class Tracer:
    """What hooked runs instead of a Recorder."""

    def __init__(self, folder: str, path: str) -> None:
        self._spool = f"{folder}/spool"
        self._witness = f"{folder}/witness/starts"
        self._out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._write = os.write
        self._lock = threading.RLock()
        self._told = Told(-1, 0)
        self._kept: list[str] = []
        self._posts = 0
        self._watch_reports()

    def around(self, call: Call, make: Make) -> Any:
        if not call.paths:
            return self._program(call, make)
        with self._lock:
            self._look_around()
            result = make()
            paths = tuple(os.path.relpath(path, self._spool) for path in call.paths)
            self._put(Made(Call(call.name, paths), lying(self._spool, paths[-1])))
        return result

    def _program(self, call: Call, make: Make) -> Any:
        result = make()
        if call.name.endswith("ended"):
            with self._lock:
                self._tell()
                where = {"git": ("git", OF_OTHERS[2]), "keeper": ("processes",)}
                for folder in where.get(call.name.split()[0], ()):
                    self._see(folder)
        return result

    def _look_around(self) -> None:
        """A keeper that has written how its job ended: the job's files are there."""
        self._tell()
        kept = glob.glob(f"{self._spool}/processes/*/status")
        if kept != self._kept:
            self._kept = kept
            for folder in OF_OTHERS[1:]:
                self._see(folder)

    def _tell(self) -> None:
        size = os.stat(self._witness).st_size if os.path.exists(self._witness) else 0
        told = Told(size, self._posts)
        if told != self._told:
            self._told = told
            self._see("processes")  # a keeper writes down what it does before it does it
            self._put(told)

    def _see(self, folder: str) -> None:
        self._put(Seen(folder, list(all_lying(self._spool, folder))))

    def _put(self, event: Event) -> None:
        self._write(self._out, pickle.dumps(event))

    def _watch_reports(self) -> None:
        from spoolrunner.jobserver import JobServer

        post = JobServer.post

        def counted(server: JobServer, jobs: Any) -> None:
            post(server, jobs)
            self._posts += bool(jobs)

        JobServer.post = counted  # type: ignore[method-assign]


def lying(spool: str, path: str) -> Lying | None:
    full = os.path.join(spool, path)
    try:
        about = os.lstat(full)
    except (FileNotFoundError, NotADirectoryError):
        return None
    content = None
    if stat.S_ISREG(about.st_mode):
        content = Path(full).read_bytes()
    elif not stat.S_ISDIR(about.st_mode):
        return None
    return Lying(path, stat.S_IMODE(about.st_mode), (about.st_uid, about.st_gid), content)


def all_lying(spool: str, folder: str) -> Iterator[Lying]:
    for root, _, names in os.walk(os.path.join(spool, folder)):
        for path in (root, *(os.path.join(root, name) for name in names)):
            if found := lying(spool, os.path.relpath(path, spool)):
                yield found


def read(path: Path) -> list[Event]:
    events = []
    with path.open("rb") as stream:
        while stream.peek(1):
            events.append(pickle.load(stream))
    return events
