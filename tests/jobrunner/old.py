"""An installation of job-runner as its versions left it: .env, db.sqlite, storage.

Written from the facts of the reference (appendix A, 4.7 to 4.10), with real sqlite.
"""

import contextlib
import json
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spoolrunner.request import job_identifier

FIRST = """id job_request_id state repo_url commit workspace database_name action
 requires_outputs_from wait_for_job_ids run_command output_spec outputs unmatched_outputs
 status_message status_code created_at updated_at started_at completed_at""".split()
V2_52_3 = [*FIRST, "action_repo_url", "action_commit", "image_id", "cancelled"]
OF_2023 = [*V2_52_3, "created_by", "project", "org_list"]
TODAY = [
    *("rap_id" if name == "job_request_id" else name for name in V2_52_3),
    *("trace_context", "status_code_updated_at", "level4_excluded_files", "requires_db"),
    *("backend", "user", "project", "orgs", "branch"),
]
# name -> columns of `job`, of `flags` (none: there is no such table), PRAGMA journal_mode
GENERATIONS: dict[str, tuple[list[str], list[str], str]] = {
    "2020": (FIRST, [], "delete"),
    "2.52.3": (V2_52_3, ["id", "value"], "delete"),
    "2023": (OF_2023, ["id", "value", "timestamp"], "delete"),
    "today": (TODAY, ["id", "value", "backend", "timestamp"], "wal"),
}
REPO = "https://github.com/opensafely/study"
SHA = "0123456789abcdef0123456789abcdef01234567"
MONTH_S = 30 * 86400


@dataclass
class Old:
    """home: the folder job-runner runs in. clock_s: when the next job was made."""

    home: Path
    generation: str = "2.52.3"
    backend: str = "expectations"
    clock_s: int = field(default_factory=lambda: int(time.time()) - MONTH_S)

    def __post_init__(self) -> None:
        for folder in (self.high, self.medium):
            (folder / "workspaces").mkdir(parents=True)
        (self.home / ".env").write_text(f"BACKEND={self.backend}\nJOB_LOOP_INTERVAL=1.0\n")
        self._columns, flags, mode = GENERATIONS[self.generation]
        with self.open() as database:
            database.execute(f"PRAGMA journal_mode={mode}")
            database.execute(f"CREATE TABLE job ({_listed(self._columns)}, PRIMARY KEY (id))")
            if flags:
                database.execute(f"CREATE TABLE flags ({_listed(flags)})")
            if self.generation != "today":
                database.execute("CREATE TABLE job_request (id TEXT PRIMARY KEY, original TEXT)")

    @property
    def database(self) -> Path:
        return self.home / "workdir" / "db.sqlite"

    @property
    def high(self) -> Path:
        return self.home / "workdir" / "high_privacy"

    @property
    def medium(self) -> Path:
        return self.home / "workdir" / "medium_privacy"

    def connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.database)
        database.isolation_level = None
        database.execute("PRAGMA synchronous=OFF")
        return database

    def open(self) -> contextlib.closing[sqlite3.Connection]:
        return contextlib.closing(self.connect())

    def asked(
        self, request: str, *actions: str, workspace: str = "ws", repo: str = REPO, **fields: Any
    ) -> None:
        """A request, as job-server serves it."""
        about = {"name": workspace, "repo": repo, "branch": "main", "db": "full"}
        original = {
            "identifier": request, "backend": self.backend, "sha": SHA, "workspace": about,
            "requested_actions": list(actions), "cancelled_actions": [],
            "force_run_dependencies": False, "created_by": "jane", **fields,
        }  # fmt: skip
        with self.open() as database:
            if self.generation != "today":
                values = (request, json.dumps(original))
                database.execute("INSERT INTO job_request VALUES (?, ?)", values)

    def job(self, request: str, action: str, state: str = "succeeded", **fields: Any) -> str:
        """A row of `job`; returns its identifier. outputs: path -> level."""
        self.clock_s += fields.pop("after_s", 60)
        ended = state in ("succeeded", "failed")
        row = {
            "id": job_identifier(request, action), "job_request_id": request, "rap_id": request,
            "state": state, "repo_url": REPO, "commit": SHA, "workspace": "ws",
            "database_name": "full", "action": action, "cancelled": 0, "backend": self.backend,
            "run_command": f"python:v2 {action}.py", "image_id": "sha256:1234",
            "created_at": self.clock_s, "updated_at": self.clock_s, "started_at": self.clock_s,
            "completed_at": self.clock_s + 30 if ended else None, "outputs": None, **fields,
        }  # fmt: skip
        if self.generation == "today" and isinstance(row["outputs"], dict):
            self.log(row, fields)
            row["outputs"] = None
        for name in ("outputs", "output_spec", "level4_excluded_files"):
            row[name] = json.dumps(row[name]) if isinstance(row.get(name), dict) else row.get(name)
        known = {name: value for name, value in row.items() if name in self._columns}
        marks = ", ".join("?" * len(known))
        with self.open() as database:
            words = f"INSERT INTO job ({_listed(known)}) VALUES ({marks})"
            database.execute(words, list(known.values()))
        return str(row["id"])

    def log(self, row: dict[str, Any], fields: dict[str, Any]) -> None:
        """Today's agent keeps what a job made to itself."""
        month = time.strftime("%Y-%m", time.gmtime(row["created_at"]))
        folder = self.high / "logs" / month / f"os-job-{row['id']}"
        folder.mkdir(parents=True, exist_ok=True)
        excluded = fields.get("level4_excluded_files", {})
        told = {"outputs": row["outputs"], "level4_excluded_files": excluded}
        (folder / "metadata.json").write_text(json.dumps(told))

    def flag(self, name: str, value: str) -> None:
        with self.open() as database:
            database.execute("INSERT INTO flags (id, value) VALUES (?, ?)", (name, value))

    def has(self, path: str, text: str, *, workspace: str = "ws", medium: bool = False) -> Path:
        """A file of a workspace, at high privacy or at both."""
        for root in (self.high, self.medium)[: 1 + medium]:
            target = root / "workspaces" / workspace / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        return self.high / "workspaces" / workspace / path

    def manifest(self, content: dict[str, Any], *, workspace: str = "ws", high: bool) -> None:
        root = self.high if high else self.medium
        path = root / "workspaces" / workspace / "metadata" / "manifest.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def seen(self) -> dict[str, tuple[Any, ...]]:
        """Every file there is: what it is and holds, by inode."""
        found = {}
        for path in sorted(self.home.rglob("*")):
            if path.is_file():
                about = path.stat()
                found[str(path)] = (
                    about.st_ino, about.st_mode, about.st_mtime_ns, path.read_bytes(),
                )  # fmt: skip
        return found


def _listed(columns: Any) -> str:
    return ", ".join(f'"{name}"' for name in columns)
