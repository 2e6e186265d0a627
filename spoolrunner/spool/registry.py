"""The registry: which repository and database a workspace belongs to.

A workspace belongs to the repository and db of its first request; another is refused, because its
published outputs were made from that database. Two names that fold to the same are never mixed:
the file is named by the folded name.
"""

import os
from pathlib import Path

from spoolrunner import files, index, notebook
from spoolrunner.drop import folder_name
from spoolrunner.errors import BadRequest
from spoolrunner.index import WorkspaceIndex
from spoolrunner.record import changed, to_json
from spoolrunner.request import WorkspaceRef
from spoolrunner.spool.rooms import Rooms


def path_of(rooms: Rooms, workspace: str) -> Path:
    return rooms.workspaces / f"{folder_name(workspace).casefold()}.json"


def find(rooms: Rooms, workspace: str) -> WorkspaceIndex | None:
    """None if it was never seen. Raises BadMachine for a torn file."""
    try:
        return _read(path_of(rooms, workspace))
    except FileNotFoundError:
        return None


def every(rooms: Rooms) -> list[WorkspaceIndex]:
    """All known workspaces, by name. Raises PermissionError (glob would find nothing instead)."""
    names = [name for name in os.listdir(rooms.workspaces) if not name.startswith(".")]
    paths = [rooms.workspaces / name for name in sorted(names) if name.endswith(".json")]
    return [_read(path) for path in paths]


def numbered(rooms: Rooms, number: int) -> WorkspaceRef:
    """The workspace that a v1 request names by workspace_id. Raises BadRequest."""
    for one in every(rooms):
        if one.number == number:
            return WorkspaceRef(name=one.name, repo=one.repo, branch=one.branch, db=one.db)
    raise BadRequest(
        f"There is no workspace number {number} here.",
        kind="unknown_workspace",
        hint="Register it first, or give the workspace itself.",
    )


def check(rooms: Rooms, wanted: WorkspaceRef) -> WorkspaceIndex | None:
    """The known workspace this request is for, or None for a new one.

    Raises BadRequest if the name is another's, or belongs to another repository or database.
    """
    known = find(rooms, wanted.name)
    if known is None:
        return None
    if known.name != wanted.name:
        raise BadRequest(
            f"The workspace name {wanted.name!r} can't be told from {known.name!r} on disk.",
            kind="workspace_name_taken",
        )
    for what, ours, theirs in (
        ("repository", known.repo, wanted.repo),
        ("db", known.db, wanted.db),
    ):
        if ours != theirs:
            raise BadRequest(
                f"The workspace {known.name!r} belongs to the {what} {ours}, not to {theirs}.",
                kind="workspace_mismatch",
                hint="Use another workspace, or `spoolrunner workspace add --force`.",
            )
    return known


def add(rooms: Rooms, wanted: WorkspaceRef, *, numbered: bool, force: bool = False) -> int:
    """Remember a workspace; returns its number (0: not numbered).

    Raises BadRequest for a known one that differs, unless force.
    """
    known = find(rooms, wanted.name) if force else check(rooms, wanted)
    if known and not force and (not numbered or known.number):
        if numbered and known.branch != wanted.branch:
            raise BadRequest(
                f"The workspace {known.name!r} is registered with the branch {known.branch}.",
                kind="workspace_mismatch",
            )
        return known.number
    number = known.number if known else 0
    if numbered and not number:
        number = 1 + max((one.number for one in every(rooms)), default=0)
    path = path_of(rooms, wanted.name)
    with notebook.writing(path), files.Changes() as disk:
        # Read again: a job may have published meanwhile.
        whole = to_json(_index(find(rooms, wanted.name), wanted, number))
        notebook.Notebook(path).write(disk, whole)
    return number


def enter(rooms: Rooms, index: WorkspaceIndex) -> None:
    """Remember a workspace with what its actions made elsewhere, in the place of what is known."""
    path = path_of(rooms, index.name)
    with notebook.writing(path), files.Changes() as disk:
        notebook.Notebook(path).write(disk, to_json(index))


def _read(path: Path) -> WorkspaceIndex:
    written = notebook.read(path)
    return index.read(written.whole, written.notes, str(path))


def _index(known: WorkspaceIndex | None, wanted: WorkspaceRef, number: int) -> WorkspaceIndex:
    if known:
        return changed(known, repo=wanted.repo, branch=wanted.branch, db=wanted.db, number=number)
    return WorkspaceIndex(
        name=wanted.name,
        folder=folder_name(wanted.name),
        repo=wanted.repo,
        branch=wanted.branch,
        db=wanted.db,
        number=number,
    )
