"""Metrics: a file of numbers for Prometheus' node_exporter (its textfile collector).

Replaced whole, so that it is never read half written, and readable by all: nothing in it names a
study. Format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from spoolrunner import files
from spoolrunner.runner import clock
from spoolrunner.spool import flags
from spoolrunner.spool.board import Board
from spoolrunner.spool.rooms import Rooms

log = logging.getLogger(__name__)

EVERY_S = 15.0
MODE = 0o644
NAME = "spoolrunner"

HELP = {
    "up": "gauge 1 while a runner is alive; how fresh that is, the file's own time tells",
    "jobs": "gauge Jobs that have not ended, by status and code",
    "oldest_pending_timestamp_seconds": "gauge When the job that waits longest was made",
    "jobs_ended_total": "counter Jobs that ended since the runner started, by code",
    "inbox_files": "gauge Files in the inbox that are not taken",
    "rejected_files": "gauge Files that could not be accepted",
    "reports_waiting": "gauge Reports that job-server has not confirmed",
    "paused": "gauge 1 while an operator holds all jobs",
    "db_maintenance": "gauge 1 while database jobs are held",
    "disk_free_bytes": "gauge Free space where the spool and the storage lie",
    "disk_size_bytes": "gauge Size of these disks",
}

Sample = tuple[str, Mapping[str, str], float]


class Metrics:
    """path: METRICS_FILE. disks: name -> a folder on it."""

    def __init__(self, path: Path, rooms: Rooms, disks: Mapping[str, Path]) -> None:
        self._path = path
        self._rooms = rooms
        self._disks = disks
        self._written_s = -EVERY_S
        self._failed = False

    def due(self) -> bool:
        return clock.monotonic_s() - self._written_s >= EVERY_S

    def write(self, board: Board, ended: Counter[str], *, up: bool = True) -> None:
        """Never raises: a monitor that can't be told is no reason to stop."""
        self._written_s = clock.monotonic_s()
        try:
            samples = [*self._samples(board, ended), ("up", {}, float(up))]
            files.write_unflushed(self._path, text(samples).encode(), MODE)
            self._failed = False
        except OSError as error:
            if not self._failed:  # once, not every 15 s
                log.warning("METRICS_FILE can't be written: %s", error)
            self._failed = True

    def _samples(self, board: Board, ended: Counter[str]) -> Iterator[Sample]:
        states = Counter((job.status, job.status_code) for job in board.jobs)
        for (status, code), number in states.items():
            yield "jobs", {"status": status, "code": code}, number
        pending = [job.created_at for job in board.jobs if job.status == "pending"]
        if pending:
            oldest = datetime.fromisoformat(min(pending)).timestamp()
            yield "oldest_pending_timestamp_seconds", {}, oldest
        for code, number in ended.items():
            yield "jobs_ended_total", {"code": code}, number
        yield "inbox_files", {}, board.inbox
        yield "rejected_files", {}, _count(self._rooms.rejected, ".error.json")
        yield "reports_waiting", {}, _count(self._rooms.outbox, ".json")
        up = flags.flags(self._rooms)
        yield "paused", {}, up.paused or up.reboot
        yield "db_maintenance", {}, up.db_maintenance
        for name, folder in self._disks.items():
            usage = shutil.disk_usage(folder)
            yield "disk_free_bytes", {"disk": name}, usage.free
            yield "disk_size_bytes", {"disk": name}, usage.total


def text(samples: list[Sample]) -> str:
    """All samples of one metric together, below what it is."""
    lines = []
    for name, about in HELP.items():
        own = [(labels, value) for metric, labels, value in samples if metric == name]
        if own:
            kind, _, meaning = about.partition(" ")
            lines += [f"# HELP {NAME}_{name} {meaning}", f"# TYPE {NAME}_{name} {kind}"]
            lines += [f"{NAME}_{name}{_labels(labels)} {float(value)!r}" for labels, value in own]
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _count(folder: Path, suffix: str) -> int:
    return sum(name.endswith(suffix) and name[0] != "." for name in os.listdir(folder))
