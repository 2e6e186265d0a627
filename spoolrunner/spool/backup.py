"""A backup: the spool in one file, taken while the mover goes on moving files.

A request that moves while we copy must not be missed and not be there twice. So running/ is read
first, then where finished ones lie, and what is found in both is taken as finished; the sequence
number is read last, so that nothing restored is above it.
"""

import errno
import io
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from spoolrunner import files
from spoolrunner.errors import BadMachine
from spoolrunner.spool.rooms import MARKER, Rooms

# Later rooms win. Locks, drafts, git's cache and what the process executor keeps are made anew.
FIRST = (".claims", "running", "outbox")
THEN = ("done", "index", "rejected", "control", "workspaces")
LAST = (MARKER, "recent.json", ".locks/sequence")


PASSED_OVER = (errno.ENOENT, errno.ELOOP, errno.EINVAL)  # gone, a link, not a regular file


class Backup:
    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._written: dict[str, int] = {}

    def write(self, target: Path) -> int:
        """How many files are in it. Raises OSError, BadMachine ("bad_backup") if it can't be read
        back as it was written."""
        first = {name: data for room in FIRST for name, data in self._read(room)}
        with files.Changes() as disk:
            disk.fill(target, lambda out: self._fill(out, first))
        with tarfile.open(target, "r:gz") as whole:
            found = {entry.name: entry.size for entry in whole}
        if found != self._written:
            raise BadMachine(f"{target} is not what was written.", kind="bad_backup")
        return len(found)

    def _fill(self, out: IO[bytes], first: dict[str, bytes]) -> None:
        with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as whole:
            for room in THEN:
                for name, data in self._read(room):
                    self._add(whole, name, data)
            finished = {Path(name).name for name in self._written if name.startswith("done/")}
            for name, data in first.items():
                if not (name.startswith("running/") and Path(name).name in finished):
                    self._add(whole, name, data)
            for name in LAST:
                path = self._rooms.folder / name
                if path.exists():
                    self._add(whole, name, path.read_bytes())

    def _add(self, whole: tarfile.TarFile, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = len(data), files.PRIVATE_FILE, int(time.time())
        whole.addfile(info, io.BytesIO(data))
        self._written[name] = len(data)

    def _read(self, room: str) -> Iterator[tuple[str, bytes]]:
        """Names and contents of a room's regular files. What is gone meanwhile is elsewhere."""
        for folder, _, names in os.walk(self._rooms.folder / room):
            for name in sorted(names):
                path = Path(folder, name)
                if name.startswith(".draft-"):
                    continue
                try:
                    data, _ = files.read_regular(path, 1 << 30)
                except OSError as error:
                    if error.errno in PASSED_OVER:
                        continue
                    raise
                yield str(path.relative_to(self._rooms.folder)), data
