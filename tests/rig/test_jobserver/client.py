"""What these tests say to the server, in the words of a runner."""

from typing import Any

import requests

from tests.rig.jobserver import JobServer

TIMEOUT_S = 10
ENDED = "2026-11-22T15:38:27Z"


def get(server: JobServer, query: str = "", **headers: str) -> requests.Response:
    given = {"Authorization": server.token(), **headers}
    kept = {name: text for name, text in given.items() if text != "-"}
    return requests.get(f"{server.endpoint}job-requests/{query}", headers=kept, timeout=TIMEOUT_S)


def listed(server: JobServer, query: str = "", **headers: str) -> list[str]:
    return [each["identifier"] for each in get(server, query, **headers).json()["results"]]


def post(server: JobServer, data: object, **headers: str) -> requests.Response:
    """data: to be JSON, or bytes as they are."""
    given = {"Authorization": server.token(), "Content-Type": "application/json", **headers}
    kept = {name: text for name, text in given.items() if text != "-"}
    sent = {"data": data} if isinstance(data, bytes) else {"json": data}
    return requests.post(f"{server.endpoint}jobs/", headers=kept, timeout=TIMEOUT_S, **sent)


def a_job(
    request: str, identifier: str = "j1", status: str | None = "running", **fields: Any
) -> Any:
    return {
        "identifier": identifier,
        "job_request_id": request,
        "action": f"action_{identifier}",
        "run_command": None,
        "status": status,
        "status_code": "",
        "status_message": "",
        "created_at": "2026-11-22T15:38:21Z",
        "updated_at": "2026-11-22T15:38:27Z",
        "started_at": None,
        "completed_at": ENDED if status in ("failed", "succeeded") else None,
        **fields,
    }


def identifiers(server: JobServer, request: str) -> list[str]:
    return [job.identifier for job in server.jobs(request)]
