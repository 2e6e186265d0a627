"""The surroundings of a job line: all it needs to know of whoever drives it.

The service's house is one; a study's folder on a researcher's machine (localrun) is another.
"""

from typing import Protocol

from spoolrunner.audit import Event
from spoolrunner.checkout import Studies
from spoolrunner.config import Config
from spoolrunner.executor import Executor
from spoolrunner.request import Job, Request
from spoolrunner.runner.headways import Headways
from spoolrunner.runner.reading import Reader
from spoolrunner.workspace import Storage, Workspace


class Notes(Protocol):
    """Where it is noted how far a job has got."""

    def note(
        self, request: Request, job: Job, event: Event | None = None, **fields: object
    ) -> None:
        """Change fields of a job; what is noted outlives whoever noted it, as far as is needed.

        event: what is to stand in the audit, where there is one, before anything follows from it.
        """


class Surroundings(Protocol):
    """spool8: stands in every container's name. See House for the rest."""

    @property
    def config(self) -> Config: ...

    @property
    def storage(self) -> Storage: ...

    @property
    def studies(self) -> Studies: ...

    @property
    def reader(self) -> Reader: ...

    @property
    def book(self) -> Notes: ...

    @property
    def headways(self) -> Headways: ...

    @property
    def spool8(self) -> str: ...

    @property
    def executor_name(self) -> str: ...

    def executor(self, name: str) -> Executor: ...

    def workspace(self, name: str) -> Workspace: ...

    def storage_is_there(self) -> bool: ...

    def hold(self, job: Job, for_s: float) -> None: ...
