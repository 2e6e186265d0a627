"""A backup: the spool in one file, taken while the mover goes on moving files.

A request that moves while we copy must not be missed and not be there twice. So running/ is read
first, then where finished ones lie, and what is found in both is taken as finished. Then the
outbox: the end of what is taken as finished lies there, or was sent; what is taken as active is
told anew by the next start. The sequence number is read after that, so that nothing restored is
above it; and the audit last of all, so that nothing restored lacks its line.
"""

import errno
import io
import logging
import os
import tarfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from spoolrunner import files, notebook
from spoolrunner.errors import BadMachine
from spoolrunner.headway import Headway
from spoolrunner.spool import audit
from spoolrunner.spool.rooms import MARKER, Rooms

log = logging.getLogger(__name__)

# Later rooms win. Locks, drafts, git's cache and what the process executor keeps are made anew.
FIRST = (".claims", "running")  # then done/
THEN = ("index", "outbox", "rejected", "control", "workspaces")
NOTED = ("running", "workspaces")  # whose files may have notes beside them
LAST = (MARKER, "recent.json", ".locks/sequence")
PASSED_OVER = (errno.ENOENT, errno.ELOOP, errno.EINVAL)  # gone, a link, not a regular file


class Backup:
    """headway: in files, each of which is written and read back."""

    def __init__(self, rooms: Rooms, headway: Headway) -> None:
        self._rooms = rooms
        self._headway = headway
        self._written: dict[str, int] = {}

    def write(self, target: Path) -> int:
        """How many files are in it. Raises OSError, BadMachine ("bad_backup") if it can't be read
        back as it was written."""
        self._headway.expect(2 * self._number())
        first = {name: data for room in FIRST for name, data in self._read(room)}
        with files.Changes() as disk:
            disk.fill(target, lambda out: self._fill(out, first))
        try:
            with tarfile.open(target, "r:gz") as whole:
                found = dict(self._seen(whole))
        except (tarfile.TarError, zlib.error, EOFError) as error:  # also of a disk that fails
            found = {}
            log.warning("%s can't be read back: %s", target, error)
        if found != self._written:
            raise BadMachine(f"{target} is not what was written.", kind="bad_backup")
        return len(found)

    def _number(self) -> int:
        """Of files, about: they move meanwhile."""
        rooms = (*FIRST, "done", *THEN)
        return sum(len(names) for room in rooms for _, _, names in os.walk(self._path(room)))

    def _seen(self, whole: tarfile.TarFile) -> Iterator[tuple[str, int]]:
        for entry in whole:
            yield entry.name, entry.size
            self._headway.add()

    def _path(self, room: str) -> Path:
        return self._rooms.folder / room

    def _fill(self, out: IO[bytes], first: dict[str, bytes]) -> None:
        with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as whole:
            for name, data in self._read("done"):
                self._add(whole, name, data)
            finished = {Path(name).stem for name in self._written}
            first = {name: data for name, data in first.items() if _stem(name) not in finished}
            active = {_stem(name) for name in first} - {""}
            for name, data in (*first.items(), *self._rest(active)):
                self._add(whole, name, data)
            for name in LAST:
                path = self._rooms.folder / name
                if path.exists():
                    self._add(whole, name, path.read_bytes())
            for path, size_bytes in audit.sizes(self._rooms).items():
                self._add(whole, f"audit/{path.name}", _read(path)[:size_bytes])

    def _rest(self, active: set[str]) -> Iterator[tuple[str, bytes]]:
        for room in THEN:
            for name, data in self._read(room):
                if _told_of(name) not in active:
                    yield name, data

    def _add(self, whole: tarfile.TarFile, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = len(data), files.PRIVATE_FILE, int(time.time())
        whole.addfile(info, io.BytesIO(data))
        self._written[name] = len(data)
        self._headway.add()

    def _read(self, room: str) -> Iterator[tuple[str, bytes]]:
        """Names and contents of a room's regular files. What is gone meanwhile is elsewhere."""
        for folder, _, names in os.walk(self._path(room)):
            for name in sorted(names):
                path = Path(folder, name)
                if name.startswith(files.DRAFT):
                    continue
                try:
                    found = _with_notes(path) if room in NOTED else {path: _read(path)}
                except OSError as error:
                    if error.errno in PASSED_OVER:
                        continue
                    raise
                for each, data in found.items():
                    yield str(each.relative_to(self._rooms.folder)), data


def _stem(name: str) -> str:
    """The request of a file in running/, or "" for another file."""
    return Path(name).stem if name.startswith("running/") else ""


def _told_of(name: str) -> str | None:
    """The request of a report that waits: outbox/ID.SEQ.json."""
    path = Path(name)
    return path.stem.rpartition(".")[0] if path.parent.name == "outbox" else None


def _with_notes(path: Path) -> dict[Path, bytes]:
    """A file and its notes as they were together. Notes alone are those of a request that somebody
    has taken out by hand and may put back."""
    if path.suffix != ".json":
        alone = not path.with_suffix(".json").exists()
        return {path: _read(path)} if alone else {}
    whole, beside = notebook.copied(path)
    return {path: whole} if beside is None else {path: whole, notebook.notes_of(path): beside}


def _read(path: Path) -> bytes:
    return files.read_regular(path, 1 << 30)[0]
