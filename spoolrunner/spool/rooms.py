"""The rooms: where a file of the spool may lie, which folder that is, and who may write there.

A folder is a spool only if `init` marked it with SPOOL.json, so that a disk that is not mounted or
a mistyped path stops us instead of starting an empty queue. Layout: design, "Rooms on disk".
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from spoolrunner import files
from spoolrunner.errors import BadMachine
from spoolrunner.record import Record, from_json, to_json
from spoolrunner.spool import filesystem

FORMAT = 1
MARKER = "SPOOL.json"
INBOX_MODE = 0o1733  # anybody may add, nobody may list, only the owner of a file may remove it
SPOOL_MODE = 0o711
GROUP_MODE = 0o750
BOARD_MODE = 0o2750
LOCKS_MODE = 0o710

ROOMS = (
    "running",
    "done",
    "index",
    "rejected",
    "outbox",
    "outbox/refused",
    "control",
    "control/cancel",
    "control/kill",
    "workspaces",
    "board",
)
HIDDEN = (".claims", ".locks", "audit")  # no group may look into these


class Marker(Record, kw_only=True):
    """id: 16 random hex digits; its first 8 are in every container's name. filesystem: its type."""

    format: int = FORMAT
    id: str
    filesystem: str
    created_at: str


@dataclass(frozen=True)
class Rooms:
    """The folders of one spool."""

    folder: Path
    marker: Marker

    @property
    def spool8(self) -> str:
        return self.marker.id[:8]

    @property
    def inbox(self) -> Path:
        return self.folder / "inbox"

    @property
    def claims(self) -> Path:
        return self.folder / ".claims"

    @property
    def locks(self) -> Path:
        return self.folder / ".locks"

    @property
    def running(self) -> Path:
        return self.folder / "running"

    @property
    def done(self) -> Path:
        return self.folder / "done"

    @property
    def index(self) -> Path:
        return self.folder / "index"

    @property
    def rejected(self) -> Path:
        return self.folder / "rejected"

    @property
    def outbox(self) -> Path:
        return self.folder / "outbox"

    @property
    def control(self) -> Path:
        return self.folder / "control"

    @property
    def workspaces(self) -> Path:
        return self.folder / "workspaces"

    @property
    def audit(self) -> Path:
        return self.folder / "audit"

    @property
    def recent(self) -> Path:
        return self.folder / "recent.json"


def create(folder: Path, now: str, *, group: int | None, volatile: bool) -> Rooms:
    """Make a spool, or mend the modes of one that is there; safe to repeat.

    Raises BadMachine for a filesystem that can't keep the promises (kind "bad_filesystem").
    """
    files.make_folder(folder, SPOOL_MODE)
    kind = filesystem.check(folder, volatile=volatile)
    room_mode = GROUP_MODE if group is not None else files.PRIVATE_FOLDER
    for name in (*ROOMS, *HIDDEN, "inbox"):
        files.make_folder(folder / name)
    for name in ROOMS:
        files.set_owner(folder / name, room_mode, group)
    for name in HIDDEN:
        files.set_owner(folder / name, files.PRIVATE_FOLDER, None)
    if group is not None:
        # What is written on the board belongs to the group without a chown for each.
        files.set_owner(folder / "board", BOARD_MODE, group)
        # Who may not open the mover's lock can still ask the kernel about it (lock.py).
        files.set_owner(folder / ".locks", LOCKS_MODE, group)
    files.set_owner(folder / "inbox", INBOX_MODE, None)
    files.set_owner(folder, SPOOL_MODE, group)
    if not (folder / MARKER).exists():
        marker = Marker(id=os.urandom(8).hex(), filesystem=kind, created_at=now)
        with files.Changes() as disk:
            disk.write(folder / MARKER, to_json(marker), 0o644)
    return open_spool(folder)


def open_spool(folder: Path) -> Rooms:
    """Raises BadMachine if it is not a spool, not ours to use, or made by a newer version."""
    folder = folder.absolute()
    try:
        data = (folder / MARKER).read_bytes()
    except OSError as error:
        raise _not_a_spool(folder, error) from error
    return Rooms(folder, from_json(data, Marker, str(folder / MARKER)))


def check_modes(rooms: Rooms) -> None:
    """Raises BadMachine if others could do what only the runner may, or a mount splits it."""
    missing = [name for name in (*ROOMS, *HIDDEN, "inbox") if not (rooms.folder / name).is_dir()]
    if missing:
        raise BadMachine(
            f"{rooms.folder} lacks {', '.join(missing)}; an older version may have made it.",
            kind="missing_room",
            hint="Run `spoolrunner init` as the runner's user to mend it.",
        )
    filesystem.check_whole([rooms.folder / name for name in (*ROOMS, *HIDDEN, "inbox")])
    for name in ("", "inbox", *ROOMS, *HIDDEN):
        about = os.lstat(rooms.folder / name)
        if _is_open(name, about) or about.st_uid != os.geteuid():
            raise BadMachine(
                f"{rooms.folder / name} is open to others, or belongs to another user.",
                kind="bad_mode",
                hint="Run `spoolrunner init` as the runner's user to mend it.",
            )


def _is_open(name: str, about: os.stat_result) -> bool:
    """May others do what only the runner may? name: of the room, "" for the spool itself."""
    mode = stat.S_IMODE(about.st_mode)
    if name == "inbox":  # without the sticky bit anybody could take away what others dropped
        return bool(mode & ~(INBOX_MODE | stat.S_ISGID)) or not mode & stat.S_ISVTX
    return bool(mode & (0o027 if name else 0o022))


def _not_a_spool(folder: Path, error: OSError) -> BadMachine:
    if isinstance(error, PermissionError):
        return BadMachine(f"The spool {folder} may not be read by this user.", kind="no_permission")
    return BadMachine(
        f"{folder} is not a spool: it has no {MARKER}.",
        kind="not_a_spool",
        hint="Set SPOOL_DIR, or make one there with `spoolrunner init`.",
        detail=str(error),
    )
