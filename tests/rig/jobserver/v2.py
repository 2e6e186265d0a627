"""The second API: `job-requests/` to read, `jobs/` to report, with the backend's bare token.

Knows: site, serializer. Its answers were captured from the real server of both eras.
"""

import json
import re
from datetime import datetime
from typing import Any

from tests.rig.jobserver.exchange import (
    Answer,
    Call,
    Crash,
    as_json,
    as_listing,
    as_page,
    refuse,
)
from tests.rig.jobserver.serializer import read_jobs
from tests.rig.jobserver.site import Era, Request, Site

BASE = "/api/v2/"
STATUSES = re.compile(re.escape(BASE) + r"workspaces/([^/]+)/statuses/")
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class V2:
    def __init__(self, site: Site) -> None:
        self.site = site

    def answer(self, call: Call) -> Answer:
        """Raises Refusal, and Crash where the real server does."""
        in_html = _wants_html(call)
        answer = self._answer(call)
        return as_page(answer.status, "Django REST framework") if in_html else answer

    def _answer(self, call: Call) -> Answer:
        with self.site.lock:
            if call.path == f"{BASE}job-requests/":
                return self._job_requests(call)
            if call.path == f"{BASE}jobs/":
                return self._jobs(call)
            if found := STATUSES.fullmatch(call.path):
                return self._statuses(call, found[1])
            return as_page(404)

    def _job_requests(self, call: Call) -> Answer:
        # ?backend= is not looked at. Without a token, everybody's requests are listed.
        backend = self._backend(call) if call.authorization else None
        _allow(call, "GET")
        answer = as_listing(call, self.site.listed(backend), self._show)
        if backend:
            self.site.saw(backend, call.path)
        return answer

    def _jobs(self, call: Call) -> Answer:
        backend = self._backend(call)
        _allow(call, "POST")
        jobs = read_jobs(_data(call), self.site.era)
        unknown = {job["job_request_id"] for job in jobs} - self.site.requests.keys()
        if unknown and self.site.era is Era.OLD:
            raise refuse(400, [f"Unknown JobRequest IDs: {', '.join(sorted(unknown))}"])
        self.site.report(jobs)
        self.site.saw(backend, call.path)
        return as_json({"status": "success"})

    def _statuses(self, call: Call, workspace: str) -> Answer:
        """The last status of each action, open to everybody."""
        _allow(call, "GET")
        requests = [each for each in self.site.requests.values() if each.workspace == workspace]
        if not requests:
            raise refuse(404, {"detail": "Not found."})
        wanted = call.query.get("backend")
        jobs = [
            job
            for request in requests
            if wanted in (None, request.backend)
            for job in request.jobs.values()
        ]
        return as_json({job.action: job.status for job in jobs})

    def _backend(self, call: Call) -> str:
        token = call.authorization
        if token is None:
            raise refuse(403, {"detail": "Authorization header is missing"})
        if not token:
            raise refuse(403, {"detail": "Authorization header is empty"})
        backend = self.site.backend(token)
        if backend is None:
            raise refuse(403, {"detail": "Invalid token"})
        return backend

    def _show(self, request: Request) -> dict[str, Any]:
        created = {"created_by": request.created_by, "created_at": _stamp(request.created_at)}
        workspace = {"name": request.workspace, "repo": request.repo, "branch": request.branch}
        shown = {
            "backend": request.backend,
            "sha": request.sha,
            "identifier": request.identifier,
            "force_run_dependencies": request.force_run_dependencies,
            "requested_actions": request.requested_actions,
            "cancelled_actions": request.cancelled_actions,
            **created,
        }
        if self.site.era is Era.OLD:
            return shown | {"workspace": workspace | {"db": request.db} | created}
        return shown | {
            "workspace": workspace | created,
            "database_name": "default",
            "project": request.project,
            "orgs": request.orgs,
            "codelists_ok": request.codelists_ok,
        }


def _stamp(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _allow(call: Call, method: str) -> None:
    if call.method != method:
        raise refuse(405, {"detail": f'Method "{call.method}" not allowed.'})


def _data(call: Call) -> object:
    if not call.body:
        return {}
    kind = call.headers.get("Content-Type", "")
    media = kind.partition(";")[0].strip().lower()
    if media in FORMS:
        raise Crash("a form is no list, and nobody asked")
    if media != "application/json":
        raise refuse(415, {"detail": f'Unsupported media type "{kind}" in request.'})
    try:
        return json.loads(call.body, parse_constant=_no_constant)
    except ValueError as error:
        raise refuse(400, {"detail": f"JSON parse error - {error}"}) from error


def _no_constant(word: str) -> object:
    raise ValueError(f"Out of range float values are not JSON compliant: {word}")


def _wants_html(call: Call) -> bool:
    accept = call.headers.get("Accept", "*/*")
    if "*/*" in accept or "application/json" in accept:
        return False
    if "text/html" in accept:
        return True
    raise refuse(406, {"detail": "Could not satisfy the request Accept header."})
