"""Finding a request, a job or a failure by any unambiguous part of its id.

Operators on a sealed server have no copy and paste (reference 6, row 37). Active requests and the
last that ended are searched by part; older ones are found by the whole identifier or reference.
"""

import contextlib
import json
import os

from spoolrunner.errors import BadInput, BadMachine
from spoolrunner.request import IDENTIFIER, Job, Request
from spoolrunner.spool import requestfile, requests
from spoolrunner.spool.requests import Requests
from spoolrunner.spool.rooms import Rooms

MOST_SHOWN = 10


def active(rooms: Rooms, part: str) -> Request:
    """The active request that a part of an id means. Raises BadInput for none or several."""
    found = [one for one in all_active(rooms) if _is_meant(one, part)]
    return _only(found, part, "active request")


def any_request(rooms: Rooms, part: str) -> Request:
    """The active or finished request that this means. Raises BadInput for none or several."""
    store = Requests(rooms)
    if IDENTIFIER.fullmatch(part) and (exact := store.read_done(part)):
        return exact
    # By identifier: one may be finished between the two looks.
    found = {one.identifier: one for one in all_active(rooms) if _is_meant(one, part)}
    for ended in requests.recent(rooms):
        done = store.read_done(ended.identifier)
        if done and _is_meant(done, part):
            found[done.identifier] = done
    return _only(list(found.values()), part, "request, job or reference")


def jobs_meant(request: Request, part: str) -> list[Job]:
    """The jobs of it that a part of an id means; all of them if it is the request that is meant."""
    if part in request.identifier:
        return request.jobs
    meant = [job for job in request.jobs if _means(job, part)]
    return meant or request.jobs


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


def _is_meant(request: Request, part: str) -> bool:
    in_jobs = any(_means(job, part) for job in request.jobs)
    return bool(part) and (part in request.identifier or in_jobs)


def _means(job: Job, part: str) -> bool:
    return part in (job.reference, job.action) or part in job.identifier


def _only(found: list[Request], part: str, what: str) -> Request:
    if not found:
        raise BadInput(
            f"There is no {what} {part!r}.", kind="unknown_id", hint="See `spoolrunner status`."
        )
    exact = [one for one in found if one.identifier == part]
    if exact:  # else nobody could mean r1 while there is an r10
        return exact[0]
    if len(found) > 1:
        names = ", ".join(one.identifier for one in found[:MOST_SHOWN])
        raise BadInput(f"{part!r} may mean any of: {names}.", kind="ambiguous_id")
    return found[0]
