"""Retention: what is kept only so many days, removed by itself once a day, and said.

Finished requests after KEEP_DONE_DAYS (their identifiers stay taken: index/); after
KEEP_FAILED_DAYS what failed jobs left in their workspace, and folders of jobs that were lost. Logs
and published outputs are for ever. In a thread.
"""

import contextlib
import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from spoolrunner import audit, beneath, files
from spoolrunner.config import Config
from spoolrunner.runner.house import House
from spoolrunner.spool.rooms import Rooms
from spoolrunner.workspace import Storage

log = logging.getLogger(__name__)

EVERY_S = 86400.0
LOOK_S = 3600.0
DAY_S = 86400.0
ASIDE = ".expired-"  # what is being removed; one that a kill left has expired like any other


@dataclass(frozen=True)
class Expired:
    """path: a folder. what: what it is, in words."""

    path: Path
    what: str
    days: int


def expired(config: Config, rooms: Rooms, storage: Storage) -> Iterator[Expired]:
    yield from _finished(rooms, config.keep_done_days)
    for root in (storage.high, storage.medium):
        yield from _of_failed(root / "workspaces", config.keep_failed_days)
    yield from _kept(storage.kept, config.keep_failed_days)


def remove(one: Expired) -> None:
    """Raises OSError. Aside first: a job that fails just now may make it anew."""
    aside = one.path.with_name(f"{ASIDE}{one.path.name}")
    beneath.remove_tree(aside)
    with contextlib.suppress(FileNotFoundError), files.Changes() as disk:
        disk.move(one.path, aside)
    beneath.remove_tree(aside)


class Retention:
    """Keeps the time of the last clearing on disk, so that cron's short runs have one a day too."""

    def __init__(self, house: House) -> None:
        self._house = house

    def run(self, stopped: threading.Event) -> None:
        while not stopped.is_set():
            self.once()
            stopped.wait(LOOK_S)

    def once(self) -> None:
        """Unless it was done within a day. Never raises."""
        house = self._house
        stamp = house.rooms.locks / "retention"
        try:
            if _age_s(stamp) < EVERY_S:
                return
            found = list(expired(house.config, house.rooms, house.storage))
            if found:
                house.book.audit([audit.expire([str(one.path) for one in found])])
            for one in found:
                remove(one)
                log.info("removed what=%s days=%d %s", one.what, one.days, one.path)
            with files.Changes() as disk:
                disk.touch(stamp)
        except OSError as error:
            log.error("what has expired can't be removed: %s", error)


def _finished(rooms: Rooms, days: int) -> Iterator[Expired]:
    """Whole days: done/2026-11-22."""
    today = datetime.now(UTC).date()
    for name in sorted(os.listdir(rooms.done)):
        with contextlib.suppress(ValueError):
            day = date.fromisoformat(name.removeprefix(ASIDE))
            if (age := (today - day).days) > days:
                path = rooms.done / name
                yield Expired(path, f"{_count(path)} finished requests", age)


def _of_failed(workspaces: Path, days: int) -> Iterator[Expired]:
    """ACTION.failed: what a failed job made; set-aside: what stood in the way of an output."""
    for pattern in ("*/metadata/*.failed", "*/metadata/set-aside/*"):
        for path in sorted(workspaces.glob(pattern)):
            if not path.is_dir() or path.is_symlink():
                continue
            if (age := _age_of_failed_days(path)) >= max(days, 1):
                what = "what a failed job left" if path.suffix == ".failed" else "set aside"
                yield Expired(path, what, age)


def _kept(folder: Path, days: int) -> Iterator[Expired]:
    """Folders of jobs that failed for no reason of their own."""
    for path in sorted(folder.glob("*")):
        if _age_days(path) >= days:
            yield Expired(path, "the folder of a job that was lost", _age_days(path))


def _count(folder: Path) -> int:
    return sum(1 for name in os.listdir(folder) if not name.startswith("."))


def _age_days(path: Path) -> int:
    return int((time.time() - path.stat().st_mtime) / DAY_S)


def _age_of_failed_days(path: Path) -> int:
    """A folder is as old as its own entries, not as what lies deeper: the action's log beside it
    tells when it failed last."""
    said = path.with_suffix(".log")
    return min(_age_days(path), _age_days(said)) if said.exists() else _age_days(path)


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return math.inf
