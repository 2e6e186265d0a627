"""Jobs as they are made: by a plan, or ended from the beginning, so that whoever asked is told."""

import logging
import shlex
import traceback
from typing import Any

from spoolrunner import plan
from spoolrunner.errors import BadInput, Bug, CannotExpand, SpoolrunnerError
from spoolrunner.index import Run
from spoolrunner.request import (
    ERROR_ACTION,
    Code,
    Job,
    Phase,
    Request,
    Status,
    job_identifier,
    reference_of,
)
from spoolrunner.runner import clock, quotas
from spoolrunner.runner.reading import Command

log = logging.getLogger(__name__)

CANCELLED: dict[str, tuple[Code, str]] = {
    "user": (Code.CANCELLED_BY_USER, "Cancelled by user."),
    "admin": (Code.KILLED_BY_ADMIN, "An operator killed the job."),
}
INTERNAL = "Internal error: this is not the study's fault; the operators have been told."


def planned(request: Request, sequence: int, one: plan.Planned, command: Command) -> Job:
    return Job(
        identifier=job_identifier(request.identifier, one.action),
        sequence=sequence,
        action=one.action,
        status_message="Created.",
        run_command=shlex.join(command.argv),
        requires_db=command.requires_db,
        needs=list(one.needs),
        declared=dict(command.declared),
        action_repo=command.repo,
        action_commit=command.commit,
        created_at=clock.now(),
        updated_at=clock.now(),
    )


def taken() -> dict[str, Any]:
    """The fields of a job whose turn has come."""
    return {
        "status": Status.RUNNING,
        "status_code": Code.PREPARING,
        "status_message": "Getting the files ready.",
        "taken_at": clock.now(),
    }


def nothing_to_do(request: Request, sequence: int, message: str) -> Job:
    """Whoever asked must see an end: one job that has succeeded (reference 4.5)."""
    action = request.requested_actions[0]
    return _ended(request, sequence, action, Status.SUCCEEDED, Code.SUCCEEDED, message)


def refused(request: Request, sequence: int, error: SpoolrunnerError) -> Job:
    """The one job of a request that ends as failed; the full story goes to the log, under its
    reference. What is wrong with the machine is nobody's business outside."""
    public = error.public if isinstance(error, BadInput) else INTERNAL
    job = _ended(request, sequence, ERROR_ACTION, Status.FAILED, _code_of(error), public)
    job.reference = reference_of(request.identifier, ERROR_ACTION, 1)
    log.warning(
        "request=%s refused error=%s reference=%s: %s %s",
        *(request.identifier, error.kind, job.reference, error.public, error.detail),
    )
    return job


def bug(error: Exception) -> SpoolrunnerError:
    """Any error as one of ours."""
    if isinstance(error, SpoolrunnerError):
        return error
    return Bug(INTERNAL, detail="".join(traceback.format_exception(error)))


def run_of(request: Request, job: Job) -> Run:
    """What a workspace's index remembers of a job that has ended."""
    return Run(
        request=request.identifier,
        job=job.identifier,
        sequence=job.sequence,
        status=job.status,
        sha=request.sha or "",
        completed_at=job.completed_at or "",
    )


def cancels(request: Request, action: str) -> bool:
    """Has the person cancelled this action of the request, or all of it?"""
    return bool(request.cancel) or (action in request.cancelled_actions and action != ERROR_ACTION)


def take_turns_back(request: Request) -> None:
    """Of a request that a person took away and put back: its jobs were stopped meanwhile, or may
    have been, and their turns given to others. What still runs of one is stopped by its line, and
    what had been collected of one is published; one at a limit has come to its end."""
    for job in request.jobs:
        if job.status is Status.RUNNING and job.status_code not in quotas.CODES:
            job.interrupted = Code.WAITING_ON_NEW_TASK


def has_not_begun(job: Job) -> bool:
    return job.status is Status.PENDING and job.phase is Phase.WAITING


def _ended(
    request: Request, sequence: int, action: str, status: Status, code: Code, message: str
) -> Job:
    now = clock.now()
    return Job(
        identifier=job_identifier(request.identifier, action),
        sequence=sequence,
        action=action,
        status=status,
        status_code=code,
        status_message=message,
        phase=Phase.ENDED,
        created_at=now,
        updated_at=now,
        started_at=now,
        completed_at=now,
    )


def _code_of(error: SpoolrunnerError) -> Code:
    if error.kind in (Code.STALE_CODELISTS, Code.CANCELLED_BY_USER, Code.KILLED_BY_ADMIN):
        return Code(error.kind)
    return Code.JOB_ERROR if isinstance(error, CannotExpand) else Code.INTERNAL_ERROR
