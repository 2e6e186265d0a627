"""The board: what the runner is at, for those who may not read request files.

A request file holds the names of outputs, which a job may have chosen; `SPOOL_GROUP` may only know
what is public. So the mover writes down here what `status` needs, for that group to read. It is for
display alone: replaced whole, never flushed, and nothing is ever decided by it.
"""

import os
from pathlib import Path

from spoolrunner import files, lock
from spoolrunner.errors import BadMachine
from spoolrunner.record import Record, from_json, to_json
from spoolrunner.request import Job, Request, Status
from spoolrunner.spool.recent import Ended
from spoolrunner.spool.rooms import Rooms

MODE = 0o640


class ActiveJob(Record, kw_only=True):
    """A job that has not finished; a request that has no jobs yet is one without an action.

    progress: of what lasts, such as copying a large output, in words; "" otherwise.
    """

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
    progress: str = ""


class Board(Record, kw_only=True):
    """drained_at: when `run --drain` last came to its end, "" if the last runner was a service."""

    format: int = 1
    backend: str
    drained_at: str = ""
    inbox: int = 0
    jobs: list[ActiveJob] = []
    recent: list[Ended] = []


def write(rooms: Rooms, board: Board) -> None:
    """Raises OSError: a full disk, or a spool made before there were boards."""
    files.write_unflushed(path_of(rooms), to_json(board), MODE)


def read(rooms: Rooms) -> Board | None:
    """None if nothing was ever written, or it is torn. Raises PermissionError."""
    path = path_of(rooms)
    try:
        return from_json(path.read_bytes(), Board, str(path))
    except (FileNotFoundError, BadMachine):
        return None


def progress(rooms: Rooms, shown: Board | None) -> dict[str, str]:
    """Job -> what it is at that lasts; of a runner that is dead, nothing."""
    jobs = shown.jobs if shown and lock.is_locked(rooms.locks / "mover") else []
    return {one.identifier: one.progress for one in jobs if one.progress}


def path_of(rooms: Rooms) -> Path:
    return rooms.folder / "board" / "board.json"


def may_read(rooms: Rooms) -> bool:
    return os.access(rooms.folder / "board", os.X_OK)


def active_jobs(request: Request) -> list[ActiveJob]:
    if not request.jobs:
        return [_active(request, None)]
    return [_active(request, job) for job in request.jobs if job.active]


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
