"""The outbox: reports of requests, waiting until job-server has confirmed them.

    outbox/ID.SEQ.json     SEQ grows with each change of the request; a name is never used twice

The report of a request's end is flushed here before the request moves to done/, so no end is ever
forgotten, however long the server is away. Only the newest report of a request is sent; confirming
it removes that one and the older ones, never one that was written meanwhile.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spoolrunner import files
from spoolrunner.record import Record, from_json, to_json
from spoolrunner.spool.rooms import Rooms

FORMAT = 1
SEQUENCE_DIGITS = 16
REFUSED = "refused"
TROUBLE = ".trouble.json"


class Report(Record, kw_only=True):
    """jobs: as job-server wants them, all of the request. final: it is the request's last.

    introduces: it says that the jobs exist and wait, and is sent even when a newer one lies here:
    servers before November 2022 write no mail about a job that they first see ended.
    url: where a v1 request is answered, "" for v2; answer: what it is answered with.
    """

    format: int = FORMAT
    request: str
    sequence: int
    final: bool = False
    introduces: bool = False
    jobs: list[dict[str, Any]] = []
    url: str = ""
    answer: dict[str, Any] = {}


@dataclass(frozen=True)
class Waiting:
    """One file of the outbox, by its name alone."""

    path: Path
    request: str
    sequence: int


def put(rooms: Rooms, disk: files.Changes, report: Report) -> None:
    """Durable when the caller's changes are flushed."""
    disk.write(_path(rooms, report.request, report.sequence), to_json(report))


def waiting(rooms: Rooms) -> dict[str, list[Waiting]]:
    """Request -> its reports, oldest first; the request that waits longest comes first."""
    found: dict[str, list[Waiting]] = {}
    for one in sorted(_all(rooms), key=lambda one: one.sequence):
        found.setdefault(one.request, []).append(one)
    return found


def read(one: Waiting) -> Report:
    """Raises FileNotFoundError if it is gone, BadMachine if it is torn."""
    return from_json(one.path.read_bytes(), Report, str(one.path))


def confirm(sent: list[Waiting]) -> None:
    """The server has these, or newer ones: exactly these files are removed."""
    with files.Changes() as disk:
        for one in sent:
            disk.remove(one.path)


def set_aside(rooms: Rooms, refused: Waiting, message: str, now: str) -> None:
    """The server will never take this one; kept with what it said, for a person."""
    aside = rooms.outbox / REFUSED
    reason = {"error": "report_refused", "message": message, "refused_at": now}
    with files.Changes() as disk:
        disk.write(aside / f"{refused.path.name}.error.json", to_json(reason))
        disk.move(refused.path, aside / refused.path.name)


def note_trouble(rooms: Rooms, sentence: str) -> None:
    """Why nothing can be sent now, for `status`; "" when all is well. Written when it changes."""
    if sentence != trouble(rooms):
        with files.Changes() as disk:
            disk.write(rooms.outbox / TROUBLE, to_json(sentence))


def trouble(rooms: Rooms) -> str:
    try:
        path = rooms.outbox / TROUBLE
        return from_json(path.read_bytes(), str, str(path))
    except (FileNotFoundError, PermissionError):
        return ""


def _all(rooms: Rooms) -> list[Waiting]:
    found = []
    for name in os.listdir(rooms.outbox):
        request, _, sequence = name.removesuffix(".json").rpartition(".")
        if request and sequence.isdigit() and not name.startswith("."):
            found.append(Waiting(rooms.outbox / name, request, int(sequence)))
    return found


def _path(rooms: Rooms, request: str, sequence: int) -> Path:
    return rooms.outbox / f"{request}.{sequence:0{SEQUENCE_DIGITS}}.json"
