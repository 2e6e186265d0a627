"""A sheet: what is to be shown, as lines and tables, before anybody decides how it looks.

A terminal shows it through `screen` (colours, wrapping to its width), a pipe through `plain`: one
line for each row, so that grep and awk can work, without the 50 ms that rich takes to load.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from spoolrunner.executor import Process
from spoolrunner.figures import size_words, took_words, used_words
from spoolrunner.report.overview import Overview
from spoolrunner.request import Job, Request
from spoolrunner.spool.board import ActiveJob
from spoolrunner.spool.recent import Ended

COLOURS = {"running": "cyan", "succeeded": "green", "failed": "red", "pending": "yellow"}
MOST_RECENT = 8


@dataclass(frozen=True)
class Cell:
    """A word or a sentence. style: a colour's name, or ""."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Line:
    """name: what the value is, in front of it; "" for a sentence of its own."""

    name: str
    value: Cell


@dataclass(frozen=True)
class Table:
    """The last column may be long."""

    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]] = field(default_factory=list)


Block = Line | Table


def overview_sheet(now: Overview) -> Iterator[Block]:
    """What `status` shows."""
    yield from state(now)
    if now.jobs:
        yield jobs_table(now.jobs)
    yield from endings(now)


def jobs_table(jobs: list[ActiveJob]) -> Table:
    columns = ("status", "since", "action", "request", "workspace", "why")
    return Table(columns, [_active(alike) for alike in _alike(jobs)])


def endings(now: Overview) -> Iterator[Block]:
    """What ended lately, and what somebody has to look at."""
    if now.recent:
        columns = ("ended", "when", "jobs", "request", "workspace", "message")
        yield Table(columns, [_ended(one) for one in now.recent[:MOST_RECENT]])
    for left in now.left_in_inbox[:MOST_RECENT]:
        yield _line("", f"inbox/{left.name}: not taken, {left.reason}")
    for rejected in now.last_rejected:
        yield _line("", f"rejected {rejected.name}: {rejected.reason}")
    if now.counts.rejected > len(now.last_rejected):
        yield _line("", f"rejected/ holds {now.counts.rejected}: see the .error.json beside each.")


def state(now: Overview) -> Iterator[Line]:
    """Where it is, who is alive, and what an operator should know."""
    yield _line("spool", f"{now.spool}   backend {now.backend}")
    yield Line("runner", _runner(now))
    for sentence in _held(now):
        yield Line("held", Cell(sentence, "yellow"))
    for disk in now.disks:
        free, total = size_words(disk.free_bytes), size_words(disk.total_bytes)
        yield _line("disk", f"{free} free of {total}   {disk.name}")
    if now.storage_trouble:
        yield Line("storage", Cell(now.storage_trouble, "red"))
    yield _line("work", _counts(now))
    if now.reports_trouble:
        yield Line("reports", Cell(now.reports_trouble, "red"))
    if now.reports_fact:
        yield _line("reports", now.reports_fact)
    if now.reports_refused:
        yield Line("refused", Cell(_refused(now.reports_refused), "red"))


@dataclass(frozen=True)
class Place:
    """Where a running job is. folder: what it sees as /workspace. process: None if it can't be
    known. progress: how far it is with what lasts, or ""."""

    container: str
    folder: Path
    process: Process | None
    progress: str


def request_sheet(
    request: Request, jobs: list[Job], folders: Mapping[str, Path], places: Mapping[str, Place]
) -> Iterator[Block]:
    """What `show` shows. folders: job -> where its log lies. places: of those that run."""
    workspace = request.workspace
    yield Line("request", Cell(f"{request.identifier}  {request.status}"))
    yield _line("workspace", f"{workspace.name}  (db {workspace.db})")
    commit = request.sha or "commit not known yet"
    yield _line("study", f"{workspace.repo}  {workspace.branch}  {commit}")
    yield _line("asked for", ", ".join(request.requested_actions))
    yield _line("accepted", f"{request.created_at}  by {request.source}, uid {request.uid}")
    yield _line("ended", request.completed_at or "-")
    if request.message:
        yield _line("waits", request.message)
    for note in request.notes:
        yield _line("note", note)
    for job in jobs:
        yield _line("", "")
        yield from _job_lines(job, folders)
        if job.identifier in places:
            yield from _place_lines(places[job.identifier])


def _place_lines(place: Place) -> Iterator[Block]:
    if place.progress:
        yield _line("now", place.progress)
    yield _line("container", place.container)
    yield _line("folder", str(place.folder))
    if place.process:
        yield _line("process", f"{place.process.pid}  {shlex.join(place.process.argv)}")


