"""The outbox: reports of requests, waiting until job-server has confirmed them.

    outbox/ID.SEQ.json      SEQ grows with each change of the request; a name is never used twice
    outbox/sent/ID.json     what the server heard last of a request; gone when it heard the end
    outbox/refused/ID.json  what it would not take, and beside it ID.error.json with its answer

The report of a request's end is flushed here before the request moves to done/, so no end is ever
forgotten, however long the server is away. Only the newest report of a request is sent; confirming
it removes exactly that file, never one that was written meanwhile. What was sent last is kept, so
that an older report that turns up again (a backup laid over the spool) is known for what it is, and
so that jobs of which the server has heard nothing are known too: they are introduced to it first.
Only the uploader writes in sent/ and refused/.
"""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spoolrunner import files
from spoolrunner.errors import BadMachine
from spoolrunner.record import Record, from_json, to_json
from spoolrunner.spool.rooms import Rooms

FORMAT = 1
SEQUENCE_DIGITS = 16
NOTHING = -1  # below every SEQ
REFUSED = "refused"
SENT = "sent"
TROUBLE = ".trouble.json"
FACT = ".fact.json"
ERROR = ".error.json"


class Report(Record, kw_only=True):
    """jobs: as job-server wants them, all of the request. final: it is the request's last.

    url: where a v1 request is answered, "" for v2; answer: what it is answered with.
    """

    format: int = FORMAT
    request: str
    sequence: int
    final: bool = False
    jobs: list[dict[str, Any]] = []
    url: str = ""
    answer: dict[str, Any] = {}


class Refusal(Record, kw_only=True):
    """Beside a refused report. message: our sentence. answer: the server's own words."""

    format: int = FORMAT
    error: str = "report_refused"
    message: str
    answer: str
    refused_at: str


@dataclass(frozen=True)
class Waiting:
    """One file of the outbox, by its name alone."""

    path: Path
    request: str
    sequence: int


def put(rooms: Rooms, disk: files.Changes, report: Report) -> Waiting:
    """Durable when the caller's changes are flushed."""
    name = f"{report.request}.{report.sequence:0{SEQUENCE_DIGITS}}.json"
    disk.write(rooms.outbox / name, to_json(report))
    return Waiting(rooms.outbox / name, report.request, report.sequence)


def waiting(rooms: Rooms) -> dict[str, list[Waiting]]:
    """Request -> its reports, oldest first; the request that waits longest comes first."""
    found: dict[str, list[Waiting]] = {}
    for one in sorted(_all(rooms), key=lambda one: one.sequence):
        found.setdefault(one.request, []).append(one)
    return found


class Torn(BadMachine):
    """A file in the outbox is no report that this version wrote."""


def read(one: Waiting) -> Report | None:
    """None if it is gone: a newer one stands for it. Raises Torn."""
    try:
        return from_json(one.path.read_bytes(), Report, str(one.path))
    except FileNotFoundError:
        return None
    except BadMachine as error:
        raise Torn(error.message, kind=error.kind, hint=error.hint) from error


def confirm(rooms: Rooms, one: Waiting, report: Report) -> None:
    """The server has this report: exactly this file leaves the outbox."""
    files.make_folder(rooms.outbox / SENT)
    with files.Changes() as disk:
        if report.final:
            disk.remove(one.path)
            _forget(rooms, disk, SENT, one.request)
        else:
            _keep(rooms, disk, one, report)
        _forget(rooms, disk, REFUSED, one.request)


def discard(stale: Iterable[Waiting]) -> None:
    """They say nothing that the server should still hear."""
    with files.Changes() as disk:
        for one in stale:
            disk.remove(one.path)


def expect(rooms: Rooms, request: str) -> None:
    """The server names a request and has heard nothing of its jobs: they are to be introduced.

    What it has heard already stands.
    """
    path = _path(rooms, SENT, request)
    if not path.exists():
        files.make_folder(path.parent)
        note_heard(rooms, [Report(request=request, sequence=NOTHING)])


