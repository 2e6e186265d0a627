"""What a workspace is and what the newest run of each action made (workspaces/NAME.json).

Knows: record, request.
"""

from collections.abc import Iterable

from spoolrunner.record import Frozen, Record, from_json
from spoolrunner.request import Level, Status

FORMAT = 1


class Mark(Frozen, frozen=True, kw_only=True):
    """A published output, so that a change is noticed without hashing: inode, size and ctime.

    excluded: why it is not at medium privacy, or "".
    """

    level: Level
    size: int
    sha256: str
    inode: int
    ctime_ns: int
    excluded: str = ""


class Run(Frozen, frozen=True, kw_only=True):
    """One finished run of an action. sha: the commit. sequence: the job's, over the whole spool.
    ran_s: how long its container ran, None if it never did or that is not known."""

    request: str
    job: str
    sequence: int
    status: Status
    sha: str
    completed_at: str
    ran_s: float | None = None


class ActionState(Record, kw_only=True):
    """newest: its last run that was not cancelled. published: the run whose outputs lie there now
    (None before the first success); a failed run never replaces them."""

    newest: Run
    published: Run | None = None
    outputs: dict[str, Mark] = {}


class WorkspaceIndex(Record, kw_only=True):
    """name: as people wrote it, may hold spaces. folder: the safe name on disk.
    number: what workspace_id of a v1 request refers to, 0 for none."""

    format: int = FORMAT
    name: str
    folder: str
    repo: str
    branch: str
    db: str
    number: int = 0
    actions: dict[str, ActionState] = {}


class Noted(Frozen, frozen=True, kw_only=True):
    """A line of workspaces/NAME.notes (notebook.py): actions as they are now."""

    actions: dict[str, ActionState]


def read(whole: bytes, notes: Iterable[bytes], name: str) -> WorkspaceIndex:
    """An index after what was noted. name: its path. Raises BadMachine."""
    index = from_json(whole, WorkspaceIndex, name)
    for line in notes:
        index.actions |= from_json(line, Noted, name).actions
    return index
