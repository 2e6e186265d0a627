"""Health: does anybody have to look? For monitoring (`status --check`).

What was asked for and went wrong is the researcher's; here is only what an operator must act on.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from spoolrunner.figures import size_words
from spoolrunner.record import Record
from spoolrunner.report.overview import Overview
from spoolrunner.request import Code

WELL, ATTENTION, NO_RUNNER = 0, 1, 4
# Cron starts `run --drain` each minute; a runner of that kind is away in between.
DRAINED_WITHIN = timedelta(minutes=5)

TROUBLED: dict[str, str] = {
    Code.WAITING_ON_OPERATOR: "jobs that can't be finished, see the runner's log",
    Code.WAITING_ON_IMAGE: "jobs that wait for an image, see `spoolrunner images`",
    Code.WAITING_ON_DISK: "jobs that wait for the disk",
}


class Health(Record, kw_only=True):
    """What `status --check --json` prints. status: 0 well, 1 attention, 4 no runner."""

    status: int
    reasons: list[str]


def health(now: Overview, min_free_bytes: int) -> Health:
    """min_free_bytes: MIN_FREE_DISK, 0 if that is not known."""
    reasons = [*_of_runner(now), *_of_reports(now), *_of_disks(now, min_free_bytes), *_of_jobs(now)]
    if not _has_runner(now):
        return Health(status=NO_RUNNER, reasons=["no runner is alive", *reasons])
    return Health(status=ATTENTION if reasons else WELL, reasons=reasons)


def _has_runner(now: Overview) -> bool:
    if now.runner.alive is not False or not now.runner.drained_at:
        return now.runner.alive is not False
    drained = datetime.fromisoformat(now.runner.drained_at)
    return datetime.now(UTC) - drained < DRAINED_WITHIN


def _of_runner(now: Overview) -> Iterator[str]:
    if now.runner.alive is None:
        yield "this user may not know whether a runner is alive"
    if now.flags.reboot:
        yield "held for a restart of the machine"
    elif now.flags.paused:
        yield "paused"


def _of_reports(now: Overview) -> Iterator[str]:
    if now.reports_trouble:
        yield f"reports: {now.reports_trouble}"
    if now.reports_refused:
        yield f"job-server would not take the reports of {len(now.reports_refused)} requests"


def _of_disks(now: Overview, min_free_bytes: int) -> Iterator[str]:
    if now.storage_trouble:
        yield f"storage: {now.storage_trouble}"
    for disk in now.disks:
        if disk.free_bytes < min_free_bytes:
            free = size_words(disk.free_bytes)
            yield f"the disk of {disk.path} has {free} free, less than MIN_FREE_DISK"


def _of_jobs(now: Overview) -> Iterator[str]:
    for code, what in TROUBLED.items():
        if number := sum(job.status_code == code for job in now.jobs):
            yield f"{what}: {number}"
