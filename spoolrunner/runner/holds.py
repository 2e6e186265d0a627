"""Holds: why a job that waits for nobody does not start now, and why one that runs has to stop.

What is stopped for a hold goes back to where it waits and starts anew afterwards; the attempt is
not counted. Why it was stopped is in the request file before it is: a runner killed in between must
not take that for the job's own end.
"""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from spoolrunner.request import Code, Job
from spoolrunner.spool.flags import Flags

if TYPE_CHECKING:
    from spoolrunner.runner.house import House
    from spoolrunner.runner.line import Line

MESSAGES: dict[Code, str] = {
    Code.PAUSED: "The server is paused; the job starts when it goes on.",
    Code.WAITING_ON_REBOOT: "The server is about to be restarted; the job starts afterwards.",
    Code.WAITING_DB_MAINTENANCE: "The database is in maintenance; the job starts afterwards.",
    Code.WAITING_ON_DISK: "Waiting for the server's disk, which fails another job just now.",
    Code.WAITING_ON_NEW_TASK: "It was taken away and put back: it waits for its turn again.",
}


def of_all(now: Flags) -> Code | None:
    """Why nothing may start."""
    if now.reboot:
        return Code.WAITING_ON_REBOOT
    return Code.PAUSED if now.paused else None


def of_disk(lines: Collection["Line"]) -> Code | None:
    """Why nothing may start: a quota or a failing device, which no number of free bytes tells."""
    return Code.WAITING_ON_DISK if any(line.meets_bad_disk for line in lines) else None


def of_database(now: Flags, job: Job) -> Code | None:
    """Why this job may not start."""
    held = now.db_maintenance and job.requires_db
    return Code.WAITING_DB_MAINTENANCE if held else None


def interrupt(
    house: "House", now: Flags, lines: Collection["Line"], save: Callable[[], None]
) -> None:
    """Stop what runs and must not. Mover's thread. save: make what has changed durable."""
    to_stop = _to_stop(now, lines)
    for line, code in to_stop:
        message = "Asked to stop; it starts again later."
        house.book.change(line.request, line.job, interrupted=code, status_message=message)
    if to_stop:
        save()
    for line, _ in to_stop:
        house.stoppers.do(line.stop)


def _to_stop(now: Flags, lines: Collection["Line"]) -> list[tuple["Line", Code]]:
    """Those that run and must not, with the reason; one that was told so before is left out."""
    if not now.reboot and (now.drain or not now.db_maintenance):
        return []
    return [(line, code) for line in lines if _may_be_told(line) and (code := _why(now, line.job))]


def _may_be_told(line: "Line") -> bool:
    job = line.job
    return job.executing and not job.interrupted and not job.cancel and not line.at_its_limit


def _why(now: Flags, job: Job) -> Code | None:
    return Code.WAITING_ON_REBOOT if now.reboot else of_database(now, job)
