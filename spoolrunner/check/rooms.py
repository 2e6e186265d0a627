"""The rooms: does each hold what it should, and nothing else?

What may lie where is one table. A file that does not belong there is moved aside, never deleted.
"""

import os
import re
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from spoolrunner import files
from spoolrunner.check.ground import Ground, draft, hidden, is_draft, names
from spoolrunner.check.kinds import Finding
from spoolrunner.errors import BadMachine
from spoolrunner.request import IDENTIFIER
from spoolrunner.spool import audit, requestfile, requests
from spoolrunner.spool.inbox import printable
from spoolrunner.spool.requests import Whereabouts

ID = IDENTIFIER.pattern
# Room -> names of the files that are ours. Where a large file gets a second one beside it that is
# only appended to, its name belongs here too.
OURS = {
    "running": re.compile(rf"{ID}\.(json|notes)"),
    ".claims": re.compile(r"[a-z2-7]{16}\.json"),
    "workspaces": re.compile(r"[a-z0-9_-]+\.(json|notes)"),
    "outbox": re.compile(rf"{ID}\.\d+\.json|\.(trouble|fact)\.json"),
    "outbox/sent": re.compile(rf"{ID}\.json"),
    "outbox/refused": re.compile(rf"{ID}(\.error)?\.json"),
    "audit": audit.NAME,
}
FOLDERS = {"outbox": {"sent", "refused"}}
# Commands write here while they like, so nothing but a draft can be out of place.
OTHERS = ("control", "control/cancel", "control/kill", "rejected")


def rooms(ground: Ground) -> Iterator[Finding]:
    for name, ours in OURS.items():
        yield from _strangers(ground, name, ours)
    for name in OTHERS:
        for each in names(ground.rooms.folder / name):
            if is_draft(each):
                yield from draft(ground.rooms.folder / name / each)
    yield from _inbox(ground)
    yield from _claims(ground)
    yield from _running(ground)


def _strangers(ground: Ground, room: str, ours: re.Pattern[str]) -> Iterator[Finding]:
    folder = ground.rooms.folder / room
    for name in names(folder):
        path = folder / name
        if is_draft(name):
            yield from draft(path)
        elif not (ours.fullmatch(name) or name in FOLDERS.get(room, ())):
            what = f"{printable(name)} is none of the files that belong in {room}/."
            yield Finding("stranger", str(path), what, ground.aside(path, "stranger", what))


def _inbox(ground: Ground) -> Iterator[Finding]:
    """Nothing in it is ever unlinked by its name: its writer may only be slow."""
    try:
        found = names(ground.rooms.inbox)
    except PermissionError:
        return  # only the runner's user may list it
    ground.count("files in the inbox", len(found))
    for name in found:
        path = ground.rooms.inbox / name
        for one in draft(path) if is_draft(name) else ():
            yield Finding(one.kind, one.where, one.what, ground.aside(path, one.kind, one.what))


def _claims(ground: Ground) -> Iterator[Finding]:
    for name in names(ground.rooms.claims):
        if OURS[".claims"].fullmatch(name):
            ground.count("claims")
            path = ground.rooms.claims / name
            yield Finding("left_claim", str(path), "The next start of a runner reads it.")


def _running(ground: Ground) -> Iterator[Finding]:
    for name in names(ground.rooms.running):
        if not hidden(name) and name.endswith(".json") and OURS["running"].fullmatch(name):
            ground.count("active requests")
            yield from _active(ground, ground.rooms.running / name)


def _active(ground: Ground, path: Path) -> Iterator[Finding]:
    """As the runner sees it at its start, which does the same."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        what = "It is not a regular file."
        yield Finding("torn_file", str(path), what, ground.aside(path, "torn_file", what))
        return
    try:
        request = requestfile.read(path)
    except FileNotFoundError:
        return
    except BadMachine as error:
        yield ground.unreadable("torn_file", path, error)
        return
    if request.identifier != path.stem:
        what = f"It holds the request {request.identifier}."
        yield Finding("wrong_name", str(path), what, ground.aside(path, "wrong_name", what))
        return
    try:
        where = requests.find_done(ground.rooms, path.stem)
    except BadMachine as error:  # written anew when the request ends
        entry = requests.index_path(ground.rooms, path.stem)
        yield ground.unreadable("torn_file", entry, error)
        return
    if where is not None:
        yield from _twice(ground, path, where)


def _twice(ground: Ground, path: Path, where: Whereabouts) -> Iterator[Finding]:
    """A crash between the entry in index/ and the move leaves the entry alone: that is no harm."""
    done = requests.done_path(ground.rooms, where.identifier, where.day)
    if not os.path.lexists(done):
        return
    what = f"It is {done} too."
    same = os.path.samestat(os.lstat(path), os.lstat(done))
    mend = partial(_unlink, path, done) if same else ground.aside(path, "two_rooms", what)
    yield Finding("two_rooms", str(path), what, mend)


def _unlink(path: Path, done: Path) -> None:
    with files.Changes() as disk:
        disk.move(path, done)
