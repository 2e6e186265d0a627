"""Requests of job-runner's: those that ended go to done/, those that did not are asked for anew.

So their identifiers stay taken, `show` and `logs` find them, and nothing that was asked for is
forgotten: what waited or ran is dropped into the inbox as job-server had served it. Done again,
what is here already stays as it is.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from spoolrunner import drop, files
from spoolrunner.errors import BadRequest
from spoolrunner.jobrunner.database import OldJob
from spoolrunner.jobrunner.history import Asked
from spoolrunner.jobrunner.moments import moment
from spoolrunner.record import to_json
from spoolrunner.request import (
    ERROR_ACTION,
    IDENTIFIER,
    RUN_ALL,
    Code,
    Job,
    Phase,
    Request,
    Status,
    WorkspaceRef,
    overall_status,
)
from spoolrunner.spool import find, requests
from spoolrunner.spool.rooms import Rooms

AT_ONCE = 200  # are flushed together
SOURCE = "job-runner"
SAID = {
    Status.SUCCEEDED: "Completed successfully, under job-runner.",
    Status.FAILED: "Failed, under job-runner.",
}


@dataclass
class Sorted:
    """ended, unfinished: to be taken over. here: how many are here already. nameless: identifiers
    that none may have here."""

    ended: list[Asked] = field(default_factory=list)
    unfinished: list[Asked] = field(default_factory=list)
    here: int = 0
    nameless: list[str] = field(default_factory=list)


def sort(asked: Sequence[Asked], rooms: Rooms | None, keep_days: int) -> Sorted:
    """rooms: None before init. keep_days: KEEP_DONE_DAYS."""
    found = Sorted()
    for one in asked:
        if not IDENTIFIER.fullmatch(one.identifier):
            found.nameless.append(one.identifier)
        elif rooms and _is_here(one, rooms, keep_days):
            found.here += 1
        else:
            (found.unfinished if one.unfinished else found.ended).append(one)
    return found


def _is_here(one: Asked, rooms: Rooms, keep_days: int) -> bool:
    name = f"{one.identifier}.json"
    if any(os.path.lexists(room / name) for room in (rooms.running, rooms.inbox)):
        return True
    where = requests.find_done(rooms, one.identifier)
    if where is None:
        return bool(one.unfinished and find.refusal(rooms, name))
    # Killed between the two, it is in index/ alone.
    lies = requests.done_path(rooms, where.identifier, where.day).exists()
    return lies or bool(one.unfinished) or _is_expired(where.day, keep_days)


def _is_expired(day: str, keep_days: int) -> bool:
    return (datetime.now(UTC).date() - date.fromisoformat(day)).days > keep_days


# --- those that ended


def finish(rooms: Rooms, ended: Sequence[Request], keep_days: int) -> None:
    """First where each will lie, then the files; of one that has expired only the former."""
    for at in range(0, len(ended), AT_ONCE):
        batch = ended[at : at + AT_ONCE]
        with files.Changes() as disk:
            for request in batch:
                requests.enter_done(rooms, disk, request.identifier, requests.day_of(request))
        with files.Changes() as disk:
            for request in batch:
                day = requests.day_of(request)
                if not _is_expired(day, keep_days):
                    files.make_folder(rooms.done / day)
                    path = requests.done_path(rooms, request.identifier, day)
                    disk.write(path, to_json(request))


def ended(one: Asked, original: dict[str, Any], backend: str, numbers: dict[str, int]) -> Request:
    """Its request file. numbers: job -> sequence."""
    asked = _read(one, original, backend)
    jobs = [_job(job, numbers[job.identifier]) for job in one.jobs]
    first, last = one.jobs[0], max(job.completed_s or job.created_s for job in one.jobs)
    return Request(
        identifier=one.identifier,
        sequence=min(job.sequence for job in jobs),
        backend=backend,
        workspace=_workspace(first, asked),
        sha=first.commit or None,
        requested_actions=asked.requested_actions if asked else [job.action for job in jobs],
        cancelled_actions=asked.cancelled_actions if asked else [],
        force_run_dependencies=asked.force_run_dependencies if asked else False,
        status=overall_status(jobs),
        expanded=True,
        created_at=moment(first.created_s) or "",
        completed_at=moment(last),
        source=SOURCE,
        original=original,
        jobs=jobs,
    )


def _read(one: Asked, original: dict[str, Any], backend: str) -> drop.Asked | None:
    """The request as it was served, if it is one that could be dropped here."""
    try:
        read = drop.read(original)
    except BadRequest:
        return None
    if not isinstance(read, drop.Asked) or not isinstance(read.workspace, WorkspaceRef):
        return None
    return read if (read.identifier, read.backend) == (one.identifier, backend) else None


def _workspace(job: OldJob, asked: drop.Asked | None = None) -> WorkspaceRef:
    """Its branch is in the request alone."""
    if asked and isinstance(asked.workspace, WorkspaceRef):
        return asked.workspace
    return WorkspaceRef(name=job.workspace, repo=job.repo, branch="main", db=job.db or "default")


def _job(job: OldJob, number: int) -> Job:
    """What it said stays with job-runner: a message here is our own sentence."""
    status = Status(job.state) if job.ended else Status.FAILED
    ran = job.action not in (ERROR_ACTION, RUN_ALL) and job.ended
    return Job(
        identifier=job.identifier,
        sequence=number,
        action=job.action,
        status=status,
        status_code=_code(job, status),
        status_message=SAID[status],
        run_command=job.command,
        declared=job.declared or dict(job.outputs or {}),
        attempt=int(ran),
        phase=Phase.ENDED,
        cancel="" if job.counts else "user",
        created_at=moment(job.created_s) or "",
        updated_at=moment(job.completed_s or job.created_s) or "",
        started_at=moment(job.started_s),
        completed_at=moment(job.completed_s or job.created_s),
        image_id=job.image_id or None,
    )


def _code(job: OldJob, status: Status) -> Code:
    """2.52.3 gives a code to some ends only."""
    if status is Status.SUCCEEDED:
        return Code.SUCCEEDED
    if not job.counts:
        return Code.CANCELLED_BY_USER
    return Code(job.code) if job.code in list(Code) else Code.JOB_ERROR


# --- those that did not


def ask_anew(rooms: Rooms, one: Asked, original: dict[str, Any], backend: str) -> None:
    """Under its own identifier: job-server, which still lists it, asks for no second one then."""
    cancelled = [job.action for job in one.jobs if not job.counts and not job.ended]
    asked = dict(original) if _read(one, original, backend) else _composed(one, backend)
    known = asked.get("cancelled_actions") or []
    asked["cancelled_actions"] = [*dict.fromkeys([*known, *cancelled])]
    data = json.dumps(asked, indent=1).encode() + b"\n"
    files.drop(rooms.inbox / f"{one.identifier}.json", data)


def _composed(one: Asked, backend: str) -> dict[str, Any]:
    """From its jobs; then nobody knows which of them were asked for by name."""
    about = _workspace(one.jobs[0])
    return {
        "identifier": one.identifier,
        "backend": backend,
        "sha": one.jobs[0].commit or None,
        "requested_actions": one.unfinished,
        "workspace": {"name": about.name, "repo": about.repo, "branch": "main", "db": about.db},
    }
