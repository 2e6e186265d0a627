"""The archive of a workspace: all its files as one, verified before anything is deleted.

    put in    mark, pack a draft, read it back, give it its name, move the trees away, unmark
    take out  mark, unpack beside, read that back, move it in, remove the archive, unmark

While the mark lies there no job of the workspace is laid out. Killed anywhere, the same deed done
again goes on: as long as the trees stand they are whole, and what is named like an archive is one.
Knows: files, beneath, storage.
"""

import hashlib
import io
import json
import os
import posixpath
import stat
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from spoolrunner import beneath, files
from spoolrunner.errors import BadMachine
from spoolrunner.headway import Headway
from spoolrunner.workspace.storage import SHARED_FILE, Storage

SUMS = "sums.json"
CHUNK_BYTES = 1 << 20
COMPRESSION = 1  # of 9: most outputs are large, and the disk is not the hurry

Seen = dict[str, tuple[int, int]]  # name in the archive -> size and time of change


class Archive:
    """folder: the workspace's safe name. headway: in bytes."""

    def __init__(self, storage: Storage, folder: str, headway: Headway) -> None:
        self._storage = storage
        self._folder = folder
        self._headway = headway
        self.path = storage.archives / f"{folder}.tar.gz"
        self._roots = {
            "high": storage.high / "workspaces" / folder,
            "medium": storage.medium / "workspaces" / folder,
        }

    def mark(self) -> None:
        """No job of the workspace is laid out from now on.

        Raises BadMachine ("archive_exists") if files and archive are both there and nobody was
        interrupted: which of them is wanted, only a person can say.
        """
        between = self._storage.archive_mark(self._folder).exists()
        if self._is_between() and not between:
            raise BadMachine(
                f"There are files of the workspace {self._folder} and an archive, too.",
                kind="archive_exists",
                hint=f"Move {self.path} away if it is not wanted any more.",
            )
        files.make_folder(self._storage.archives)
        with files.Changes() as disk:
            disk.touch(self._storage.archive_mark(self._folder))

    def unmark(self) -> None:
        """Unless it was interrupted in between: the same deed again goes on then."""
        if self._is_between():
            return
        with files.Changes() as disk:
            disk.remove(self._storage.archive_mark(self._folder))

    def size_bytes(self) -> int:
        """Of all files that are to be packed."""
        return sum(size for size, _ in self._seen().values())

    def put_in(self) -> None:
        """Raises BadMachine: "not_regular", "bad_archive" (nothing is deleted), OSError."""
        if self._is_between() or not self.path.exists():
            self._pack()
        for root in self._roots.values():
            _clear(root, _beside(root, "archived"))

    def take_out(self) -> None:
        """Raises BadMachine ("bad_archive") if it is not whole; it is left as it is then."""
        if not self.path.exists():
            if not self._storage.is_put_away(self._folder):
                return  # it is here: interrupted after the archive was removed
            raise BadMachine(
                f"There is no archive {self.path}.",
                kind="no_archive",
                hint="One that job-runner made has to be unpacked by hand.",
            )
        if not self._is_between():
            self._unpack()
        with files.Changes() as disk:
            disk.remove(self.path)

    def _is_between(self) -> bool:
        """Are its files here and in the archive, too?"""
        return self.path.exists() and not self._storage.is_put_away(self._folder)

    def _pack(self) -> None:
        before = self._seen()
        if not before:
            raise BadMachine(f"There are no files of the workspace {self._folder}.")
        self._headway.expect(2 * sum(size for size, _ in before.values()))
        draft = self.path.with_name(f".{self.path.name}.new")
        try:
            with files.Changes() as disk:
                disk.fill(draft, lambda out: self._fill(out, before))
            verify(draft, self._headway)
            if self._seen() != before:
                raise _bad(draft, "its files were changed while they were packed")
            with files.Changes() as disk:
                disk.replace(draft, self.path)
        finally:
            with files.Changes() as disk:
                disk.remove(draft)

    def _fill(self, out: IO[bytes], names: Seen) -> None:
        sums: dict[str, str] = {}
        with tarfile.open(
            fileobj=out, mode="w:gz", compresslevel=COMPRESSION, dereference=True
        ) as whole:
            for name in names:
                level, _, path = name.partition("/")
                with open(self._roots[level] / path, "rb") as file:
                    hashing = _Hashing(file, self._headway)
                    info = whole.gettarinfo(arcname=name, fileobj=file)
                    whole.addfile(info, cast(IO[bytes], hashing))
                sums[name] = hashing.sum.hexdigest()
            data = json.dumps(sums).encode()
            last = tarfile.TarInfo(SUMS)
            last.size = len(data)
            whole.addfile(last, io.BytesIO(data))

    def _unpack(self) -> None:
        fresh = {level: _beside(root, "restoring") for level, root in self._roots.items()}
        for folder in fresh.values():
            beneath.remove_tree(folder)
        files.make_folder(fresh["high"])
        self._storage.share(fresh["medium"])
        sums = verify(self.path, self._headway)
        with tarfile.open(self.path, "r|gz") as whole:
            for entry in whole:
                if entry.name != SUMS:
                    self._headway.expect(2 * entry.size)
                    self._unpack_one(whole, entry, fresh)
        for name, wanted in sums.items():
            level, _, path = name.partition("/")
            if _sum_of(fresh[level] / path, self._headway) != wanted:
                raise _bad(self.path, "what was unpacked is not what was packed")
        for level in ("medium", "high"):  # high last: with it the workspace is there again
            _clear(self._roots[level], _beside(self._roots[level], "archived"))
            with files.Changes() as disk:
                disk.move(fresh[level], self._roots[level])

    def _unpack_one(
        self, whole: tarfile.TarFile, entry: tarfile.TarInfo, fresh: dict[str, Path]
    ) -> None:
        level, _, path = entry.name.partition("/")
        target = fresh[level] / path
        if level == "medium":
            self._storage.share(target.parent)
        else:
            files.make_folder(target.parent)
        content = whole.extractfile(entry)
        assert content is not None  # noqa: S101 - verify has seen that it is a regular file
        mode = SHARED_FILE if level == "medium" else files.PRIVATE_FILE
        with files.Changes() as disk:
            disk.write_parts(target, _parts(content, self._headway), mode)
        os.utime(target, (entry.mtime, entry.mtime))

    def _seen(self) -> Seen:
        """Every file of both levels as it is now. Raises BadMachine for what is no plain file."""
        found: Seen = {}
        for level, root in self._roots.items():
            for path, about in _walk(root):
                name = f"{level}/{path.relative_to(root)}"
                if not stat.S_ISREG(about.st_mode):
                    raise BadMachine(
                        f"{path} is not a regular file, so it would be lost.",
                        kind="not_regular",
                        hint="Remove it or put it elsewhere.",
                    )
                found[name] = (about.st_size, about.st_mtime_ns)
        return found


