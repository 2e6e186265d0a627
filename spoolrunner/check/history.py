"""History: do done/, index/ and recent.json agree, and is no number given twice?

There may be a million finished requests, so only the newest are looked at unless all are asked for.
"""

import contextlib
import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from spoolrunner import files
from spoolrunner.check.ground import Ground, days, draft, is_draft, names, said
from spoolrunner.check.kinds import Finding
from spoolrunner.errors import BadMachine
from spoolrunner.record import NEWER, from_json
from spoolrunner.request import Request
from spoolrunner.spool import recent, registry, requestfile, requests
from spoolrunner.spool.recent import Ended
from spoolrunner.spool.requests import Whereabouts
from spoolrunner.spool.rooms import Rooms

NEWEST = 200  # finished requests that are looked at by default
NEWEST_DAYS = 7
MARGIN = 1_000_000  # what may have been given and is known nowhere any more
DAY = re.compile(r"\d{4}-\d\d-\d\d")


def history(ground: Ground) -> Iterator[Finding]:
    ground.files_headway.expect(sum(1 for _ in finished(ground)))
    for path in finished(ground):
        ground.count("finished requests")
        ground.files_headway.add()
        yield from _done(ground, path)
    for folder in islice(days(ground.rooms), None if ground.everything else NEWEST_DAYS):
        yield from _strange_day(ground, folder)
    if ground.everything:
        yield from _index(ground)
    yield from _recent(ground)
    yield from _sequence(ground)


def finished(ground: Ground) -> Iterator[Path]:
    """Files of done/, newest day first: some, or all."""
    yield from islice(_files(ground.rooms), None if ground.everything else NEWEST)


def _files(rooms: Rooms) -> Iterator[Path]:
    for folder in days(rooms):
        yield from (folder / name for name in names(folder) if name.endswith(".json"))


def _strange_day(ground: Ground, folder: Path) -> Iterator[Finding]:
    if not DAY.fullmatch(folder.name) or not folder.is_dir():
        what = f"{folder.name!a} is not the folder of a day."
        yield Finding("stranger", str(folder), what, ground.aside(folder, "stranger", what))
        return
    for name in names(folder):
        path = folder / name
        if is_draft(name):
            yield from draft(path)
        elif not name.endswith(".json"):
            what = "It is no request file."
            yield Finding("stranger", str(path), what, ground.aside(path, "stranger", what))


def _done(ground: Ground, path: Path) -> Iterator[Finding]:
    try:
        request = requestfile.read(path)
    except FileNotFoundError:
        return  # moved away meanwhile
    except (BadMachine, OSError) as error:
        yield ground.unreadable("torn_file", path, error)
        return
    day = requests.day_of(request)
    if request.identifier != path.stem:
        what = f"It holds the request {request.identifier}."
        yield Finding("wrong_name", str(path), what, ground.aside(path, "wrong_name", what))
    elif day != path.parent.name:
        what = f"It ended on {day}."
        yield Finding("wrong_name", str(path), what, partial(_to_its_day, ground, path, request))
    else:
        yield from _entered(ground, path, request)


def _to_its_day(ground: Ground, path: Path, request: Request) -> None:
    target = requests.done_path(ground.rooms, request.identifier, requests.day_of(request))
    try:
        with files.Changes() as disk:
            files.make_folder(target.parent)
            disk.move(path, target)
    except FileExistsError:
        ground.aside(path, "two_rooms", f"{target} is there already.")()
    _enter(ground.rooms, request)


def _entered(ground: Ground, path: Path, request: Request) -> Iterator[Finding]:
    try:
        where = requests.find_done(ground.rooms, request.identifier)
    except BadMachine as error:
        if error.kind == NEWER:
            return
        where = None
    if where is None or (where.identifier, where.day) != (path.stem, path.parent.name):
        what = "index/ does not say that it lies here."
        yield Finding("done_without_index", str(path), what, partial(_enter, ground.rooms, request))


def _enter(rooms: Rooms, request: Request) -> None:
    with files.Changes() as disk:
        requests.enter_done(rooms, disk, request.identifier, requests.day_of(request))


def _index(ground: Ground) -> Iterator[Finding]:
    """After done/: an entry that was torn and whose request lies there has been written anew."""
    for shard in names(ground.rooms.index):
        for name in names(ground.rooms.index / shard):
            path = ground.rooms.index / shard / name
            if is_draft(name):
                yield from draft(path)
                continue
            ground.count("entries of index/")
            yield from _entry(ground, path)


def _entry(ground: Ground, path: Path) -> Iterator[Finding]:
    try:
        where = from_json(path.read_bytes(), Whereabouts, str(path))
    except OSError as error:
        yield ground.unreadable("torn_file", path, error)
        return
    except BadMachine as error:
        # Not moved: while it lies here, torn, its identifier can't be used again.
        kind = NEWER if error.kind == NEWER else "torn_file"
        yield Finding(kind, str(path), said(path, error))
        return
    done = requests.done_path(ground.rooms, where.identifier, where.day)
    running = ground.rooms.running / f"{where.identifier}.json"
    if not done.exists() and not running.exists():
        what = f"It ended on {where.day}; its file is no longer there."
        yield Finding("index_without_request", where.identifier, what)


def _recent(ground: Ground) -> Iterator[Finding]:
    path = ground.rooms.recent
    try:
        from_json(path.read_bytes(), list[Ended], str(path))
    except FileNotFoundError:
        return
    except BadMachine as error:
        mend = partial(_make_recent, ground.rooms)
        yield Finding("torn_recent", str(path), said(path, error), mend)


def _make_recent(rooms: Rooms) -> None:
    found = sorted(_newest(rooms), key=lambda one: one.completed_at or "", reverse=True)
    with files.Changes() as disk:
        recent.make_anew(rooms, disk, found)


def _newest(rooms: Rooms) -> list[Request]:
    """Whole days, because a day's files lie in no order."""
    found: list[Request] = []
    for folder in days(rooms):
        if len(found) >= recent.MOST:
            break
        for name in names(folder):
            with contextlib.suppress(BadMachine, OSError):
                found.append(requestfile.read(folder / name))
    return found


def _sequence(ground: Ground) -> Iterator[Finding]:
    where = ground.rooms.locks / requests.SEQUENCE
    try:
        reserved = requests.last_sequence(ground.rooms)
        what = ""
    except BadMachine as error:
        reserved, what = 0, said(where, error)
    highest = _highest(ground)
    if what or highest > reserved:
        what = what or f"It says {reserved}, but {highest} was given."
        mend = partial(requests.reserve_sequence, ground.rooms, highest + MARGIN)
        yield Finding("sequence_behind", str(where), what, mend)


def _highest(ground: Ground) -> int:
    """Of what is active, what workspaces tell of, and what ended last."""
    known = [0]
    for request in (*ground.active(), *_newest(ground.rooms)):
        known += [request.sequence, *(job.sequence for job in request.jobs)]
    for name in names(ground.rooms.workspaces):
        with contextlib.suppress(BadMachine):
            index = registry.find(ground.rooms, Path(name).stem)
            known += [state.newest.sequence for state in index.actions.values()] if index else []
    return max(known)
