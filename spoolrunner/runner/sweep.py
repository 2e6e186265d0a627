"""The sweep: what a killed runner left of jobs that have ended, finished and cleared away.

A request moves to done/ only after its jobs' lines have ended, so all this can find is the last
step of one: a publication whose request tells of it already, a container and a folder not cleared;
and manifests that lag behind their notes.
In a thread, at start. Which jobs are active is asked of the mover, name by name, at that moment.
"""

import contextlib
import logging
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

from spoolrunner.errors import SpoolrunnerError
from spoolrunner.manifest import Journal
from spoolrunner.runner import orphans
from spoolrunner.runner.house import House
from spoolrunner.workspace import JobFolder, unfinished

log = logging.getLogger(__name__)

Leftover = tuple[str, str, Callable[[], None]]  # job, what it is, how to be rid of it


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
    for notes in sorted(house.storage.high.glob("workspaces/*/metadata/manifest.notes")):
        workspace = notes.parts[-3]
        with _survived(f"manifest of {workspace}"):
            house.workspace(workspace).fold()


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
    for one in orphans.containers(house.executor(house.executor_name)):
        if one.clear:
            yield one.job, f"container {one.name}", one.clear


def _clear_folders(house: House) -> Iterator[Leftover]:
    for one in orphans.folders(house.storage, house.rooms.spool8):
        if one.clear:
            yield one.job, f"folder {one.name}", one.clear


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
