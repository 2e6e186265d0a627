"""Is this filesystem fit for a spool? Probed by doing it, because mount flags lie.

Rename, flock and hard link must work here; network and FUSE filesystems are refused, since their
locks and renames do not hold against a crash (reference/spool.md 2.8); tmpfs forgets everything.
"""

import os
from pathlib import Path

from spoolrunner import files
from spoolrunner.errors import BadMachine
from spoolrunner.lock import Lock

TESTED = ("ext4", "xfs", "btrfs")
REFUSED = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "virtiofs")


def check(folder: Path, *, volatile: bool) -> str:
    """The type of the filesystem. Raises BadMachine (kind "bad_filesystem") with what to do."""
    kind = type_of(folder)
    if kind in REFUSED or kind.startswith("fuse"):
        raise _refused(folder, f"it is on {kind}, whose locks and renames do not survive a crash")
    if kind in ("tmpfs", "ramfs") and not volatile:
        raise _refused(folder, f"it is on {kind}, which forgets everything at a reboot")
    _probe(folder)
    return kind


def type_of(folder: Path) -> str:
    """The filesystem's type of the mount that a folder is on (proc(5), mountinfo)."""
    target = os.path.realpath(folder)
    best, kind = "", "unknown"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            before, _, after = line.partition(" - ")
            point = before.split()[4].replace("\\040", " ")
            if len(point) >= len(best) and _beneath(target, point):
                best, kind = point, after.split()[0]
    return kind


def _beneath(path: str, mount: str) -> bool:
    return mount == "/" or path == mount or path.startswith(mount + "/")


def _probe(folder: Path) -> None:
    """Rename between two rooms, lock, link: a bind mount in between refuses with EXDEV."""
    first, second = folder / "inbox" / ".probe", folder / "running" / ".probe"
    lock = Lock(folder / ".probe-lock")
    try:
        for path in (first, second):
            files.make_folder(path.parent)
        files.write_flushed(first, b"", files.PRIVATE_FILE)
        with files.Changes() as disk:
            disk.move(first, second)
            disk.link(second, first)
            if not lock.take():
                raise _refused(folder, "a lock that nobody holds could not be taken")
            lock.release()
            disk.remove(first)
            disk.remove(second)
            disk.remove(folder / ".probe-lock")
    except OSError as error:
        raise _refused(
            folder, "a rename, a lock or a hard link failed on it", str(error)
        ) from error


def _refused(folder: Path, why: str, detail: str = "") -> BadMachine:
    return BadMachine(
        f"{folder} can't hold a spool: {why}.",
        kind="bad_filesystem",
        hint="Use a folder on a local ext4, xfs or btrfs disk"
        " (for a trial on tmpfs: `init --volatile`).",
        detail=detail,
    )
