"""job-runner's database: its jobs, its requests and its flags, whatever schema they are of.

Read from a copy. To open the file itself is not to leave it alone: sqlite would roll back what a
killed job-runner left, and make files beside it. Which columns there are depends on its age:
`cancelled`, `image_id` and the flags came in 2021, `rap_id` and `backend` in 2025.
The only module that knows sqlite3.
"""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spoolrunner.errors import BadInput, BadMachine, BadRequest, TryLater
from spoolrunner.record import parse_foreign
from spoolrunner.request import Level

NEEDED = {"id", "state", "workspace", "action"}
BESIDE = ("", "-journal", "-wal")  # -shm is made anew from these


@dataclass(frozen=True, kw_only=True)
class OldJob:
    """A row of its table `job`. row: the order in which it was stored. Times: seconds since 1970.

    counts: is it among those that 2.52.3 looks at? Not if it was cancelled. declared: pattern ->
    level. outputs: path -> level; None if nobody can tell any more. kept_back: output -> why.
    """

    row: int
    identifier: str
    request: str = ""
    state: str
    code: str = ""
    counts: bool = True
    repo: str = ""
    commit: str = ""
    workspace: str
    db: str = ""
    action: str
    command: str = ""
    image_id: str = ""
    declared: dict[str, Level] = field(default_factory=dict)
    outputs: dict[str, Level] | None = field(default_factory=dict)
    kept_back: dict[str, str] = field(default_factory=dict)
    created_s: int = 0
    started_s: int | None = None
    completed_s: int | None = None

    @property
    def ended(self) -> bool:
        return self.state in ("succeeded", "failed")

    @property
    def succeeded(self) -> bool:
        return self.state == "succeeded"


@dataclass(frozen=True)
class Old:
    """originals: identifier -> the request as job-server served it. flags: (name, value)."""

    jobs: list[OldJob]
    originals: dict[str, dict[str, Any]]
    flags: list[tuple[str, str]]


def read(path: Path, backend: str) -> Old:
    """backend: of a controller's database, which knows several, only this one's are read.

    Raises BadInput if it is none of job-runner's, TryLater if it is being written, BadMachine if it
    is damaged.
    """
    with _copied(path) as copy, contextlib.closing(sqlite3.connect(copy)) as database:
        database.row_factory = sqlite3.Row
        try:
            return _read(database, backend)
        except sqlite3.DatabaseError as error:
            raise BadMachine(
                f"{path} is no database that sqlite can read.",
                kind="bad_database",
                hint="Name job-runner's db.sqlite, or restore it from a backup.",
                detail=str(error),
            ) from error


@contextlib.contextmanager
def _copied(path: Path) -> Iterator[Path]:
    """With its journal, so that what a killed job-runner left is rolled back in the copy."""
    with tempfile.TemporaryDirectory(prefix="spoolrunner-") as folder:
        before = _abouts(path)
        if "" not in before:
            raise BadInput(
                f"There is no database {path}.",
                kind="no_database",
                hint="Name it with --db: job-runner keeps it in WORKDIR.",
            )
        copy = Path(folder) / "db.sqlite"
        for suffix in before:
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
        if _abouts(path) != before:
            raise TryLater(
                f"{path} was written while it was read.",
                kind="database_written",
                hint="Stop job-runner, and do this again.",
            )
        yield copy


def _abouts(path: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for suffix in BESIDE:
        with contextlib.suppress(FileNotFoundError):
            about = os.stat(f"{path}{suffix}")
            found[suffix] = (about.st_ino, about.st_size, about.st_mtime_ns)
    return found


def _read(database: sqlite3.Connection, backend: str) -> Old:
    columns = {row["name"] for row in database.execute("PRAGMA table_info(job)")}
    if not columns >= NEEDED:
        raise BadInput(
            "The database has no table of jobs as job-runner writes them.",
            kind="not_job_runners",
            hint="Name job-runner's own db.sqlite with --db.",
        )
    rows = map(dict, database.execute("SELECT rowid AS row, * FROM job ORDER BY rowid"))
    return Old(
        jobs=[_job(row) for row in rows if row.get("backend", backend) == backend],
        originals=dict(_originals(database)),
        flags=list(_flags(database)),
    )


def _job(row: dict[str, Any]) -> OldJob:
    return OldJob(
        row=row["row"],
        identifier=_text(row, "id"),
        request=_text(row, "job_request_id") or _text(row, "rap_id"),
        state=_text(row, "state"),
        code=_text(row, "status_code"),
        # 2.52.3 asks for `cancelled = 0`, which does not find what is NULL.
        counts=row.get("cancelled", 0) == 0,
        repo=_text(row, "repo_url"),
        commit=_text(row, "commit"),
        workspace=_text(row, "workspace"),
        db=_text(row, "database_name"),
        action=_text(row, "action"),
        command=_text(row, "run_command"),
        image_id=_text(row, "image_id"),
        declared=_declared(row),
        outputs=_outputs(row),
        kept_back={path: str(why) for path, why in _mapping(row, "level4_excluded_files").items()},
        created_s=row.get("created_at") or 0,
        started_s=row.get("started_at"),
        completed_s=row.get("completed_at"),
    )


def _text(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value)


def _outputs(row: dict[str, Any]) -> dict[str, Level] | None:
    if row["state"] == "succeeded" and not row.get("outputs"):
        return None
    found = _object(row, "outputs")
    return None if found is None else {path: level(name) for path, name in found.items()}


def _declared(row: dict[str, Any]) -> dict[str, Level]:
    """As it is stored: level -> name -> pattern."""
    return {
        str(pattern): level(name)
        for name, named in _mapping(row, "output_spec").items()
        if isinstance(named, dict)
        for pattern in named.values()
    }


def level(name: object) -> Level:
    """A level that nobody knows is the most private one."""
    return next((known for known in Level if known == name), Level.HIGH)


def _mapping(row: dict[str, Any], name: str) -> dict[str, Any]:
    return _object(row, name) or {}


def _object(row: dict[str, Any], name: str) -> dict[str, Any] | None:
    """None for what is no object, or says what no JSON file of ours could."""
    text = _text(row, name)
    if text in ("", "null"):
        return {}
    try:
        return parse_foreign(text.encode())
    except BadRequest:
        return None


def _originals(database: sqlite3.Connection) -> Iterator[tuple[str, dict[str, Any]]]:
    if _has(database, "job_request"):
        for row in map(dict, database.execute("SELECT * FROM job_request")):
            if original := _mapping(row, "original"):
                yield _text(row, "id"), original


def _flags(database: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    if _has(database, "flags"):
        for row in map(dict, database.execute("SELECT * FROM flags")):
            if value := _text(row, "value"):
                yield _text(row, "id"), value


def _has(database: sqlite3.Connection, table: str) -> bool:
    """Not every schema has it."""
    named = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return database.execute(named, (table,)).fetchone() is not None