def _job_lines(job: Job, folders: Mapping[str, Path]) -> Iterator[Block]:
    yield _line("action", f"{job.action}  ({job.identifier})")
    yield Line("status", Cell(f"{job.status}  {job.status_code}", COLOURS.get(job.status, "")))
    yield _line("message", job.status_message)
    if job.run_command:
        yield _line("command", job.run_command)
    for need in job.needs:
        yield _line("reads", f"{need.action} of request {need.request}")
    started, ended = job.started_at or "-", job.completed_at or "-"
    yield _line("times", f"{job.created_at} created, {started} started, {ended} ended")
    if job.attempt:
        image = job.image_id or "-"
        status = "-" if job.exit_code is None else job.exit_code
        ran = f"{job.attempt}, {job.executor}, image {image}, exit {status}"
        yield _line("attempt", ran)
    if job.metrics:
        yield _line("used", used_words(job.metrics))
        yield _line("took", took_words(job.metrics))
    yield from _output_lines(job)
    if job.reference:
        yield _line("reference", job.reference)
    if job.identifier in folders:
        yield _line("log", str(folders[job.identifier] / "logs.txt"))


def _output_lines(job: Job) -> Iterator[Block]:
    for path, output in job.outputs.items():
        kept = "  (kept back from medium privacy)" if output.excluded else ""
        yield _line("output", f"{path}  {output.level}  {output.size} bytes{kept}")
    for pattern in job.unmatched_patterns:
        yield _line("missing", pattern)


def _line(name: str, text: str) -> Line:
    return Line(name, Cell(text))


def _runner(now: Overview) -> Cell:
    if now.runner.alive is False and now.runner.drained_at:
        return Cell(f"away; the last `run --drain` ended {ago(now.runner.drained_at)} ago")
    words = {True: ("alive", "green"), None: ("not visible to this user", "yellow")}
    text, colour = words.get(now.runner.alive, ("not running: start `spoolrunner run`", "red"))
    return Cell(text, colour)


def _held(now: Overview) -> Iterator[str]:
    """What an operator holds back, and how it goes on."""
    flags = now.flags
    if flags.reboot:
        yield "stopped for a restart of the machine; `spoolrunner resume` afterwards"
    elif flags.paused:
        yield "paused: nothing new starts; `spoolrunner resume` goes on"
    if flags.db_maintenance_by == "operator":
        ending = "those that run may end" if flags.db_drain else "those that ran wait"
        yield f"database maintenance: no database job starts, {ending}; `maintenance off` ends it"
    elif flags.db_maintenance:
        yield "database maintenance, found by DB_MAINTENANCE_COMMAND: database jobs wait"


def _counts(now: Overview) -> str:
    counts = now.counts
    return (
        f"{counts.inbox} in inbox, {counts.pending} pending, {counts.running} running,"
        f" {counts.outbox} reports, {counts.rejected} rejected"
    )


def _refused(requests: list[str]) -> str:
    shown = ", ".join(requests[:MOST_RECENT])
    more = ", ..." if len(requests) > MOST_RECENT else ""
    return f"job-server would not take the reports of {shown}{more}: see outbox/refused/"


def _alike(jobs: list[ActiveJob]) -> list[list[ActiveJob]]:
    """Running jobs one by one, then those that wait: of one request for the same, as one."""
    groups: dict[tuple[str, ...], list[ActiveJob]] = {}
    for job in sorted(jobs, key=lambda job: job.status != "running"):
        alike = (job.job_request_id, job.status, job.status_message)
        own = (job.identifier,) if job.status == "running" else ()
        groups.setdefault(alike + own, []).append(job)
    return list(groups.values())


def _active(jobs: list[ActiveJob]) -> tuple[Cell, ...]:
    job, others = jobs[0], len(jobs) - 1
    more = f" and {others} more" if others else ""
    return (
        Cell(job.status, COLOURS.get(job.status, "")),
        Cell(ago(job.started_at or job.created_at)),
        Cell((job.action or "-") + more),
        Cell(job.job_request_id),
        Cell(job.workspace),
        Cell(said(job)),
    )


def said(job: ActiveJob) -> str:
    return f"{job.status_message} {job.progress}".rstrip()


def _ended(ended: Ended) -> tuple[Cell, ...]:
    return (
        Cell(ended.status, COLOURS.get(ended.status, "")),
        Cell(f"{ago(ended.completed_at)} ago"),
        Cell(f"{ended.jobs - ended.failed}/{ended.jobs}"),
        Cell(ended.identifier),
        Cell(ended.workspace),
        Cell(ended.message.partition("\n")[0]),
    )


def ago(moment: str) -> str:
    """How long ago an ISO time was, in the largest fitting unit."""
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return "-"
    seconds = max(0, int((datetime.now(UTC) - then).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
