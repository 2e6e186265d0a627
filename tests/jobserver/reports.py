"""Requests and jobs as a runner would have them."""

from typing import Any

from spoolrunner.request import (
    Code,
    Job,
    Level,
    Output,
    Request,
    Status,
    WorkspaceRef,
    job_identifier,
    overall_status,
)
from spoolrunner.wire import jobs_of

NOW = "2026-11-22T15:38:27Z"
DECLARED = {
    "extract": [("output/input.csv", Level.HIGH)],
    "analyse": [("output/*.png", Level.MODERATE), ("output/table.csv", Level.MINIMAL)],
}


def a_job(request: str, action: str, status: Status = Status.PENDING, **fields: Any) -> Job:
    ended = {"completed_at": NOW, "started_at": NOW} if status.final else {}
    given: dict[str, Any] = {
        "identifier": job_identifier(request, action),
        "sequence": 1,
        "action": action,
        "status": status,
        "status_message": "Created.",
        "run_command": f"python:latest analysis/{action}.py",
        "created_at": "2026-11-22T15:38:21Z",
        "updated_at": "2026-11-22T15:38:22Z",
    }
    return Job(**(given | ended | fields))


def succeeded(request: str, action: str, **fields: Any) -> Job:
    given: dict[str, Any] = {
        "status_code": Code.SUCCEEDED,
        "status_message": "Completed successfully.",
        "attempt": 1,
        "outputs": {"output/input.csv": Output(level=Level.HIGH, size=12, sha256="00")},
    }
    return a_job(request, action, Status.SUCCEEDED, **(given | fields))


def failed(request: str, action: str, **fields: Any) -> Job:
    given: dict[str, Any] = {
        "status_code": Code.NONZERO_EXIT,
        "status_message": "Job exited with an error (exit code 1).",
        "attempt": 1,
        "reference": "k7m2x9",
    }
    return a_job(request, action, Status.FAILED, **(given | fields))


def a_request(*jobs: Job, identifier: str = "k3j2h4g5f6d7s8a9", **fields: Any) -> Request:
    given: dict[str, Any] = {
        "identifier": identifier,
        "sequence": 1,
        "backend": "test",
        "workspace": WorkspaceRef(name="ws", repo="https://github.com/o/s", branch="main"),
        "requested_actions": ["analyse"],
        "created_at": "2026-11-22T15:38:20Z",
        "status": overall_status(list(jobs)),
        "jobs": list(jobs),
    }
    return Request(**(given | fields))


def report(
    identifier: str, *actions: str, status: Status = Status.PENDING, **fields: Any
) -> list[dict[str, Any]]:
    jobs = [
        a_job(identifier, action, status, sequence=number, **fields)
        for number, action in enumerate(actions)
    ]
    return jobs_of(a_request(*jobs, identifier=identifier), outputs="declared", declared={})
