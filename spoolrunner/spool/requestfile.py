"""One request file: what it says, and what has been noted of its jobs since (notebook.py)."""

import errno
from collections.abc import Iterable, Sequence
from pathlib import Path

from spoolrunner import notebook
from spoolrunner.errors import BadMachine
from spoolrunner.notebook import notes_of
from spoolrunner.record import Frozen, from_json
from spoolrunner.request import Job, Request, Status


class Noted(Frozen, frozen=True, kw_only=True):
    """A line of running/ID.notes: jobs that have changed, and what follows for the request."""

    status: Status
    completed_at: str | None
    jobs: list[Job]


def read(path: Path) -> Request:
    """A request file with its notes.

    Raises BadMachine if it is torn or of a newer format (record.NEWER), FileNotFoundError.
    """
    try:
        written = notebook.read(path)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EINVAL):
            raise _not_regular(path) from error
        raise
    request = from_json(written.whole, Request, str(path))
    return with_notes(request, written.notes, str(notes_of(path)))


def with_notes(request: Request, notes: Iterable[bytes], name: str) -> Request:
    """The request after what was noted."""
    jobs = {job.identifier: job for job in request.jobs}
    for line in notes:
        change = from_json(line, Noted, name)
        request.status, request.completed_at = change.status, change.completed_at
        jobs |= {job.identifier: job for job in change.jobs}
    request.jobs = list(jobs.values())
    return request


def noted(request: Request, jobs: Sequence[Job]) -> Noted:
    """What there is to note when only these of its jobs have changed."""
    return Noted(status=request.status, completed_at=request.completed_at, jobs=list(jobs))


def _not_regular(path: Path) -> BadMachine:
    return BadMachine(f"{path} is not a regular file.", kind="unreadable_record")
