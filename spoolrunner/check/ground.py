"""The ground that is looked at, how thoroughly, and the few ways all looks move on it."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from spoolrunner import files, notebook
from spoolrunner.check.kinds import Finding
from spoolrunner.config import Config
from spoolrunner.errors import BadMachine, BadRequest
from spoolrunner.executor import Executor
from spoolrunner.headway import UNHEARD, Headway
from spoolrunner.record import NEWER
from spoolrunner.request import Job, Request
from spoolrunner.runner import clock
from spoolrunner.spool import claims, find
from spoolrunner.spool.rooms import Rooms
from spoolrunner.workspace import Storage

STILL_WRITTEN_S = 60.0


@dataclass
class Ground:
    """executor: makes the one for new jobs. start: raises BadMachine if a runner would not start.
    mend_rooms: what `init` does.

    everything: look at all of history. hashes: read published outputs. looked: how many of what
    were looked at, for the person to see. headway: of all looks together.
    """

    config: Config
    rooms: Rooms
    storage: Storage
    executor: Callable[[], Executor]
    start: Callable[[], object]
    mend_rooms: Callable[[], object]
    everything: bool = False
    hashes: bool = False
    looked: dict[str, int] = field(default_factory=dict)
    headway: Headway = UNHEARD

    @property
    def files_headway(self) -> Headway:
        """Counted are files; but where they are read, which takes nearly all of the time, bytes."""
        return UNHEARD if self.hashes else self.headway

    @property
    def bytes_headway(self) -> Headway:
        return self.headway if self.hashes else UNHEARD

    def active(self) -> list[Request]:
        return find.all_active(self.rooms)

    def active_jobs(self) -> dict[str, tuple[Request, Job]]:
        """Every job of an active request, ended or not, by its identifier."""
        return {job.identifier: (one, job) for one in self.active() for job in one.jobs}

    def count(self, what: str, number: int = 1) -> None:
        self.looked[what] = self.looked.get(what, 0) + number

    def unreadable(self, kind: str, path: Path, error: BadMachine | OSError) -> Finding:
        """Of a file of ours: torn; or of a later version, or kept from us by the disk, and that is
        left alone: it may be as good as ever."""
        if isinstance(error, OSError):
            return Finding("unread_file", str(path), f"It can't be read: {error.strerror}.")
        what = said(path, error)
        if error.kind == NEWER:
            return Finding(NEWER, str(path), what)
        return Finding(kind, str(path), what, self.aside(path, kind, what))

    def aside(self, path: Path, kind: str, why: str) -> Callable[[], object]:
        """The deed of moving something within the spool to rejected/, a file with its notes."""
        reason = BadRequest(why, kind=kind)

        def move() -> None:
            for each in notebook.lying(path) if path.suffix == ".json" else [path]:
                claims.reject(self.rooms, each, each.name, reason, clock.now())

        return move


def said(path: Path, error: BadMachine) -> str:
    """What the error says of the file, without naming it again."""
    return error.message.replace(str(path), "It", 1)


def names(folder: Path) -> list[str]:
    """Sorted; a folder that is not there holds nothing."""
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def days(rooms: Rooms) -> Iterator[Path]:
    """The folders of done/, the newest first."""
    yield from (rooms.done / name for name in reversed(names(rooms.done)) if not hidden(name))


def hidden(name: str) -> bool:
    return name.startswith(".")


def is_draft(name: str) -> bool:
    """What `files` writes beside a file, before it gets its name."""
    return name.startswith(files.DRAFT)


def draft(path: Path) -> Iterator[Finding]:
    """A half-written file that nobody writes any more: it was never acknowledged to anybody."""
    try:
        age_s = time.time() - path.lstat().st_ctime
    except FileNotFoundError:
        return
    if not 0 <= age_s < STILL_WRITTEN_S:
        what = "Its writer was killed before it gave the file its name."
        yield Finding("stray_draft", str(path), what, partial(remove, path))


def remove(path: Path) -> None:
    with files.Changes() as disk:
        disk.remove(path)
