"""The sweep: what a killed runner left of jobs that have ended, finished and cleared away.

A request moves to done/ only after its jobs' lines have ended, so all this can find is the last
step of one: a publication whose request tells of it already, a container and a folder not cleared.
In a thread, at start. Which jobs are active is asked of the mover, name by name, at that moment.
"""

import logging
import os
from pathlib import Path

from spoolrunner.errors import SpoolrunnerError
from spoolrunner.runner.book import Stopping
from spoolrunner.runner.house import House
from spoolrunner.workspace import JobFolder, unfinished

log = logging.getLogger(__name__)


def sweep(house: House) -> None:
    """Never fails: what can't be cleared now is found again at the next start."""
    for deed in (_finish_publishing, _clear_containers, _clear_folders):
        try:
            deed(house)
        except Stopping:
            return
        except (SpoolrunnerError, OSError) as error:
            log.warning("sweeping: %s: %s", deed.__name__, error)


def _finish_publishing(house: House) -> None:
    for _, journal in unfinished(house.storage):
        if not _is_active(house, journal.made.job):
            workspace = house.workspace(journal.made.workspace)
            workspace.publish(JobFolder(Path(journal.job_folder)), journal.made, journal.outcome)
            workspace.finish(journal.made.action, journal.made.job)
            log.info("job=%s publication finished", journal.made.job)


def _clear_containers(house: House) -> None:
    executor = house.executor(house.executor_name)
    for name in executor.names():
        if not _is_active(house, _job_of(name)):
            executor.clear(name)
            log.info("container=%s cleared: its job has ended", name)


def _clear_folders(house: House) -> None:
    prefix = f"sr-{house.rooms.spool8}-"
    for name in sorted(os.listdir(house.storage.jobs)):
        if name.startswith(prefix) and not _is_active(house, _job_of(name)):
            house.storage.clear(name.removesuffix(".part"))
            log.info("folder=%s cleared: its job has ended", name)


def _job_of(name: str) -> str:
    """The job's identifier in sr-SPOOL8-JOBID-ATTEMPT[.part]."""
    return name.split("-")[2]


def _is_active(house: House, job: str) -> bool:
    answer: list[bool] = []
    house.book.tell(lambda: answer.append(house.book.has_job(job)))
    return answer[0]
