"""The request files: running/ID.json while it is active, done/DAY/ID.json for ever after.

What happens to the jobs of a large one is noted beside it, in running/ID.notes (notebook.py), and
folded in before it is finished. Only the mover calls what writes here. History is never scanned:
index/HH/ID says which day a finished request lies in.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from spoolrunner import files, notebook
from spoolrunner.errors import BadMachine, BadRequest
from spoolrunner.notebook import Notebook, notes_of
from spoolrunner.record import NEWER, Record, from_json, to_json
from spoolrunner.request import Job, Request
from spoolrunner.spool import recent
from spoolrunner.spool.requestfile import noted, read, with_notes
from spoolrunner.spool.rooms import Rooms

FORMAT = 1  # of an entry of index/
SEQUENCE, SEQUENCES_RESERVED = "sequence", 1000

CHANGED_BY_HAND = BadRequest(
    "It was changed by hand while it was active, so its jobs were stopped.", kind="changed_by_hand"
)


class Whereabouts(Record, kw_only=True):
    """Where a finished request lies: index/HH/ID (named by the identifier's lower case)."""

    format: int = FORMAT
    identifier: str
    day: str


class Requests:
    """Reads and writes request files; notices when a person moved or changed one."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._notebooks: dict[str, Notebook] = {}
        self._next, self._reserved = last_sequence(rooms), 0
        # What is told outside of a request is flushed together with it (runner/reporting.py).
        self.report: Callable[[files.Changes, Request], None] = lambda disk, request: None

    def load(self) -> tuple[list[Request], list[tuple[Path, str]]]:
        """All active requests in order of acceptance, and what could not be read, with reasons."""
        requests, unreadable = [], []
        for path in sorted(self._rooms.running.glob("[!.]*.json")):
            try:
                request = self._checked(path)
            except FileNotFoundError:
                continue  # a person took it away just now
            except BadMachine as error:
                if error.kind == NEWER:
                    raise  # a step back of our own version: its jobs are not ours to sweep away
                unreadable += [(each, error.message) for each in notebook.lying(path)]
                continue
            if not self._ended_moving(path, request):
                self._notebook(request).seen()
                requests.append(request)
        return sorted(requests, key=lambda one: one.sequence), unreadable

    def _checked(self, path: Path) -> Request:
        """Raises BadMachine for what the mover did not put there, or has finished since."""
        request = read(path)
        if path != self.path(request.identifier):
            raise BadMachine(f"{path} is not named by its identifier.", kind="unreadable_record")
        where = self.find_done(request.identifier)
        # A power cut in finish() leaves both names on one file, which load() then mends.
        if where is not None and _differ(path, self.done_path(where.identifier, where.day)):
            raise BadMachine(f"{request.identifier} is in done/ already.", kind="duplicate")
        return request

    def _ended_moving(self, path: Path, request: Request) -> bool:
        """In done/ as well, as one file with two names: written again it would be two for ever."""
        where = self.find_done(request.identifier)
        target = where and self.done_path(request.identifier, where.day)
        if not target or not target.exists() or _differ(path, target):
            return False
        with files.Changes() as disk:
            disk.remove(path)
        return True

    def save(
        self, requests: Sequence[Request], jobs: Mapping[str, Sequence[Job]] | None = None
    ) -> list[Request]:
        """Write these, flushed together. Returns those a person withdrew or changed by hand.

        jobs: of the requests with these identifiers nothing has changed but these jobs.
        """
        touched = [one for one in requests if self._by_hand(one.identifier)]
        ours = [one for one in requests if one not in touched]
        try:
            with files.Changes() as disk:
                for request in ours:
                    self._write(disk, request, (jobs or {}).get(request.identifier))
                    self.report(disk, request)
        except BaseException:
            for request in ours:
                self._notebook(request).distrust()
            raise
        return touched

    def _write(self, disk: files.Changes, request: Request, jobs: Sequence[Job] | None) -> None:
        book = self._notebook(request)
        if jobs is None or not book.note(noted(request, jobs)):
            book.write(disk, to_json(request))

    def finish(self, requests: list[Request]) -> None:
        """running/ -> done/DAY/: first where it will lie, then the move, then the last fifty."""
        with files.Changes() as disk:
            for request in requests:
                self._fold(disk, request)
                self._note_whereabouts(disk, request)
        with files.Changes() as disk:
            for request in requests:
                target = self.done_path(request.identifier, day_of(request))
                disk.move(self.path(request.identifier), target)
                self.forget(request)
        with files.Changes() as disk:
            recent.add(self._rooms, disk, requests)

    def _fold(self, disk: files.Changes, request: Request) -> None:
        """What lies in done/ is whole. A person's hand is left for whoever looks next."""
        book = self._notebook(request)
        if book.has_notes and book.untouched:
            book.write(disk, to_json(request))

    def returned(self, request: Request, path: Path) -> Request:
        """A request file of ours that lies at path, with what was noted of it while it lay here.
        Raises BadMachine if its notes are damaged."""
        whole, _ = files.read_regular(path, notebook.MOST_BYTES)
        place = notes_of(self.path(request.identifier))
        return with_notes(request, notebook.notes_on(whole, place), str(place))

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
        return read_done(self._rooms, identifier)

    def is_gone(self, request: Request) -> bool:
        """Has a person taken the file of an active request away? Raises OSError if the disk does
        not say so, or the room is gone too: then it is the disk that went."""
        if notebook.mark_of(self.path(request.identifier)):
            return False
        os.stat(self._rooms.running)
        return True

    def paths(self, request: Request) -> list[Path]:
        """Its file in running/ and, if there are any, its notes."""
        return notebook.lying(self.path(request.identifier))

    def forget(self, request: Request) -> None:
        """It is not in running/ any more; we only stop watching for it."""
        self._notebooks.pop(request.identifier, None)

    def find_done(self, identifier: str) -> Whereabouts | None:
        """Where a finished request lies, by any spelling of its case; it outlives the file."""
        return find_done(self._rooms, identifier)

    def path(self, identifier: str) -> Path:
        return self._rooms.running / f"{identifier}.json"

    def done_path(self, identifier: str, day: str) -> Path:
        return done_path(self._rooms, identifier, day)

    def next_sequence(self) -> int:
        """Order over the whole spool. Reserved on disk by the thousand: one flush for as many."""
        if self._next >= self._reserved:
            reserved = self._next + SEQUENCES_RESERVED
            reserve_sequence(self._rooms, reserved)
            self._reserved = reserved
        self._next += 1
        return self._next

    def _notebook(self, request: Request) -> Notebook:
        return self._notebooks.setdefault(
            request.identifier, Notebook(self.path(request.identifier))
        )

    def _by_hand(self, identifier: str) -> bool:
        known = self._notebooks.get(identifier)
        if known is None or known.untouched:
            return False
        os.stat(self._rooms.running)
        return True

    def _note_whereabouts(self, disk: files.Changes, request: Request) -> None:
        files.make_folder(self._rooms.done / day_of(request))
        enter_done(self._rooms, disk, request.identifier, day_of(request))


def find_done(rooms: Rooms, identifier: str) -> Whereabouts | None:
    """Where a finished request lies, by any spelling of its case; it outlives the file."""
    path = index_path(rooms, identifier)
    try:
        return from_json(path.read_bytes(), Whereabouts, str(path))
    except FileNotFoundError:
        return None


def read_done(rooms: Rooms, identifier: str) -> Request | None:
    """A finished request, or None if its file is gone (retention) or was never here."""
    where = find_done(rooms, identifier)
    if where is None:
        return None
    try:
        return read(done_path(rooms, where.identifier, where.day))
    except FileNotFoundError:
        return None


def enter_done(rooms: Rooms, disk: files.Changes, identifier: str, day: str) -> None:
    """Note in index/ where a finished request lies."""
    path = index_path(rooms, identifier)
    files.make_folder(path.parent)
    disk.write(path, to_json(Whereabouts(identifier=identifier, day=day)))


def done_path(rooms: Rooms, identifier: str, day: str) -> Path:
    return rooms.done / day / f"{identifier}.json"


def index_path(rooms: Rooms, identifier: str) -> Path:
    name = identifier.lower()
    return rooms.index / hashlib.sha1(name.encode()).hexdigest()[:2] / name


def last_sequence(rooms: Rooms) -> int:
    """The highest number that may have been given. Raises BadMachine if the file is torn."""
    path = rooms.locks / SEQUENCE
    try:
        return from_json(path.read_bytes(), int, str(path))
    except FileNotFoundError:
        return 0


def reserve_sequence(rooms: Rooms, number: int) -> None:
    """From now on, and over a restart, no number up to this one is given again."""
    with files.Changes() as disk:
        disk.write(rooms.locks / SEQUENCE, to_json(number))


def _differ(first: Path, second: Path) -> bool:
    """Are these two files that both exist?"""
    try:
        return not os.path.samestat(os.lstat(first), os.lstat(second))
    except FileNotFoundError:
        return False


def day_of(request: Request) -> str:
    return (request.completed_at or request.created_at)[:10]