def note_heard(rooms: Rooms, reports: Iterable[Report]) -> None:
    """This is what the server has heard of them; durable when it returns."""
    with files.Changes() as disk:
        for report in reports:
            disk.write(_path(rooms, SENT, report.request), to_json(report))


def heard(rooms: Rooms, request: str) -> Report | None:
    """What the server heard last; no jobs and NOTHING while it is expected. None: it has heard the
    end, or nobody knows (what is torn says nothing)."""
    path = _path(rooms, SENT, request)
    with contextlib.suppress(FileNotFoundError, BadMachine):
        return from_json(path.read_bytes(), Report, str(path))
    return None


def forget_sent(rooms: Rooms, kept: set[str]) -> None:
    """What was sent of requests that are neither active, waiting nor listed matters to nobody."""
    with files.Changes() as disk:
        for request in _names(rooms.outbox / SENT) - kept:
            _forget(rooms, disk, SENT, request)


def set_aside(rooms: Rooms, refused: Waiting, reason: Refusal) -> None:
    """The server will not take this one; kept with what it said, for a person: the last of each
    request, until the server takes another."""
    with files.Changes() as disk:
        disk.write(rooms.outbox / REFUSED / f"{refused.request}{ERROR}", to_json(reason))
        with contextlib.suppress(FileNotFoundError):
            disk.replace(refused.path, _path(rooms, REFUSED, refused.request))


def refused(rooms: Rooms) -> list[str]:
    """Requests of which the server would not take the last report. Raises PermissionError."""
    names = os.listdir(rooms.outbox / REFUSED)
    return sorted(name.removesuffix(ERROR) for name in names if name.endswith(ERROR))


def note_trouble(rooms: Rooms, sentence: str) -> bool:
    """Why nothing can be sent now, for `status`; "" when all is well. True if that is news."""
    return _note(rooms, TROUBLE, sentence)


def trouble(rooms: Rooms) -> str:
    return _noted(rooms, TROUBLE)


def note_fact(rooms: Rooms, sentence: str) -> bool:
    """What is to be known of the server and asks nobody to act, for `status`; or "". True if that
    is news."""
    return _note(rooms, FACT, sentence)


def fact(rooms: Rooms) -> str:
    return _noted(rooms, FACT)


def _note(rooms: Rooms, name: str, sentence: str) -> bool:
    if sentence == _noted(rooms, name):
        return False
    with files.Changes() as disk:
        if sentence:
            disk.write(rooms.outbox / name, to_json(sentence))
        else:
            disk.remove(rooms.outbox / name)
    return True


def _noted(rooms: Rooms, name: str) -> str:
    path = rooms.outbox / name
    with contextlib.suppress(FileNotFoundError, PermissionError, BadMachine):
        return from_json(path.read_bytes(), str, str(path))
    return ""


def _all(rooms: Rooms) -> list[Waiting]:
    found = []
    for name in os.listdir(rooms.outbox):
        request, _, sequence = name.removesuffix(".json").rpartition(".")
        if request and sequence.isdigit() and not name.startswith("."):
            found.append(Waiting(rooms.outbox / name, request, int(sequence)))
    return found


def _keep(rooms: Rooms, disk: files.Changes, one: Waiting, report: Report) -> None:
    try:
        disk.replace(one.path, _path(rooms, SENT, one.request))
    except FileNotFoundError:  # a newer one took its place while it was being sent
        disk.write(_path(rooms, SENT, one.request), to_json(report))


def _names(folder: Path) -> set[str]:
    try:
        return {name.removesuffix(".json") for name in os.listdir(folder) if name[0] != "."}
    except FileNotFoundError:
        return set()


def _forget(rooms: Rooms, disk: files.Changes, room: str, request: str) -> None:
    """Looked at first: a flush of a folder in which nothing changed costs as much as any."""
    path = _path(rooms, room, request)
    if os.path.lexists(path):
        disk.remove(path)
        if room == REFUSED:
            disk.remove(path.with_name(f"{request}{ERROR}"))


def _path(rooms: Rooms, room: str, request: str) -> Path:
    return rooms.outbox / room / f"{request}.json"
