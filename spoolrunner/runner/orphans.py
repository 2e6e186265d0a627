"""Orphans: containers and job folders without a job, and jobs whose container is gone.

A job is in running/ before it has a container, so what is found here and not there is nobody's.
Containers without this spool's label are never looked at.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from spoolrunner.executor import Absent, Executor
from spoolrunner.request import Phase, Request, attempt_name, attempt_prefix, job_of
from spoolrunner.workspace import Storage


@dataclass(frozen=True)
class Orphan:
    """clear: how to be rid of it; None for a job, which the next runner starts anew."""

    kind: str  # "container", "folder" or "job"
    name: str
    job: str
    clear: Callable[[], None] | None


def containers(executor: Executor) -> Iterator[Orphan]:
    """Every container of the spool; the caller knows which have a job."""
    for name in executor.names():
        yield Orphan("container", name, job_of(name), partial(executor.clear, name))


def folders(storage: Storage, spool8: str) -> Iterator[Orphan]:
    """Every job folder of the spool; the caller knows which have a job."""
    for name in sorted(os.listdir(storage.jobs)):
        if name.startswith(attempt_prefix(spool8)):
            clear = partial(storage.clear, name.removesuffix(".part"))
            yield Orphan("folder", name, job_of(name), clear)


def lost(
    requests: Iterable[Request], spool8: str, executor: Callable[[str], Executor]
) -> Iterator[Orphan]:
    """Jobs that were started and whose container is gone."""
    for request in requests:
        for job in request.jobs:
            if job.phase is Phase.STARTED and job.active and job.executor:
                name = attempt_name(spool8, job.identifier, job.attempt)
                if isinstance(executor(job.executor).look(name), Absent):
                    yield Orphan("job", name, job.identifier, None)


def without_job(found: Iterable[Orphan], active: Callable[[], set[str]]) -> list[Orphan]:
    """Of these, the ones without an active job. active: asked after all of them were found."""
    everything = list(found)
    known = active()
    return [one for one in everything if one.job not in known]


def active_jobs(requests: Iterable[Request]) -> set[str]:
    """Of requests that have not ended. A job that has may still be clearing up after itself."""
    return {job.identifier for one in requests for job in one.jobs}
