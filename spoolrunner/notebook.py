"""A notebook: a file of ours that is written whole, and beside it notes of what has changed since.

    running/ID.json     the whole file, as it was when it was last written whole
    running/ID.notes    {"follows": its sha256}, then a line of JSON for each change since

Rewriting a file of 2,500 jobs for each thing that happens to one of them costs bytes that grow with
the square of their number; a note costs what it says. When the notes would outweigh the file it is
written whole again, so all together stays within a small factor of the notes. A small file is
always written whole: `cat` tells the truth.

Notes belong to the very bytes they follow. Renaming a new whole file into place makes them void in
that instant, whatever becomes of them; and they can never be taken for another file's, nor for one
that a person has changed. A last line that is torn was never acknowledged and is ignored.
Knows: files, record, errors. Not what the files say.
"""

import hashlib
import logging
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from spoolrunner import files
from spoolrunner.errors import BadMachine
from spoolrunner.record import Frozen, from_json, to_line

log = logging.getLogger(__name__)

SMALL_BYTES = 64 << 10  # up to this a file is always written whole
MOST_BYTES = 1 << 30

Mark = tuple[int, int, int]

_WRITING: dict[Path, threading.Lock] = {}


class Heading(Frozen, frozen=True):
    """The first line of the notes. follows: sha256 in hex of the whole file."""

    follows: str


@dataclass(frozen=True)
class Written:
    """whole: the file's bytes. notes: lines of JSON that follow it, oldest first."""

    whole: bytes
    notes: list[bytes] = field(default_factory=list)


def notes_of(path: Path) -> Path:
    return path.with_suffix(".notes")


def lying(path: Path) -> list[Path]:
    """The file and its notes, as far as they are there."""
    return [each for each in (path, notes_of(path)) if os.path.lexists(each)]


def writing(path: Path) -> threading.Lock:
    """To be held by the threads of one process that each read a file, change it and write it."""
    return _WRITING.setdefault(path, threading.Lock())


def read(path: Path) -> Written:
    """A file and its notes, as they were together at one moment; the writer may be at work.

    Raises FileNotFoundError, OSError as files.read_regular.
    """
    whole, beside = copied(path)
    return Written(whole, _following(whole, beside, notes_of(path)))


def copied(path: Path) -> tuple[bytes, bytes | None]:
    """The bytes of a file and of its notes (None: it has none), as they were together at one
    moment, whatever they say."""
    while True:
        whole, about = files.read_regular(path, MOST_BYTES)
        beside = _bytes_of(notes_of(path))
        # Replaced since: then what we have may lack the notes that the new one holds already.
        if mark_of(path) == _mark(about):
            return whole, beside


def notes_on(whole: bytes, path: Path) -> list[bytes]:
    """The notes at path, if it is these bytes that they follow."""
    return _following(whole, _bytes_of(path), path)


def _bytes_of(path: Path) -> bytes | None:
    try:
        return files.read_regular(path, MOST_BYTES)[0]
    except FileNotFoundError:
        return None


def _following(whole: bytes, data: bytes | None, path: Path) -> list[bytes]:
    if data is None:
        return []
    heading, _, rest = data.partition(b"\n")
    *notes, torn = rest.split(b"\n")
    if notes and not _is_whole(notes[-1]):
        torn = notes.pop()
    if torn:
        log.debug("%s: a last note that was never finished is ignored", path)
    if from_json(heading, Heading, str(path)).follows != hashlib.sha256(whole).hexdigest():
        log.debug("%s: these notes follow another file and are void", path)
        return []
    return notes


def _is_whole(note: bytes) -> bool:
    """A power cut can leave a line's end without its middle."""
    try:
        from_json(note, object, "note")
    except BadMachine:
        return False
    return True


class Notebook:
    """The writer's side of one file: one writer, whom `untouched` tells of anybody else's hand."""

    def __init__(self, path: Path, mode: int = files.PRIVATE_FILE) -> None:
        self.path = path
        self._notes_path = notes_of(path)
        self._mode = mode
        self._follows = ""
        self._whole: Mark | None = None
        self._whole_bytes = 0
        self._notes: Mark | None = None
        self._notes_bytes = 0

    def seen(self) -> None:
        """Somebody else wrote the file that lies there, and it is to stay as it is."""
        self._follows = ""
        self._whole, self._notes = mark_of(self.path), mark_of(self._notes_path)

    def read(self) -> Written:
        """The file as it is now, whoever wrote it."""
        self.seen()
        return read(self.path)

    @property
    def untouched(self) -> bool:
        """Is the file as it was last seen or written here?"""
        return mark_of(self.path) == self._whole

    @property
    def current(self) -> bool:
        """The file and its notes?"""
        return self.untouched and mark_of(self._notes_path) == self._notes

    @property
    def has_notes(self) -> bool:
        return os.path.lexists(self._notes_path)

    def note(self, change: object) -> bool:
        """Add what has changed; durable when this returns. False: the file has to be written whole.

        That is so for a small file, when the notes outweigh it, and until it was written here:
        what another process began, or an error cut short, is not continued.
        """
        if not self._follows or not self.current:
            return False
        line = to_line(change)
        if self._notes_bytes + len(line) > self._whole_bytes:
            return False
        follows, self._follows = self._follows, ""  # a flush that fails is never tried again
        self._append(follows, line)
        self._notes = mark_of(self._notes_path)
        self._notes_bytes += len(line)
        self._follows = follows
        return True

    def _append(self, follows: str, line: bytes) -> None:
        if self._notes is not None:
            files.append_flushed(self._notes_path, line, self._mode)
            return
        with files.Changes() as disk:
            disk.write(self._notes_path, to_line(Heading(follows)) + line, self._mode)

    def write(self, disk: files.Changes, whole: bytes) -> None:
        """Write the file whole: what was noted is void from now on, and removed."""
        self._follows = ""
        disk.write(self.path, whole, self._mode)
        self._whole = mark_of(self.path)  # at once: it is nobody else's hand if the next step fails
        if self.has_notes:
            disk.flush()  # else a power cut might take the notes and leave the file before this one
            disk.remove(self._notes_path)
        self._whole_bytes, self._notes_bytes, self._notes = len(whole), 0, None
        if len(whole) > SMALL_BYTES:
            self._follows = hashlib.sha256(whole).hexdigest()

    def distrust(self) -> None:
        """What was just written may not be on the disk: next time it is written whole."""
        self._follows = ""


def mark_of(path: Path) -> Mark | None:
    """To tell whether a file was changed or replaced; None if it is not there.

    Not ctime: a chmod, or a backup's hard link, is nobody's edit.
    """
    try:
        return _mark(os.lstat(path))
    except FileNotFoundError:
        return None


def _mark(about: os.stat_result) -> Mark:
    return (about.st_ino, about.st_size, about.st_mtime_ns)
