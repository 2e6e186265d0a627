"""The overview: what runs, what waits and why, what ended lately. Read from the spool alone.

Costs what is active, never what is done: running/, the names in inbox/, recent.json. Rooms are read
in the order inbox, running, recent; what moves on meanwhile is seen in the later one.
"""

import contextlib
import heapq
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from spoolrunner import lock
from spoolrunner.record import Record
from spoolrunner.request import Status
from spoolrunner.spool import board, find, flags, outbox, recent
from spoolrunner.spool.board import ActiveJob, Board
from spoolrunner.spool.inbox import Inbox, Patience, waiting
from spoolrunner.spool.recent import Ended
from spoolrunner.spool.rooms import Rooms

MOST_REJECTED = 3


class Runner(Record, kw_only=True):
    """alive: None if this user may not know. drained_at: the last end of a `run --drain`, or ""."""

    alive: bool | None
    drained_at: str


class Flags(Record, kw_only=True):
    """db_maintenance_by: "operator", "detection" or ""; db_drain: running database jobs may end."""

    paused: bool
    reboot: bool
    db_maintenance: bool
    db_maintenance_by: str
    db_drain: bool


class Counts(Record, kw_only=True):
    inbox: int
    pending: int
    running: int
    rejected: int
    outbox: int


class Left(Record, kw_only=True):
    """A file in the inbox that is not taken, or one that was rejected, and why."""

    name: str
    reason: str


class Disk(Record, kw_only=True):
    """name: "spool", "high privacy" or "medium privacy"; one of each filesystem."""

    name: str
    path: str
    free_bytes: int
    total_bytes: int


class Overview(Record, kw_only=True):
    """What `status --json` prints (contract, section 4). free_bytes: of the spool's disk.

    storage_trouble: why no job can start or be published now, or "".
    reports_trouble: why no report can be sent now, or "". reports_fact: what is to be known of
    job-server and is no trouble, or "". reports_refused: requests of which job-server would not
    take the last report.
    """

    spool: str
    backend: str
    runner: Runner
    flags: Flags
    counts: Counts
    free_bytes: int
    disks: list[Disk]
    storage_trouble: str
    jobs: list[ActiveJob]
    recent: list[Ended]
    left_in_inbox: list[Left]
    last_rejected: list[Left]
    reports_trouble: str
    reports_fact: str
    reports_refused: list[str]


def overview(
    rooms: Rooms, backend: str, disks: Mapping[str, Path], storage_trouble: str = ""
) -> Overview:
    """backend, disks (name -> folder): as the settings say, if this user may know them.

    Raises PermissionError for a user who may see neither the rooms nor the board.
    """
    shown = board.read(rooms) if board.may_read(rooms) else None
    jobs = _jobs(rooms, shown)
    names, left = _inbox(rooms, backend, shown)
    return Overview(
        spool=str(rooms.folder),
        backend=backend or (shown.backend if shown else ""),
        runner=Runner(
            alive=lock.is_locked(rooms.locks / "mover"),
            drained_at=shown.drained_at if shown else "",
        ),
        flags=_flags(flags.flags(rooms)),
        counts=Counts(
            inbox=names,
            pending=sum(job.status == Status.PENDING for job in jobs),
            running=sum(job.status == Status.RUNNING for job in jobs),
            rejected=sum(name.endswith(".error.json") for name in _names(rooms.rejected)),
            outbox=sum(name.endswith(".json") for name in _names(rooms.outbox)),
        ),
        free_bytes=shutil.disk_usage(rooms.folder).free,
        disks=_disks({"spool": rooms.folder, **disks}),
        storage_trouble=storage_trouble,
        jobs=jobs,
        recent=_recent(rooms, shown),
        left_in_inbox=left,
        last_rejected=_last_rejected(rooms),
        reports_trouble=outbox.trouble(rooms),
        reports_fact=outbox.fact(rooms),
        reports_refused=_refused(rooms),
    )


def _jobs(rooms: Rooms, shown: Board | None) -> list[ActiveJob]:
    """From the request files, with what only the runner knows; who may not read these is shown what
    the runner wrote for them."""
    try:
        active = find.all_active(rooms)
    except PermissionError:
        if shown is None:
            raise
        return shown.jobs
    jobs = [job for request in active for job in board.active_jobs(request)]
    progress = board.progress(rooms, shown)
    for job in jobs:
        job.progress = progress.get(job.identifier, "")
    return jobs


def _recent(rooms: Rooms, shown: Board | None) -> list[Ended]:
    try:
        return recent.read(rooms)
    except PermissionError:
        return shown.recent if shown else []


def _disks(folders: Mapping[str, Path]) -> list[Disk]:
    """One for each filesystem; a folder that is not there or not visible is left out."""
    found: dict[int, Disk] = {}
    for name, folder in folders.items():
        try:
            usage, device = shutil.disk_usage(folder), folder.stat().st_dev
        except OSError:
            continue
        disk = Disk(name=name, path=str(folder), free_bytes=usage.free, total_bytes=usage.total)
        found.setdefault(device, disk)
    return list(found.values())


def _flags(up: flags.Flags) -> Flags:
    by = "operator" if up.maintenance else "detection"
    return Flags(
        paused=up.paused,
        reboot=up.reboot,
        db_maintenance=up.db_maintenance,
        db_maintenance_by=by if up.db_maintenance else "",
        db_drain=up.drain,
    )


def _inbox(rooms: Rooms, backend: str, shown: Board | None) -> tuple[int, list[Left]]:
    try:
        found = Inbox(rooms.inbox, backend, Patience()).look()
    except PermissionError:
        return (shown.inbox if shown else 0), []  # only the runner's user may list it
    left = [Left(name=name, reason=reason) for name, reason in waiting(found)]
    return len(found), left


def _last_rejected(rooms: Rooms) -> list[Left]:
    """Newest first: their names begin with the time."""
    reasons = [name for name in _names(rooms.rejected) if name.endswith(".error.json")]
    found = []
    for name in heapq.nlargest(MOST_REJECTED, reasons):
        with contextlib.suppress(OSError, ValueError, KeyError):  # a person may tidy up just now
            about = json.loads((rooms.rejected / name).read_bytes())
            found.append(Left(name=str(about["name"]), reason=str(about["message"])))
    return found


def _refused(rooms: Rooms) -> list[str]:
    try:
        return outbox.refused(rooms)
    except PermissionError:
        return []


def _names(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".")]
    except PermissionError:
        return []
