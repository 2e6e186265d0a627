"""recent.json: a line for each of the last requests that ended, newest first, for `status`.

For display only: a torn file counts as empty, and `check --repair` makes it anew from done/.
"""

from collections.abc import Sequence

from spoolrunner import files
from spoolrunner.errors import BadMachine
from spoolrunner.record import Record, from_json, to_json
from spoolrunner.request import Request
from spoolrunner.spool.rooms import Rooms

MOST = 50


class Ended(Record, kw_only=True):
    """One line."""

    identifier: str
    workspace: str
    status: str
    message: str
    jobs: int
    failed: int
    completed_at: str


def read(rooms: Rooms) -> list[Ended]:
    try:
        return from_json(rooms.recent.read_bytes(), list[Ended], str(rooms.recent))
    except (FileNotFoundError, BadMachine):
        return []


def add(rooms: Rooms, disk: files.Changes, requests: Sequence[Request]) -> None:
    """requests: the one that ended last comes last."""
    _write(rooms, disk, [*(_line(one) for one in reversed(requests)), *read(rooms)])


def make_anew(rooms: Rooms, disk: files.Changes, requests: Sequence[Request]) -> None:
    """Of these alone, newest first."""
    _write(rooms, disk, [_line(one) for one in requests])


def _write(rooms: Rooms, disk: files.Changes, lines: list[Ended]) -> None:
    disk.write(rooms.recent, to_json(lines[:MOST]))


def _line(request: Request) -> Ended:
    failed = [job for job in request.jobs if job.status == "failed"]
    return Ended(
        identifier=request.identifier,
        workspace=request.workspace.name,
        status=request.status,
        message=failed[0].status_message if failed else "",
        jobs=len(request.jobs),
        failed=len(failed),
        completed_at=request.completed_at or "",
    )
