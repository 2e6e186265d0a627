"""The surroundings of the job lines of one study: no spool, no requests on disk, no other studies.

What a run has to remember is in the workspace's index and, while it publishes, in a journal; both
are written by the same code as on a server. All else may be forgotten at any moment: `recover`
clears away whatever an earlier run left, however that ended.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from spoolrunner import beneath, files
from spoolrunner.audit import Event
from spoolrunner.config import Config
from spoolrunner.errors import SpoolrunnerError
from spoolrunner.executor import Executor
from spoolrunner.localrun import engine
from spoolrunner.localrun.home import Home, StudyStorage
from spoolrunner.localrun.study import StudyFolder
from spoolrunner.request import Job, Request
from spoolrunner.runner import clock
from spoolrunner.runner.headways import Headways
from spoolrunner.runner.line import Line
from spoolrunner.runner.reading import Reader
from spoolrunner.workspace import Workspace, unfinished

log = logging.getLogger(__name__)

HEADWAY_EVERY_S = 1.0


@dataclass
class Teller:
    """Tells what lines note; nothing of it is written down."""

    changed: Callable[[Job], None] = lambda job: None

    def note(
        self, request: Request, job: Job, event: Event | None = None, **fields: object
    ) -> None:
        for name, value in fields.items():
            setattr(job, name, value)
        self.changed(job)


@dataclass
class StudyHouse:
    """Surroundings for the lines. debug: containers and job folders are not cleared away."""

    home: Home
    config: Config
    debug: bool = False
    executor_name: str = ""
    book: Teller = field(default_factory=Teller)
    headways: Headways = field(default_factory=lambda: Headways(HEADWAY_EVERY_S))
    storage: StudyStorage = field(init=False)
    studies: StudyFolder = field(init=False)
    reader: Reader = field(init=False)
    _workspace: Workspace = field(init=False)
    _built: dict[str, Executor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.storage = self.home.storage(self.config.job_user, clock.boot_id())
        self.studies = StudyFolder(self.home, self.config)
        self.reader = Reader(self.studies, self.config.allowed_images, dummy=True)
        self._workspace = self.home.workspace(self.storage)

    @property
    def spool8(self) -> str:
        return self.home.spool8

    def executor(self, name: str) -> Executor:
        """From any thread; two made at once would do no harm."""
        if name not in self._built:
            self._built[name] = engine.known(self.home)[name]()
        return self._built[name]

    def use(self, executor: str) -> None:
        """Whoever comes after us must know where to look for what we leave."""
        self.executor_name = executor
        if executor == "docker":
            files.write_flushed(self.home.docker_used, b"", files.PRIVATE_FILE)

    def workspace(self, name: str = "") -> Workspace:
        return self._workspace

    def storage_is_there(self) -> bool:
        return self.home.folder.is_dir()

    def hold(self, job: Job, for_s: float) -> None:
        """A line waits for nothing here: what it needs was looked for before."""

    def recover(self) -> None:
        """Be rid of what is left of an earlier run: end its containers, finish its publications.

        What can't be done now is no reason not to run: names are never used twice.
        """
        for name in self._executors_used():
            with _survived(f"containers of {name}"):
                executor = self.executor(name)
                for container in executor.names():
                    executor.stop(container, 0)
                    executor.clear(container)
        for _, journal in unfinished(self.storage):
            with _survived(f"publication of {journal.made.action}"):
                self._workspace.resume(journal)
        for left in (self.storage.journals, self.storage.jobs):
            self._empty(left)
        self.tidy()

    def tidy(self) -> None:
        """What a server keeps for ever is in the way here: the study has the newest of each. And
        its manifest tells all by itself, whoever reads it next."""
        with _survived("notes of the manifest"):
            if self._workspace.lags:
                self._workspace.fold()
        for folder in (self.storage.high / "logs", self.storage.medium / "workspaces"):
            beneath.remove_tree(folder)

    def _executors_used(self) -> Iterator[str]:
        yield "process"
        if self.home.docker_used.exists():
            yield "docker"

    def _empty(self, folder: Path) -> None:
        for name in os.listdir(folder):
            beneath.remove_tree(folder / name)


class StudyLine(Line):
    """Its remains are kept for --debug."""

    def __init__(
        self,
        house: StudyHouse,
        request: Request,
        job: Job,
        end: Callable[[Line], None],
        ended: Callable[[Line], None],
    ) -> None:
        super().__init__(house, request, job, end, ended)
        self._debug = house.debug

    def _clear_away(self) -> None:
        if not self._debug:
            super()._clear_away()


@contextlib.contextmanager
def _survived(what: str) -> Iterator[None]:
    try:
        yield
    except (SpoolrunnerError, OSError) as error:
        log.warning("not cleared away: %s: %s", what, error)
