"""Is this filesystem fit for a spool? Probed by doing it, because mount flags lie.

Rename, flock and hard link must work here; network and FUSE filesystems are refused, since their
locks and renames do not hold against a crash (reference/spool.md 2.8); tmpfs forgets everything.
"""

import os
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from spoolrunner import files
from spoolrunner.errors import BadMachine
from spoolrunner.lock import Lock

FORGETFUL = ("tmpfs", "ramfs")
REFUSED = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "virtiofs")


def check(folder: Path, *, volatile: bool) -> str:
    """The type of the filesystem. Raises BadMachine (kind "bad_filesystem") with what to do."""
    kind = type_of(folder)
    if is_refused(kind):
        raise _refused(folder, f"it is on {kind}, whose locks and renames do not survive a crash")
    if kind in FORGETFUL and not volatile:
        raise _refused(folder, f"it is on {kind}, which forgets everything at a reboot")
    _probe(folder)
    return kind


def is_refused(kind: str) -> bool:
    return kind in REFUSED or kind.startswith("fuse")


def type_of(folder: Path) -> str:
    """The filesystem's type of the mount that a folder is on."""
    target = os.path.realpath(folder)
    best, kind = "", "unknown"
    for point, mounted in _mounts():
        if len(point) >= len(best) and _beneath(target, point):
            best, kind = point, mounted
    return kind


def check_whole(rooms: Sequence[Path]) -> None:
    """Raises BadMachine if a room is, or holds, a mount: nothing could be renamed into it.

    Cheap, for every start: the mounts of a container may differ from those that `init` saw. Two
    binds of one filesystem refuse a rename although their st_dev are equal (reference/spool.md,
    finding 5).
    """
    places = [os.path.realpath(room) for room in rooms]
    for point, _ in _mounts():
        if any(_beneath(point, place) for place in places):
            raise _refused(rooms[0].parent, f"{point} is a mount of its own: renames fail there")


def _mounts() -> Iterator[tuple[str, str]]:
    """Mount point and filesystem type of each mount (proc(5), mountinfo)."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            before, _, after = line.partition(" - ")
            point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), before.split()[4])
            yield point, after.split()[0]


def _beneath(path: str, mount: str) -> bool:
    return mount == "/" or path == mount or path.startswith(mount + "/")


def _probe(folder: Path) -> None:
    """Rename through the rooms a request passes, lock, link."""
    paths = [folder / room / ".probe" for room in ("inbox", ".claims", "running", "done")]
    lock = Lock(folder / ".probe-lock")
    try:
        for path in paths:
            files.make_folder(path.parent)
        files.write_flushed(paths[0], b"", files.PRIVATE_FILE)
        with files.Changes() as disk:
            for source, target in pairwise(paths):
                disk.replace(source, target)
            disk.link(paths[-1], paths[0])
            if not lock.take():
                raise _refused(folder, "a lock that nobody holds could not be taken")
            lock.release()
            for path in (paths[0], paths[-1], folder / ".probe-lock"):
                disk.remove(path)
    except OSError as error:
        why = "a rename, a lock or a hard link failed on it"
        raise _refused(folder, why, str(error)) from error


def _refused(folder: Path, why: str, detail: str = "") -> BadMachine:
    return BadMachine(
        f"{folder} can't hold a spool: {why}.",
        kind="bad_filesystem",
        hint="Use a folder on a local ext4, xfs or btrfs disk"
        " (for a trial on tmpfs: `init --volatile`).",
        detail=detail,
    )