def verify(path: Path, headway: Headway) -> dict[str, str]:
    """Name -> sha256 of every file in it, each of which was read and compared.

    Raises BadMachine (kind "bad_archive").
    """
    found: dict[str, str] = {}
    said: Any = None
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r|gz") as whole:
            for entry in whole:
                content = whole.extractfile(entry)
                if content is None or not entry.isreg() or not _is_ours(entry.name):
                    raise _bad(path, "it holds what we do not put in")
                if entry.name == SUMS:
                    said = json.loads(content.read())
                    continue
                hashing = _Hashing(content, headway)
                while hashing.read(CHUNK_BYTES):
                    pass
                found[entry.name] = hashing.sum.hexdigest()
    except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        raise _bad(path, "it is torn") from error
    if said != found:
        raise _bad(path, "its sums do not agree")
    return found


class _Hashing:
    def __init__(self, file: IO[bytes], headway: Headway) -> None:
        self._file = file
        self._headway = headway
        self.sum = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.sum.update(data)
        self._headway.add(len(data))
        return data


def _clear(root: Path, aside: Path) -> None:
    """Gone at once under its name, then for good. What an earlier try left aside goes too."""
    beneath.remove_tree(aside)
    if root.exists():
        with files.Changes() as disk:
            disk.move(root, aside)
    beneath.remove_tree(aside)


def _beside(root: Path, why: str) -> Path:
    return root.with_name(f".{why}-{root.name}")


def _walk(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """All that is not a folder, in order."""
    for folder, folders, names in os.walk(root):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in sorted([*names, *links]):
            path = Path(folder, name)
            yield path, path.lstat()


def _parts(file: IO[bytes], headway: Headway) -> Iterator[bytes]:
    while part := file.read(CHUNK_BYTES):
        yield part
        headway.add(len(part))


def _sum_of(path: Path, headway: Headway) -> str:
    with path.open("rb") as file:
        hashing = _Hashing(file, headway)
        while hashing.read(CHUNK_BYTES):
            pass
    return hashing.sum.hexdigest()


def _is_ours(name: str) -> bool:
    level, _, path = name.partition("/")
    inside = posixpath.normpath(name) == name and ".." not in name.split("/")
    return name == SUMS or (level in ("high", "medium") and bool(path) and inside)


def _bad(path: Path, why: str) -> BadMachine:
    return BadMachine(
        f"The archive {path} can't be used: {why}.",
        kind="bad_archive",
        hint="Nothing was deleted.",
    )
