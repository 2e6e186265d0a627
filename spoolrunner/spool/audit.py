"""audit/: one file for each month, to whose end lines are added, and nothing else ever done to it.

    audit/2026-11.jsonl        {"format":1,"at":"2026-11-26T21:40:12.123Z","event":"accept",...}

The runner writes there, and whoever gives commands, at the same time: each waits for its turn (a
lock on the folder), reads the last line, and adds its own with that one's hash in them. What a
crash left of a line is never cut off: a newline is put behind it, and the next line holds the hash
of what lies there, so that a line that was torn is told from one that was changed.

A new month is a new file; no file is ever renamed, so nothing is lost in between. If the clock goes
back, the newest file goes on. Nobody but a person removes one.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spoolrunner import files
from spoolrunner.audit import Event, link
from spoolrunner.errors import BadMachine
from spoolrunner.lock import turn
from spoolrunner.record import NEWER, changed, from_json, to_line
from spoolrunner.spool.rooms import Rooms

NAME = re.compile(r"\d{4}-\d\d\.jsonl", re.ASCII)
PIECE_BYTES = 1 << 14


@dataclass(frozen=True)
class Line:
    """number: from 1. link: its hash, as the next line has it. event: None if it is torn.
    sealed: it has an end, so others follow it. follows: it holds the hash of the line before it."""

    path: Path
    number: int
    link: str
    event: Event | None
    sealed: bool
    follows: bool


class Trail:
    """The writer's side; any number of them in any number of processes."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._named: Path | None = None  # whose name is sure to outlive a power cut

    def append(self, events: Sequence[Event], now: str) -> None:
        """Add these, in one write; they are on disk when this returns.

        Raises OSError: then they may be there or not, and nothing that they tell of may be done.
        """
        folder = self._rooms.audit
        with turn(folder):
            known = months(folder)
            last, torn = _end(known)
            if torn:
                files.append_flushed(torn, b"\n")
            path = max([*known, folder / f"{now[:7]}.jsonl"])
            data = b""
            for event in events:
                line = to_line(changed(event, at=now, before=last))
                last = link(line[:-1])
                data += line
            owner = _owner(folder) if path not in known else None
            files.append_flushed(path, data, owner=owner)
            if path != self._named:
                files.sync_folder(folder)
                self._named = path


def _owner(folder: Path) -> tuple[int, int] | None:
    """Whose a file that root makes has to be, so that the runner can go on with it."""
    about = os.stat(folder)
    return (about.st_uid, about.st_gid) if os.geteuid() == 0 else None


def months(folder: Path) -> list[Path]:
    """Its files, oldest first. Raises PermissionError."""
    return [folder / name for name in sorted(os.listdir(folder)) if NAME.fullmatch(name)]


def sizes(rooms: Rooms) -> dict[Path, int]:
    """In bytes, oldest file first, when nobody is in the middle of a line. Raises OSError."""
    with turn(rooms.audit):
        return {path: os.stat(path).st_size for path in months(rooms.audit)}


def read(rooms: Rooms, since: str = "") -> Iterator[Line]:
    """Every line from the month of `since` on, as they are at this moment, torn ones too.

    Raises BadMachine for a line of a later format (record.NEWER), OSError.
    """
    known = sizes(rooms)
    earlier = [path for path in known if path.name < since[:7]]
    last = _end(earlier)[0] if earlier else None
    for path in [*known][len(earlier) :]:
        for line in _lines(path, known[path], last):
            yield line
            last = line.link


def _lines(path: Path, size: int, last: str | None) -> Iterator[Line]:
    """last: link of the line before; None: nobody knows it."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(max(0, size - file.tell())):
            number += 1
            line = raw.removesuffix(b"\n")
            event = _event(line, f"{path}:{number}")
            follows = event is None or last is None or event.before == last
            last = link(line)
            yield Line(path, number, last, event, line != raw, follows)


def _event(line: bytes, name: str) -> Event | None:
    try:
        return from_json(line, Event, name)
    except BadMachine as error:
        if error.kind == NEWER:
            raise
        return None


def _end(paths: Sequence[Path]) -> tuple[str, Path | None]:
    """The link of the last line, "" if there is none; and where that is, if it has no newline."""
    for path in reversed(paths):
        if last := _last_line(path):
            line = last.removesuffix(b"\n")
            return link(line), path if line == last else None
    return "", None


def _last_line(path: Path) -> bytes:
    """With its newline, if it has one; b"" of an empty file."""
    with path.open("rb") as file:
        start = file.seek(0, os.SEEK_END)
        found = b""
        while start and b"\n" not in found[:-1]:
            step = min(start, max(PIECE_BYTES, len(found)))
            start = file.seek(start - step)
            found = file.read(step) + found
    return found[found.rfind(b"\n", 0, -1) + 1 :]
