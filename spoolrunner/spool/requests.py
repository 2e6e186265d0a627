"""The request files: running/ID.json while it is active, done/DAY/ID.json for ever after.

Only the mover calls what writes here. History is never scanned: index/HH/ID says which day a
finished request lies in, recent.json holds the last that ended.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from spoolrunner import files
from spoolrunner.errors import BadMachine, BadRequest
from spoolrunner.record import Record, from_json, parse_foreign, to_json
from spoolrunner.request import FORMAT, Request
from spoolrunner.spool.rooms import Rooms

RECENT = 50
NEWER = "newer_format"
SEQUENCES_RESERVED = 1000


class Ended(Record, kw_only=True):
    """A line of recent.json: enough for `status`."""

    identifier: str
    workspace: str
    status: str
    message: str
    jobs: int
    failed: int
    completed_at: str


class Whereabouts(Record, kw_only=True):
    """Where a finished request lies: index/HH/ID (named by the identifier's lower case)."""

    identifier: str
    day: str


class Requests:
    """Reads and writes request files; notices when a person moved or changed one."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._written: dict[str, tuple[int, int, int]] = {}
        self._next, self._reserved = self._last_sequence(), 0
        # What is told outside of a request is flushed together with it (runner/reporting.py).
        self.report: Callable[[files.Changes, Request], None] = lambda disk, request: None

    def load(self) -> tuple[list[Request], list[tuple[Path, str]]]:
        """All active requests in order of acceptance, and what could not be read, with reasons."""
        requests, unreadable = [], []
        for path in sorted(self._rooms.running.glob("[!.]*.json")):
            try:
                request = self._checked(path)
            except BadMachine as error:
                if error.kind == NEWER:
                    raise  # a step back of our own version: its jobs are not ours to sweep away
                unreadable.append((path, error.message))
                continue
            if self._ended_moving(path, request):
                continue
            self._remember(request.identifier)
            requests.append(request)
        return sorted(requests, key=lambda one: one.sequence), unreadable

    def _checked(self, path: Path) -> Request:
        """Raises BadMachine for what the mover did not put there, or has finished since."""
        if path.is_symlink() or not path.is_file():
            raise BadMachine(f"{path} is not a regular file.", kind="unreadable_record")
        request = read(path)
        if path != self.path(request.identifier):
            raise BadMachine(f"{path} is not named by its identifier.", kind="unreadable_record")
        where = self.find_done(request.identifier)
        # A power cut in finish() leaves both names on one file, which load() then mends.
        if where is not None and _differ(path, self.done_path(where.identifier, where.day)):
            raise BadMachine(f"{request.identifier} is in done/ already.", kind="duplicate")
        return request

    def _ended_moving(self, path: Path, request: Request) -> bool:
        """Is it in done/ as well, as one file with two names? Then the later name counts. Written
        again it would be two files, and neither could give way."""
        where = self.find_done(request.identifier)
        target = self.done_path(request.identifier, where.day) if where else None
        if target is None or not target.exists() or _differ(path, target):
            return False
        with files.Changes() as disk:
            disk.remove(path)
        return True

    def save(self, requests: list[Request]) -> list[Request]:
        """Write these, flushed together. Returns those a person withdrew or changed by hand."""
        touched = [one for one in requests if self._by_hand(one.identifier)]
        with files.Changes() as disk:
            for request in requests:
                if request not in touched:
                    disk.write(self.path(request.identifier), to_json(request))
                    self.report(disk, request)
                    # At once: if the next one fails, this is not taken for somebody else's work.
                    self._remember(request.identifier)
        return touched

    def finish(self, requests: list[Request]) -> None:
        """running/ -> done/DAY/: first where it will lie, then the move, then the last fifty."""
        with files.Changes() as disk:
            for request in requests:
                self._note_whereabouts(disk, request)
        with files.Changes() as disk:
            for request in requests:
                target = self.done_path(request.identifier, day_of(request))
                disk.move(self.path(request.identifier), target)
                self._written.pop(request.identifier, None)
        with files.Changes() as disk:
            ended = [_ended(request) for request in reversed(requests)]
            disk.write(self._rooms.recent, to_json([*ended, *recent(self._rooms)][:RECENT]))

    def readopt(self, request: Request) -> None:
        """A finished request whose file somebody put into the inbox: back to done/."""
        with files.Changes() as disk:
            self._note_whereabouts(disk, request)
            disk.write(self.done_path(request.identifier, day_of(request)), to_json(request))

    def read_active(self, identifier: str) -> Request | None:
        """An active request as it lies in running/, or None."""
        try:
            return read(self.path(identifier))
        except FileNotFoundError:
            return None

    def read_done(self, identifier: str) -> Request | None:
        """A finished request, or None if its file is gone (retention) or was never here."""
        where = self.find_done(identifier)
        if where is None:
            return None
        try:
            return read(self.done_path(where.identifier, where.day))
        except FileNotFoundError:
            return None

    def is_gone(self, request: Request) -> bool:
        """Has a person taken the file of an active request away?"""
        return not os.path.lexists(self.path(request.identifier))

    def forget(self, request: Request) -> None:
        """A person took its file away; we only stop watching for it."""
        self._written.pop(request.identifier, None)

    def find_done(self, identifier: str) -> Whereabouts | None:
        """Where a finished request lies, by any spelling of its case; it outlives the file."""
        path = self._index_path(identifier)
        try:
            return from_json(path.read_bytes(), Whereabouts, str(path))
        except FileNotFoundError:
            return None

    def path(self, identifier: str) -> Path:
        return self._rooms.running / f"{identifier}.json"

    def done_path(self, identifier: str, day: str) -> Path:
        return self._rooms.done / day / f"{identifier}.json"

    def next_sequence(self) -> int:
        """Order over the whole spool. Reserved on disk by the thousand: one flush for as many."""
        if self._next >= self._reserved:
            reserved = self._next + SEQUENCES_RESERVED
            with files.Changes() as disk:
                disk.write(self._sequence_path, to_json(reserved))
            self._reserved = reserved
        self._next += 1
        return self._next

    @property
    def _sequence_path(self) -> Path:
        return self._rooms.locks / "sequence"

    def _last_sequence(self) -> int:
        try:
            return from_json(self._sequence_path.read_bytes(), int, str(self._sequence_path))
        except FileNotFoundError:
            return 0

    def _remember(self, identifier: str) -> None:
        self._written[identifier] = _mark(os.lstat(self.path(identifier)))

    def _by_hand(self, identifier: str) -> bool:
        known = self._written.get(identifier)
        if known is None:
            return False
        try:
            about = os.lstat(self.path(identifier))
        except FileNotFoundError:
            return True
        return _mark(about) != known

    def _note_whereabouts(self, disk: files.Changes, request: Request) -> None:
        path = self._index_path(request.identifier)
        files.make_folder(path.parent)
        files.make_folder(self._rooms.done / day_of(request))
        entry = Whereabouts(identifier=request.identifier, day=day_of(request))
        disk.write(path, to_json(entry))

    def _index_path(self, identifier: str) -> Path:
        name = identifier.lower()
        return self._rooms.index / hashlib.sha1(name.encode()).hexdigest()[:2] / name


def read(path: Path) -> Request:
    """Raises BadMachine if it is torn or of a newer format (NEWER), FileNotFoundError."""
    data = path.read_bytes()
    try:
        request = from_json(data, Request, str(path))
    except BadMachine as error:
        raise _newer(path) if _format_of(data) > FORMAT else error from error
    if request.format > FORMAT:
        raise _newer(path)
    return request


def _newer(path: Path) -> BadMachine:
    return BadMachine(
        f"{path} was written by a newer spoolrunner.",
        kind=NEWER,
        hint="Go on with that version; this one leaves the spool as it is.",
    )


def _format_of(data: bytes) -> int:
    """The format a file says it has, 0 if it says nothing."""
    try:
        found = parse_foreign(data).get("format")
    except BadRequest:
        return 0
    return found if isinstance(found, int) else 0


def _mark(about: os.stat_result) -> tuple[int, int, int]:
    """Not ctime: a chmod, or a backup's hard link, is nobody's edit."""
    return (about.st_ino, about.st_size, about.st_mtime_ns)


def _differ(first: Path, second: Path) -> bool:
    """Are these two files that both exist?"""
    try:
        return not os.path.samestat(os.lstat(first), os.lstat(second))
    except FileNotFoundError:
        return False


def recent(rooms: Rooms) -> list[Ended]:
    """The last that ended, newest first. For display only: a torn file counts as empty."""
    try:
        return from_json(rooms.recent.read_bytes(), list[Ended], str(rooms.recent))
    except (FileNotFoundError, BadMachine):
        return []


def day_of(request: Request) -> str:
    return (request.completed_at or request.created_at)[:10]


def _ended(request: Request) -> Ended:
    failed = [job for job in request.jobs if job.status == "failed"]
    return Ended(
        identifier=request.identifier,
        workspace=request.workspace.name,
        status=request.status,
        message=failed[0].status_message if failed else "",
        jobs=len(request.jobs),
        failed=len(failed),
        completed_at=request.completed_at or "",
    )
