"""The house: what the runner is built from, and whether work may go on at all."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spoolrunner import drop
from spoolrunner.checkout import Studies
from spoolrunner.config import Config
from spoolrunner.errors import BadMachine
from spoolrunner.executor import Executor
from spoolrunner.request import Code, Job, Request
from spoolrunner.runner import holds, jobs
from spoolrunner.runner.book import Book
from spoolrunner.runner.crew import Crew
from spoolrunner.runner.headways import Headways
from spoolrunner.runner.heart import Heart
from spoolrunner.runner.metrics import Metrics
from spoolrunner.runner.reading import Reader
from spoolrunner.runner.reporting import Reporter
from spoolrunner.spool import registry
from spoolrunner.spool.audit import Trail
from spoolrunner.spool.flags import Flags
from spoolrunner.spool.requests import Requests
from spoolrunner.spool.rooms import Rooms
from spoolrunner.wake import Wake
from spoolrunner.workspace import Storage, Workspace

HEADWAY_EVERY_S = 2.0
READERS = 4
STOPPERS = 8
MIN_FREE_FILES = 1000  # a study has hundreds, each laid out for each of its jobs


@dataclass
class House:
    """executors: name -> how to get it; the first is used for new jobs."""

    config: Config
    rooms: Rooms
    storage: Storage
    studies: Studies
    executors: dict[str, Callable[[], Executor]]
    wake: Wake = field(default_factory=Wake)
    book: Book = field(init=False)
    reporter: Reporter = field(init=False)
    heart: Heart = field(init=False)
    headways: Headways = field(init=False)
    reader: Reader = field(init=False)
    readers: Crew = field(init=False)
    stoppers: Crew = field(init=False)
    _holds_s: dict[str, float] = field(default_factory=dict)
    _built: dict[str, Executor] = field(default_factory=dict)
    _workspaces: dict[str, Workspace] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        store = Requests(self.rooms)
        self.reporter = Reporter(self.rooms, self.config.report_outputs, store.next_sequence)
        if self.config.reports != "none":
            store.report = self.reporter.put
        self.book = Book(store, Trail(self.rooms), self.wake.set)
        self.headways = Headways(HEADWAY_EVERY_S)
        self.headways.changed = lambda job: self.wake.set()
        self.heart = Heart(
            self.rooms, self.book, self.config.backend, self._metrics(), self.headways
        )
        self.reader = Reader(self.studies, self.config.allowed_images, dummy=self.config.dummy_data)
        self.readers = Crew("reader", READERS)
        self.stoppers = Crew("stopper", STOPPERS)

    def _metrics(self) -> Metrics | None:
        if self.config.metrics_file is None:
            return None
        disks = {"spool": self.rooms.folder, "high": self.storage.high}
        return Metrics(
            self.config.metrics_file, self.rooms, {**disks, "medium": self.storage.medium}
        )

    @property
    def spool8(self) -> str:
        return self.rooms.spool8

    @property
    def executor_name(self) -> str:
        return next(iter(self.executors))

    def executor(self, name: str) -> Executor:
        """The executor an attempt was started with, and no other. Raises BadMachine."""
        with self._lock:
            if name not in self._built:
                if name not in self.executors:
                    raise BadMachine(
                        f"There is no executor {name!r} here, but a job runs under it.",
                        kind="no_executor",
                    )
                self._built[name] = self.executors[name]()
            return self._built[name]

    def workspace(self, name: str) -> Workspace:
        """The long-term files of a known workspace: one object for each, for all threads."""
        folder = drop.folder_name(name)
        with self._lock:
            if folder not in self._workspaces:
                path = registry.path_of(self.rooms, name)
                self._workspaces[folder] = Workspace(self.storage, folder, path)
            return self._workspaces[folder]

    def remember_unrun(self, batch: Sequence[tuple[Request, Job]]) -> None:
        """Jobs of one workspace that failed without running are their actions' newest runs all the
        same: whoever needs the action next has it run again (reference 4.5). In a thread."""
        runs = {job.action: jobs.run_of(request, job) for request, job in batch}
        self.workspace(batch[0][0].workspace.name).note(runs)

    def watch(self) -> None:
        """Be woken by drops and orders; safe to repeat, and repeated for folders replaced."""
        control = self.rooms.control
        self.wake.watch([self.rooms.inbox, control, control / "cancel", control / "kill"])

    def held_back(self, now: Flags) -> tuple[Code, str] | None:
        """Why no job may start now, or None."""
        if held := holds.of_all(now):
            return held, holds.MESSAGES[held]
        if not self.storage_is_there():
            return Code.WAITING_ON_DISK, "Waiting for the server's storage, which is not there."
        if not self.disk_is_free():
            return Code.WAITING_ON_DISK, "Waiting for free space on the server's disk."
        return None

    def storage_is_there(self) -> bool:
        """A disk that is not mounted looks like an empty folder: nothing may be made of that."""
        try:
            self.storage.check(real_data=not self.config.dummy_data)
        except BadMachine:
            return False
        return True

    def disk_is_free(self) -> bool:
        """Is there MIN_FREE_DISK on all filesystems that we write to, and files to be had?"""
        folders = (self.rooms.folder, self.storage.high, self.storage.medium)
        try:
            return all(_has_room(folder, self.config.min_free_disk_bytes) for folder in folders)
        except FileNotFoundError:
            return False

    def hold(self, job: Job, for_s: float) -> None:
        """Do not start it again before that. From any thread."""
        with self._lock:
            self._holds_s[job.identifier] = time.monotonic() + for_s

    def end_holds(self) -> None:
        """Somebody says that things have changed, such as images that were loaded."""
        with self._lock:
            self._holds_s.clear()

    def is_held(self, job: Job) -> bool:
        return self._holds_s.get(job.identifier, 0) > time.monotonic()

    def holds_due_s(self) -> list[float]:
        """In how many seconds each hold ends; those that have ended are forgotten."""
        now_s = time.monotonic()
        with self._lock:
            self._holds_s = {job: end for job, end in self._holds_s.items() if end > now_s}
            return [end_s - now_s for end_s in self._holds_s.values()]


def _has_room(folder: Path, least_bytes: int) -> bool:
    """A filesystem that makes files as it needs them (btrfs) says that it has none at all."""
    about = os.statvfs(folder)
    has_files = not about.f_files or about.f_favail >= MIN_FREE_FILES
    return has_files and about.f_bavail * about.f_frsize >= least_bytes
