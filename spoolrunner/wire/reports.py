"""A report: all jobs of one request, as job-server wants to see them.

A report is always the whole list, because the server deletes what is missing from it. What it says
is our own sentences and names from the request and its project.yaml; unless REPORT_OUTPUTS is
`all`, nothing that a successful job wrote changes a byte of it. The server refuses a whole post for
one bad character or time, so each is made right here (reference/jobserver.md 2).
"""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from spoolrunner.outputs import shown
from spoolrunner.request import ERROR_ACTION, Code, Job, Level, Request, Status
from spoolrunner.verdict import Ending, verdict

Declared = Mapping[str, Sequence[tuple[str, Level]]]

MAX_MESSAGE = 8_000
MAX_LOCATIONS = 1_000
MAX_LOCATION_LETTERS = 60_000
COMPLETED = verdict(Ending(0), [], 0, 0).message

# NUL and half characters are refused by the server; other control characters by people's terminals.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

V1_SUCCEEDED, V1_FAILED, V1_DEPENDENCY, V1_INVALID, V1_TIMEOUT, V1_OTHER = 0, 2, 7, 9, -1, 99
_V1_CODES = {  # reference/opensafely.md 3.4
    Code.SUCCEEDED: V1_SUCCEEDED,
    Code.NONZERO_EXIT: V1_FAILED,
    Code.OUT_OF_MEMORY: V1_FAILED,
    Code.DISK_LIMIT: V1_FAILED,
    Code.PIDS_LIMIT: V1_FAILED,
    Code.LOG_LIMIT: V1_FAILED,
    Code.DEPENDENCY_FAILED: V1_DEPENDENCY,
    Code.TIMED_OUT: V1_TIMEOUT,
}


def jobs_of(request: Request, *, outputs: str, declared: Declared) -> list[dict[str, Any]]:
    """The body of a POST to jobs/: ten fields and run_command for each job, in order of sequence.

    outputs: REPORT_OUTPUTS, which says what is told of a successful job's files. declared: action
    -> (pattern, level) as project.yaml at the request's commit has them.
    [] while the request is still being read; [] must never be posted.
    """
    jobs = sorted(request.jobs, key=lambda job: job.sequence)
    return [_job(request, job, _message(job, outputs, declared)) for job in jobs]


def introduction(jobs: Sequence[dict[str, Any]], seen: Container[str]) -> list[dict[str, Any]]:
    """The same jobs, but those that the server has not seen as they began: servers before November
    2022 tell nobody of the end of a job that they see for the first time when it has ended.

    [] if there is nothing to introduce: it has seen them, or they wait as they began.
    """
    new = [job for job in jobs if job["identifier"] not in seen]
    if all(job["status"] == Status.PENDING for job in new):
        return []
    return [_as_it_began(job) if job["identifier"] not in seen else job for job in jobs]


def _as_it_began(job: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **job,
        "status": Status.PENDING.value,
        "status_code": Code.CREATED.value,
        "status_message": "Created.",
        "updated_at": job["created_at"],
        "started_at": None,
        "completed_at": None,
    }


def refreshed(jobs: Iterable[Mapping[str, Any]], now: str) -> list[dict[str, Any]]:
    """The same jobs, those not ended looked at just now: after 30 minutes the server's page says
    that a job could be stale."""
    return [
        {**job, "updated_at": job["updated_at"] if job["completed_at"] else now} for job in jobs
    ]


def v1_answer(request: Request, *, outputs: str, declared: Declared) -> dict[str, Any] | None:
    """The body of a PATCH to the `url` that a v1 request carries; None while it has not ended.

    A v1 request is one job of the server's: it is told of the job that decides, which is the first
    failed one, else that of the action it asked for.
    """
    if not request.jobs or not request.status.final:
        return None
    job = _deciding(request)
    places = _locations(job, outputs, declared) if job.status is Status.SUCCEEDED else []
    return {
        "status_code": _v1_code(job),
        "status_message": _sentence(job, outputs),
        "outputs": [{"location": name} for name, _ in places[:MAX_LOCATIONS]],
    }


def _job(request: Request, job: Job, message: str) -> dict[str, Any]:
    created_at = job.created_at or request.created_at
    updated_at = job.updated_at or created_at
    # This alone decides whether the server lists the request again: for ever without it, never
    # with it, whatever the status.
    ended_at = (job.completed_at or updated_at) if job.status.final else None
    return {
        "identifier": job.identifier,
        "job_request_id": request.identifier,
        "action": _clean(job.action),
        "run_command": _clean(job.run_command),
        "status": job.status.value,
        "status_code": job.status_code.value,
        "status_message": message,
        "created_at": created_at,
        "updated_at": updated_at,
        "started_at": job.started_at,
        "completed_at": ended_at,
    }


def _message(job: Job, outputs: str, declared: Declared) -> str:
    sentence = _sentence(job, outputs)
    if job.status is not Status.SUCCEEDED:
        return sentence
    return "\n".join([sentence, *_listed(_locations(job, outputs, declared))])


def _sentence(job: Job, outputs: str) -> str:
    said = _cut(_clean(job.status_message).strip())
    if job.status is Status.FAILED and job.reference and job.reference not in said:
        return f"{said} (reference {job.reference})".strip()
    # How many outputs were kept back depends on what is in them.
    if job.status is Status.SUCCEEDED and job.attempt and outputs != "all":
        return COMPLETED
    return said


def _cut(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE] + " ..."


def _locations(job: Job, outputs: str, declared: Declared) -> list[tuple[str, Level]]:
    if outputs == "declared":
        return [(_clean(pattern), level) for pattern, level in declared.get(job.action, ())]
    if outputs == "all":
        return [(shown(path), output.level) for path, output in sorted(job.outputs.items())]
    return []


def _listed(places: Sequence[tuple[str, Level]]) -> list[str]:
    """Lines for people, a bounded number of letters."""
    if not places:
        return []
    lines, room = ["Outputs:"], MAX_LOCATION_LETTERS
    for number, (name, level) in enumerate(places):
        room -= len(name)
        if room < 0 or number == MAX_LOCATIONS:
            return [*lines, f"- and {len(places) - number} more"]
        lines.append(f"- {name} ({level.value})")
    return lines


def _clean(text: str) -> str:
    return _UNFIT.sub("\ufffd", text)


def _deciding(request: Request) -> Job:
    jobs = sorted(request.jobs, key=lambda job: job.sequence)
    failed = [job for job in jobs if job.status is Status.FAILED]
    asked = [job for job in jobs if job.action in request.requested_actions]
    return [*failed, *asked, *jobs][0]


def _v1_code(job: Job) -> int:
    if job.action == ERROR_ACTION and job.status_code is Code.JOB_ERROR:
        return V1_INVALID
    return _V1_CODES.get(job.status_code, V1_OTHER)
