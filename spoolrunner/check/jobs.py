"""Jobs: does every container, every job folder and every unfinished publication belong to one?

The next start of a runner clears the same away (runner/sweep.py); here it is said first.
"""

from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

from spoolrunner.check.ground import Ground, draft, is_draft, names, said
from spoolrunner.check.kinds import Finding
from spoolrunner.drop import folder_name
from spoolrunner.errors import BadMachine, SpoolrunnerError
from spoolrunner.executor import Executor
from spoolrunner.manifest import Journal
from spoolrunner.record import NEWER
from spoolrunner.request import Job, Phase, attempt_name
from spoolrunner.runner import clock, orphans
from spoolrunner.spool import registry
from spoolrunner.workspace import Workspace, read_journal


def jobs(ground: Ground) -> Iterator[Finding]:
    yield from _publications(ground)
    yield from _containers(ground)
    yield from _folders(ground)


def _publications(ground: Ground) -> Iterator[Finding]:
    active = ground.active_jobs()
    for folder in names(ground.storage.journals):
        for name in names(ground.storage.journals / folder):
            path = ground.storage.journals / folder / name
            if is_draft(name):
                yield from draft(path)
            else:
                ground.count("publications")
                yield from _publication(ground, path, active)


def _publication(ground: Ground, path: Path, active: Collection[str]) -> Iterator[Finding]:
    try:
        journal = read_journal(path)
    except BadMachine as error:
        if error.kind == NEWER:
            yield Finding(NEWER, str(path), said(path, error))
        else:
            mend = partial(ground.storage.set_aside, path, clock.now())
            yield Finding("torn_file", str(path), said(path, error), mend)
        return
    if journal is None or journal.made.job in active:
        return
    what = f"The job {journal.made.job} of {journal.made.request} is not active any more."
    mend = partial(_finish, ground, journal)
    yield Finding("unfinished_publication", str(path), what, mend)


def _finish(ground: Ground, journal: Journal) -> None:
    name = journal.made.workspace
    index = registry.path_of(ground.rooms, name)
    Workspace(ground.storage, folder_name(name), index).resume(journal)


def _containers(ground: Ground) -> Iterator[Finding]:
    try:
        executor = ground.executor()
        found = list(orphans.containers(executor))
    except SpoolrunnerError:
        return  # fit() has said that it does not answer
    ground.count("containers", len(found))
    active = ground.active_jobs()
    for one in found:
        if one.job not in active:
            what = f"No active request has the job {one.job}."
            yield Finding("container_without_job", one.name, what, one.clear)
    yield from _lost(ground, executor, {one.name for one in found})


def _lost(ground: Ground, executor: Executor, found: set[str]) -> Iterator[Finding]:
    for request, job in ground.active_jobs().values():
        name = attempt_name(ground.rooms.spool8, job.identifier, job.attempt)
        if _runs(job, executor) and name not in found:
            what = f"The job {job.action!r} of {request.identifier} is lost; it is started again."
            yield Finding("job_without_container", name, what)


def _runs(job: Job, executor: Executor) -> bool:
    return job.active and job.phase is Phase.STARTED and job.executor == executor.name


def _folders(ground: Ground) -> Iterator[Finding]:
    if not ground.storage.jobs.is_dir():
        return  # fit() has said so
    active = ground.active_jobs()
    for one in orphans.folders(ground.storage, ground.rooms.spool8):
        ground.count("job folders")
        if one.job not in active:
            what = f"No active request has the job {one.job}."
            where = str(ground.storage.jobs / one.name)
            yield Finding("folder_without_job", where, what, one.clear)
