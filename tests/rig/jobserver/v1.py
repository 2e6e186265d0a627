"""The first API, as it was until December 2020: a queue of jobs that a runner claims by PATCH.

Here only because the oldest files a runner may be handed speak its language.
"""

import base64
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.rig.jobserver.exchange import (
    PAGE_SIZE,
    Answer,
    Call,
    as_json,
    as_listing,
    as_number,
    as_page,
    refuse,
)

BASE = "/api/"
ROUTE = re.compile(re.escape(BASE) + r"(jobs|workspaces)/(?:(\d+)/)?")
FILTERS = ("workspace", "started", "backend", "action_id", "needed_by_id")
MAY_CHANGE = ("started", "status_code", "status_message", "outputs")


@dataclass
class Queue:
    """Rows as they go over the line, by pk; a job holds workspace_id and no workspace."""

    user: str = "queue"
    password: str = "queue-canary"
    workspaces: dict[int, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[int, dict[str, Any]] = field(default_factory=dict)
    _pks: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def add_workspace(self, name: str, repo: str, branch: str = "main", db: str = "full") -> int:
        pk = next(self._pks)
        row = {"id": pk, "name": name, "repo": repo, "branch": branch, "db": db}
        self.workspaces[pk] = row
        return pk

    def add_job(self, action_id: str, workspace_id: int, backend: str, **fields: Any) -> int:
        """fields: force_run, force_run_dependencies, needed_by_id, callback_url."""
        pk = next(self._pks)
        self.jobs[pk] = {
            "pk": pk,
            "backend": backend,
            "started": False,
            "force_run": False,
            "force_run_dependencies": False,
            "action_id": action_id,
            "status_code": None,
            "status_message": "",
            "outputs": [],
            "needed_by_id": None,
            "workspace_id": workspace_id,
            "created_at": _stamp(),
            "started_at": None,
            "completed_at": None,
            "callback_url": None,
            **fields,
        }
        return pk


class V1:
    def __init__(self, queue: Queue) -> None:
        self.queue = queue

    def answer(self, call: Call) -> Answer:
        """Raises Refusal."""
        route = ROUTE.fullmatch(call.path)
        if route is None:
            return as_page(404)
        self._check_password(call)
        rows = self.queue.jobs if route[1] == "jobs" else self.queue.workspaces
        if route[2] is None:
            return self._whole(call, rows)
        row = rows.get(int(route[2]))
        if row is None:
            raise refuse(404, {"detail": "Not found."})
        return self._one(call, row)

    def _check_password(self, call: Call) -> None:
        pair = f"{self.queue.user}:{self.queue.password}".encode()
        if call.authorization != f"Basic {base64.b64encode(pair).decode()}":
            raise refuse(401, {"detail": "Invalid username/password."})

    def _whole(self, call: Call, rows: dict[int, dict[str, Any]]) -> Answer:
        if call.method == "POST":
            return self._add(call, rows)
        if call.method != "GET":
            raise refuse(405, {"detail": f'Method "{call.method}" not allowed.'})
        found = [row for row in rows.values() if _matches(row, call.query)]
        size = as_number(call.query.get("page_size")) or PAGE_SIZE
        return as_listing(call, found, lambda row: self._show(call, row), size)

    def _add(self, call: Call, rows: dict[int, dict[str, Any]]) -> Answer:
        fields = call.json()
        add = self.queue.add_job if rows is self.queue.jobs else self.queue.add_workspace
        try:
            pk = add(**fields)
        except TypeError as error:
            raise refuse(400, {"detail": "These are not the fields."}) from error
        return as_json(self._show(call, rows[pk]), 201)

    def _one(self, call: Call, row: dict[str, Any]) -> Answer:
        if call.method == "PATCH" and "pk" in row:
            changes = call.json()
            row.update({name: changes[name] for name in MAY_CHANGE if name in changes})
            if changes.get("started"):
                row["started_at"] = row["started_at"] or _stamp()
            if changes.get("status_code") is not None:
                row["completed_at"] = _stamp()
        elif call.method != "GET":
            raise refuse(405, {"detail": f'Method "{call.method}" not allowed.'})
        return as_json(self._show(call, row))

    def _show(self, call: Call, row: dict[str, Any]) -> dict[str, Any]:
        if "pk" not in row:
            return {"url": f"{call.base}{BASE}workspaces/{row['id']}/", **row}
        workspace = self.queue.workspaces[row["workspace_id"]]
        return {
            "url": f"{call.base}{BASE}jobs/{row['pk']}/",
            **row,
            "workspace": self._show(call, workspace),
        }


def _matches(row: dict[str, Any], query: dict[str, str]) -> bool:
    return all(
        str(row.get("workspace_id" if name == "workspace" else name)).lower() == text.lower()
        for name, text in query.items()
        if name in FILTERS
    )


def _stamp() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
