"""Tables for a terminal; the same words, unadorned, in a pipe. The only module that knows rich."""

import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from spoolrunner.report.overview import ActiveJob, Overview
from spoolrunner.request import Job, Request

COLOURS = {"running": "cyan", "succeeded": "green", "failed": "red", "pending": "yellow"}
PIPE_WIDTH = 160
MOST_RECENT = 8


def show_overview(now: Overview) -> None:
    console = _console()
    console.print(f"spool    {now.spool}   backend {now.backend}", highlight=False)
    console.print(Text("runner   ").append(*_runner(now)))
    console.print(f"disk     {now.free_bytes / 1e9:.1f} GB free", highlight=False)
    console.print(f"waiting  {_counts(now)}", highlight=False)
    if now.jobs:
        console.print(_active_table(now.jobs))
    if now.recent:
        console.print(_recent_table(now))
    for left in now.left_in_inbox[:MOST_RECENT]:
        console.print(f"inbox/{left.name}: not taken, {left.reason}", markup=False, highlight=False)
    if now.counts.rejected:
        console.print(f"rejected/ holds {now.counts.rejected}: see the .error.json beside each.")


def show_request(request: Request, jobs: list[Job], folders: Mapping[str, Path]) -> None:
    console = _console()
    for name, value in _facts(request):
        console.print(f"{name:<10} {value}", markup=False, highlight=False)
    for note in request.notes:
        console.print(f"note       {note}", markup=False, highlight=False)
    for job in jobs:
        console.print()
        for name, value in _job_facts(job, folders):
            console.print(
                f"{name:<10} {value}", markup=False, highlight=False, style=_style(name, job)
            )


def _console() -> Console:
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(width=width, emoji=False)


def _runner(now: Overview) -> tuple[str, str]:
    words = {True: ("alive", "green"), None: ("not visible to this user", "yellow")}
    text, colour = words.get(now.runner.alive, ("not running: start `spoolrunner run`", "red"))
    return (f"{text}, paused" if now.flags.paused else text), colour


def _counts(now: Overview) -> str:
    counts = now.counts
    return (
        f"{counts.inbox} in inbox, {counts.pending} pending, {counts.running} running,"
        f" {counts.outbox} reports, {counts.rejected} rejected"
    )


def _active_table(jobs: Iterable[ActiveJob]) -> Table:
    table = _table("request", "workspace", "action", "status", "since", "why")
    for job in jobs:
        table.add_row(
            Text(job.job_request_id),
            Text(job.workspace),
            Text(job.action or "-"),
            Text(job.status, style=COLOURS.get(job.status, "")),
            _ago(job.started_at or job.created_at),
            Text(job.status_message),
        )
    return table


def _recent_table(now: Overview) -> Table:
    table = _table("ended", "workspace", "status", "jobs", "when", "message")
    for ended in now.recent[:MOST_RECENT]:
        table.add_row(
            Text(ended.identifier),
            Text(ended.workspace),
            Text(ended.status, style=COLOURS.get(ended.status, "")),
            f"{ended.jobs - ended.failed}/{ended.jobs}",
            f"{_ago(ended.completed_at)} ago",
            Text(ended.message.partition("\n")[0]),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column not in ("why", "message"), overflow="fold")
    return table


def _facts(request: Request) -> list[tuple[str, str]]:
    workspace = request.workspace
    return [
        ("request", f"{request.identifier}  {request.status}"),
        ("workspace", f"{workspace.name}  (db {workspace.db})"),
        ("study", f"{workspace.repo}  {workspace.branch}  {request.sha or 'commit not known yet'}"),
        ("asked for", ", ".join(request.requested_actions)),
        ("accepted", f"{request.created_at}  by {request.source}, uid {request.uid}"),
        ("ended", request.completed_at or "-"),
        *([("waits", request.message)] if request.message else []),
    ]


def _job_facts(job: Job, folders: Mapping[str, Path]) -> Iterable[tuple[str, str]]:
    yield "action", f"{job.action}  ({job.identifier})"
    yield "status", f"{job.status}  {job.status_code}"
    yield "message", job.status_message
    if job.run_command:
        yield "command", job.run_command
    for need in job.needs:
        yield "reads", f"{need.action} of request {need.request}"
    yield (
        "times",
        " ".join(_times(job)),
    )
    if job.attempt:
        yield (
            "attempt",
            f"{job.attempt}, {job.executor}, image {job.image_id or '-'}, exit {job.exit_code}",
        )
    for path, output in job.outputs.items():
        kept = "  (kept back from medium privacy)" if output.excluded else ""
        yield "output", f"{path}  {output.level}  {output.size} bytes{kept}"
    for pattern in job.unmatched_patterns:
        yield "missing", pattern
    if job.reference:
        yield "reference", job.reference
    if job.identifier in folders:
        yield "log", str(folders[job.identifier] / "logs.txt")


def _times(job: Job) -> Iterable[str]:
    yield f"{job.created_at} created,"
    yield f"{job.started_at or '-'} started,"
    yield f"{job.completed_at or '-'} ended"


def _style(name: str, job: Job) -> str:
    return COLOURS.get(job.status, "") if name == "status" else ""


def _ago(moment: str) -> str:
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
