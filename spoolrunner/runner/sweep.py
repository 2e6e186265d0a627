"""The sweep: what a killed runner left of jobs that have ended, finished and cleared away.

A request moves to done/ only after its jobs' lines have ended, so all this can find is the last
step of one: a publication whose request tells of it already, a container and a folder not cleared.
In a thread, at start. Which jobs are active is asked of the mover, name by name, at that moment.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

from spoolrunner.errors import SpoolrunnerError
from spoolrunner.manifest import Journal
from spoolrunner.runner.house import House
from spoolrunner.workspace import JobFolder, unfinished

log = logging.getLogger(__name__)

Leftover = tuple[str, str, Callable[[], None]]  # job, what it is, how to be rid of it


class Sweep:
    """busy: not done yet. A drain waits for it: else cron would leave a dead job's files for ever."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.busy = False

    def begin(self, ended: Collection[str]) -> None:
        self.busy = True
        self._house.stoppers.do(lambda: self._run(ended))

    def _run(self, ended: Collection[str]) -> None:
        """In a thread."""
        try:
            sweep(self._house, ended)
        finally:
            self.busy = False
            self._house.wake.set()


def sweep(house: House, ended: Collection[str]) -> None:
    """Never fails: what can't be cleared now is found again at the next start.

    ended: jobs of active requests that had ended when this runner started: nobody is at these.
    """
    for deed in (_finish_publishing, _clear_containers, _clear_folders):
        with _survived(deed.__name__):
            for job, what, finish in deed(house):
                with _survived(what):
                    if job in ended or not _is_active(house, job):
                        finish()
                        log.info("swept: %s", what)


def _finish_publishing(house: House) -> Iterator[Leftover]:
    for _, journal in unfinished(house.storage):
        yield (
            journal.made.job,
            f"publication of {journal.made.job}",
            partial(_finish, house, journal),
        )


def _finish(house: House, journal: Journal) -> None:
    workspace = house.workspace(journal.made.workspace)
    workspace.publish(JobFolder(Path(journal.job_folder)), journal.made, journal.outcome)
    workspace.finish(journal.made.action, journal.made.job)


def _clear_containers(house: House) -> Iterator[Leftover]:
    executor = house.executor(house.executor_name)
    for name in executor.names():
        yield _job_of(name), f"container {name}", partial(executor.clear, name)


def _clear_folders(house: House) -> Iterator[Leftover]:
    prefix = f"sr-{house.rooms.spool8}-"
    for name in sorted(os.listdir(house.storage.jobs)):
        if name.startswith(prefix):
            clear = partial(house.storage.clear, name.removesuffix(".part"))
            yield _job_of(name), f"folder {name}", clear


def _job_of(name: str) -> str:
    """The job's identifier in sr-SPOOL8-JOBID-ATTEMPT[.part]."""
    return name.split("-")[2]


def _is_active(house: House, job: str) -> bool:
    answer: list[bool] = []
    house.book.tell(lambda: answer.append(house.book.has_job(job)))
    return answer[0]


@contextlib.contextmanager
def _survived(what: str) -> Iterator[None]:
    """One thing that can't be cleared is no reason to leave the others."""
    try:
        yield
    except (SpoolrunnerError, OSError) as error:
        log.warning("not swept: %s: %s", what, error)
