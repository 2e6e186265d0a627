"""What `status --watch` shows: each running job with the time it takes and what it uses.

What is asked for that (the engine, the workspace's index, the folders) is for display alone: what
can't be known is a dash, and never a reason to stop looking.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from spoolrunner.errors import SpoolrunnerError
from spoolrunner.figures import size_words
from spoolrunner.report.load import Load
from spoolrunner.report.overview import Overview
from spoolrunner.report.sheet import Block, Cell, Line, Table, endings, jobs_table, state
from spoolrunner.request import Status
from spoolrunner.spool import registry
from spoolrunner.spool.board import ActiveJob
from spoolrunner.spool.rooms import Rooms

COLUMNS = ("running", "for", "expected", "cpus", "memory", "disk", "workspace", "request", "doing")
BAR = 8
USUAL = "Running."  # goes without saying of what runs
FULL, EMPTY = "━", "─"
UNKNOWN = Cell("-")


@dataclass(frozen=True)
class Watched:
    """What is known of running jobs, by their identifiers. expected_s: from start to end."""

    loads: Mapping[str, Load]
    disk_bytes: Mapping[str, int]
    expected_s: Mapping[str, float]


class Expectations:
    """How long jobs will run, if they take as long as the newest good run of their action did.

    Read from the workspace's index, once for each job.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._known: dict[str, float | None] = {}

    def look(self, jobs: Iterable[ActiveJob]) -> dict[str, float]:
        running = [job for job in jobs if job.status == Status.RUNNING]
        self._known = {
            job.identifier: self._known[job.identifier]
            for job in running
            if job.identifier in self._known
        }
        for job in running:
            if job.identifier not in self._known:
                self._read(job.workspace, running)
        return {job: seconds for job, seconds in self._known.items() if seconds is not None}

    def _read(self, workspace: str, running: list[ActiveJob]) -> None:
        try:
            index = registry.find(self._rooms, workspace)
        except (SpoolrunnerError, OSError):
            index = None
        for job in running:
            if job.workspace == workspace:
                state = index.actions.get(job.action) if index else None
                run = state and (state.published or state.newest)
                self._known.setdefault(job.identifier, run.ran_s if run else None)


def watched_sheet(now: Overview, known: Watched) -> Iterator[Block]:
    yield from state(now)
    running = [job for job in now.jobs if job.status == Status.RUNNING]
    waiting = [job for job in now.jobs if job.status != Status.RUNNING]
    if running:
        yield Table(COLUMNS, [_row(job, known) for job in running])
    if waiting:
        yield jobs_table(waiting)
    if not now.jobs:
        yield Line("", Cell("Nothing runs and nothing waits."))
    yield from endings(now)


def _row(job: ActiveJob, known: Watched) -> tuple[Cell, ...]:
    ran_s = _seconds_since(job.started_at or job.updated_at)
    load = known.loads.get(job.identifier)
    disk_bytes = known.disk_bytes.get(job.identifier)
    return (
        Cell(job.action or "-", "cyan"),
        Cell(brief(ran_s)),
        _expected(ran_s if job.started_at else 0, known.expected_s.get(job.identifier)),
        UNKNOWN if load is None or load.cpus is None else Cell(f"{load.cpus:.1f}"),
        UNKNOWN if load is None else Cell(size_words(load.memory_bytes)),
        UNKNOWN if disk_bytes is None else Cell(size_words(disk_bytes)),
        Cell(job.workspace),
        Cell(job.job_request_id),
        Cell(job.progress or job.status_message.removesuffix(USUAL)),
    )


def _expected(ran_s: float, expected_s: float | None) -> Cell:
    """How much of it has passed."""
    if not expected_s:
        return UNKNOWN
    done = min(BAR, int(BAR * ran_s / expected_s))
    bar = FULL * done + EMPTY * (BAR - done)
    if ran_s > expected_s:
        return Cell(f"{bar} {brief(ran_s - expected_s)} over", "yellow")
    return Cell(f"{bar} {brief(expected_s - ran_s)} left")


def brief(seconds: float) -> str:
    """59 s, 2:05 min, 3:04 h, 2 d 5 h: never more than nine letters."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    if whole < 86400:
        return f"{whole // 3600}:{whole % 3600 // 60:02} h"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def _seconds_since(moment: str) -> float:
    try:
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())
    except ValueError:
        return 0.0
