"""Finding a request, a job or a failure by any unambiguous part of its id.

Operators on a sealed server have no copy and paste (reference 6, row 37). Active requests and the
last that ended are searched by part; older ones are found by the whole identifier or reference.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

from spoolrunner.errors import BadMachine
from spoolrunner.request import IDENTIFIER, Job, Request
from spoolrunner.spool import recent, requestfile
from spoolrunner.spool.requests import Requests
from spoolrunner.spool.rooms import Rooms


@dataclass(frozen=True)
class Meant:
    """What a part of an id may mean: a request, or (job is not None) one of its jobs."""

    request: Request
    job: Job | None = None

    @property
    def jobs(self) -> list[Job]:
        return self.request.jobs if self.job is None else [self.job]

    @property
    def identifier(self) -> str:
        return self.job.identifier if self.job else self.request.identifier


def active(rooms: Rooms, part: str) -> list[Meant]:
    """What a part of an id may mean among active requests and their jobs, in their order."""
    return _exact([one for request in all_active(rooms) for one in _meant(request, part)], part)


def any_request(rooms: Rooms, part: str) -> list[Meant]:
    """The same among active and finished requests."""
    store = Requests(rooms)
    if IDENTIFIER.fullmatch(part) and (exact := store.read_done(part)):
        return [Meant(exact)]
    # By identifier: one may be finished between the two looks.
    found = {one.identifier: one for one in all_active(rooms) if any(_meant(one, part))}
    for ended in recent.read(rooms):
        done = store.read_done(ended.identifier)
        if done and any(_meant(done, part)):
            found[done.identifier] = done
    return _exact([one for request in found.values() for one in _meant(request, part)], part)


def all_active(rooms: Rooms) -> list[Request]:
    """In order of acceptance. A file that goes away while we look is no error, and one that is torn
    must not hide the others: the next runner sets it aside. Raises PermissionError."""
    return _active(rooms, contextlib.suppress(BadMachine))


def every_active(rooms: Rooms) -> list[Request]:
    """The same for those who do away with what seems to be nobody's: of one that can't be read, or
    is of a later version, nobody knows what belongs to it. Raises BadMachine, PermissionError."""
    return _active(rooms, contextlib.nullcontext())


def _active(rooms: Rooms, unreadable: contextlib.AbstractContextManager[object]) -> list[Request]:
    found = []
    for name in os.listdir(rooms.running):  # not glob, which shows an empty folder to strangers
        if name.startswith(".") or not name.endswith(".json"):
            continue
        with contextlib.suppress(FileNotFoundError, IsADirectoryError), unreadable:
            found.append(requestfile.read(rooms.running / name))
    return sorted(found, key=lambda one: one.sequence)


def is_known(rooms: Rooms, identifier: str) -> bool:
    """Has a runner accepted it, now or long ago?"""
    running = rooms.running / f"{identifier}.json"
    return running.exists() or Requests(rooms).find_done(identifier) is not None


def refusal(rooms: Rooms, name: str) -> str:
    """Why a file dropped under this name was rejected, or ""."""
    for path in rooms.rejected.glob(f"*-{name}.error.json"):
        return str(json.loads(path.read_bytes())["message"])
    return ""


def _meant(request: Request, part: str) -> Iterator[Meant]:
    """The request if its own identifier is meant, else those of its jobs that are."""
    if not part:
        return
    if part in request.identifier:
        yield Meant(request)
        return
    for job in request.jobs:
        if part in (job.reference, job.action) or part in job.identifier:
            yield Meant(request, job)


def _exact(found: list[Meant], part: str) -> list[Meant]:
    """The one whose whole identifier it is: else nobody could mean r1 while there is an r10."""
    return [one for one in found if one.identifier == part] or found
