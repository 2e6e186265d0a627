"""Orders: what the operator wants done once, as files in control/ (what lasts are flags).

    control/cancel/ID[@ACTION]     a person's wish; control/kill/...: an operator's
    control/wake                   look again, at once

An order is unlinked when it has been carried out, so a restart carries it out again.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from spoolrunner import files
from spoolrunner.request import Job, Request
from spoolrunner.spool.rooms import Rooms

WAKE = "wake"
BY = {"cancel": "user", "kill": "admin"}


@dataclass(frozen=True)
class Order:
    """by: "user" or "admin". action "": all of the request."""

    path: Path
    by: str
    identifier: str
    action: str


def orders(rooms: Rooms) -> list[Order]:
    """Every order not carried out yet."""
    found = []
    for verb, by in BY.items():
        for name in _names(rooms.control / verb):
            identifier, _, action = name.partition("@")
            found.append(Order(rooms.control / verb / name, by, identifier, action))
    return found


def give(rooms: Rooms, verb: str, identifier: str, action: str = "") -> None:
    """Leave an order for the mover. Raises OSError if control/ can't be written."""
    name = f"{identifier}@{action}" if action else identifier
    files.make_folder(rooms.control / verb)
    with files.Changes() as disk:
        disk.touch(rooms.control / verb / name)


def poke(rooms: Rooms) -> None:
    """Have a mover that may be waiting look again, also at what it would only look at later."""
    with files.Changes() as disk:
        disk.touch(rooms.control / WAKE)


def was_poked(rooms: Rooms) -> bool:
    """Since it was last asked."""
    poked = (rooms.control / WAKE).exists()
    if poked:
        with files.Changes() as disk:
            disk.remove(rooms.control / WAKE)
    return poked


def done(given: list[Order]) -> None:
    with files.Changes() as disk:
        for order in given:
            disk.remove(order.path)


def meant(order: Order, request: Request) -> list[Job]:
    """The jobs of the request that an order is about and that have not ended."""
    return [job for job in request.jobs if job.active and order.action in ("", job.action)]


def _names(folder: Path) -> list[str]:
    """Of regular files: nothing else is an order, and a folder could not be unlinked."""
    try:
        with os.scandir(folder) as entries:
            found = [each.name for each in entries if each.is_file(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return sorted(name for name in found if not name.startswith("."))
