"""The overview: what runs, what waits and why, what ended lately. Read from the spool alone.

Costs what is active, never what is done: running/, the names in inbox/, recent.json. Rooms are read
in the order inbox, running, recent; what moves on meanwhile is seen in the later one.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from spoolrunner import lock
from spoolrunner.record import Record
from spoolrunner.request import Job, Request, Status
from spoolrunner.spool import find, flags, outbox, requests
from spoolrunner.spool.inbox import Inbox, Patience, waiting
from spoolrunner.spool.requests import Ended
from spoolrunner.spool.rooms import Rooms


class Runner(Record, kw_only=True):
    """alive: None if this user may not know."""

    alive: bool | None


class Flags(Record, kw_only=True):
    """db_maintenance_by: "operator", "detection" or ""; db_drain: running database jobs may end."""

    paused: bool
    reboot: bool
    db_maintenance: bool
    db_maintenance_by: str
    db_drain: bool


class Counts(Record, kw_only=True):
    inbox: int
    pending: int
    running: int
    rejected: int
    outbox: int


class ActiveJob(Record, kw_only=True):
    """A job that has not finished; a request that has no jobs yet is one without an action."""

    identifier: str
    job_request_id: str
    workspace: str
    action: str
    status: str
    status_code: str
    status_message: str
    attempt: int
    executor: str | None
    created_at: str
    updated_at: str
    started_at: str | None


class Left(Record, kw_only=True):
    """A file in the inbox that is not taken, and why."""

    name: str
    reason: str


class Overview(Record, kw_only=True):
    """What `status --json` prints (contract, section 4). free_bytes: of the spool's disk.

    reports_trouble: why no report can be sent now, or "". reports_fact: what is to be known of
    job-server and is no trouble, or "". reports_refused: requests of which job-server would not
    take the last report.
    """

    spool: str
    backend: str
    runner: Runner
    flags: Flags
    counts: Counts
    free_bytes: int
    jobs: list[ActiveJob]
    recent: list[Ended]
    left_in_inbox: list[Left]
    reports_trouble: str
    reports_fact: str
    reports_refused: list[str]


def overview(rooms: Rooms, backend: str) -> Overview:
    names, left = _inbox(rooms, backend)
    active = find.all_active(rooms)
    jobs = [job for request in active for job in _jobs(request)]
    return Overview(
        spool=str(rooms.folder),
        backend=backend,
        runner=Runner(alive=lock.is_locked(rooms.locks / "mover")),
        flags=_flags(flags.flags(rooms)),
        counts=Counts(
            inbox=names,
            pending=sum(job.status == Status.PENDING for job in jobs),
            running=sum(job.status == Status.RUNNING for job in jobs),
            rejected=sum(name.endswith(".error.json") for name in _names(rooms.rejected)),
            outbox=sum(name.endswith(".json") for name in _names(rooms.outbox)),
        ),
        free_bytes=shutil.disk_usage(rooms.folder).free,
        jobs=jobs,
        recent=requests.recent(rooms),
        left_in_inbox=left,
        reports_trouble=outbox.trouble(rooms),
        reports_fact=outbox.fact(rooms),
        reports_refused=_refused(rooms),
    )


def _flags(up: flags.Flags) -> Flags:
    by = "operator" if up.maintenance else "detection"
    return Flags(
        paused=up.paused,
        reboot=up.reboot,
        db_maintenance=up.db_maintenance,
        db_maintenance_by=by if up.db_maintenance else "",
        db_drain=up.drain,
    )


def _inbox(rooms: Rooms, backend: str) -> tuple[int, list[Left]]:
    try:
        found = Inbox(rooms.inbox, backend, Patience()).look()
    except PermissionError:
        return 0, []  # only the runner's user may list it
    left = [Left(name=name, reason=reason) for name, reason in waiting(found)]
    return len(found), left


def _jobs(request: Request) -> Iterator[ActiveJob]:
    if not request.jobs:
        yield _active(request, None)
    for job in request.jobs:
        if job.active:
            yield _active(request, job)


def _active(request: Request, job: Job | None) -> ActiveJob:
    waits = request.message or "Reading the study's project.yaml."
    return ActiveJob(
        identifier=job.identifier if job else "",
        job_request_id=request.identifier,
        workspace=request.workspace.name,
        action=job.action if job else "",
        status=job.status if job else Status.PENDING,
        status_code=job.status_code if job else "created",
        status_message=job.status_message if job else waits,
        attempt=job.attempt if job else 0,
        executor=job.executor if job else None,
        created_at=job.created_at if job else request.created_at,
        updated_at=job.updated_at if job else request.created_at,
        started_at=job.started_at if job else None,
    )


def _refused(rooms: Rooms) -> list[str]:
    try:
        return outbox.refused(rooms)
    except PermissionError:
        return []


def _names(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".")]
    except PermissionError:
        return []
