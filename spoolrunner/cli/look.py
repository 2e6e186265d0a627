"""Verbs that only look: status, show, logs. They read the spool and work without a runner."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from spoolrunner.cli import build
from spoolrunner.errors import BadInput
from spoolrunner.record import builtins
from spoolrunner.report import stdout
from spoolrunner.report.overview import overview
from spoolrunner.report.sheet import overview_sheet, request_sheet
from spoolrunner.request import Job, Request, Status
from spoolrunner.runner import launch
from spoolrunner.spool import find
from spoolrunner.spool.rooms import Rooms

CHUNK_BYTES = 1 << 16


@click.command(epilog="Example: spoolrunner status --json | jq '.jobs[] | .status_message'")
@click.argument("identifier", required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs; stable.")
@click.pass_context
def status(ctx: click.Context, identifier: str | None, as_json: bool) -> None:
    """What runs, what waits and why, what ended lately; whether a runner is alive.

    Reads the spool only, and costs the same however much has been done before.
    """
    if identifier:
        ctx.invoke(show, identifier=identifier, as_json=as_json)
        return
    now = overview(build.rooms(ctx), build.config(ctx).backend)
    if as_json:
        click.echo(json.dumps(builtins(now), indent=1))
        return
    stdout.show(overview_sheet(now))


@click.command(epilog="Example: spoolrunner show k7m2x9")
@click.argument("identifier")
@click.option("--json", "as_json", is_flag=True, help="The request file itself.")
@click.pass_context
def show(ctx: click.Context, identifier: str, as_json: bool) -> None:
    """All about a request, a job, or the failure that a reference stands for.

    IDENTIFIER may be any unambiguous part of an id.
    """
    place = build.rooms(ctx)
    request = find.any_request(place, identifier)
    if as_json:
        click.echo(json.dumps(builtins(request), indent=1))
        return
    jobs = find.jobs_meant(request, identifier)
    stdout.show(request_sheet(request, jobs, _folders(ctx, request)))


@click.command(epilog="Example: spoolrunner logs k3j2h4 --follow")
@click.argument("identifier")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job ends.")
@click.pass_context
def logs(ctx: click.Context, identifier: str, follow: bool) -> None:
    """What a job said, with the summary at its end; of a request, all its jobs one by one."""
    place = build.rooms(ctx)
    request = find.any_request(place, identifier)
    jobs = find.jobs_meant(request, identifier)
    masks = launch.masks(build.config(ctx))
    shown = 0
    for job in jobs:
        if len(jobs) > 1:
            click.echo(f"==> {job.action} ({job.identifier}) <==")
        for part in masks.over(_log_of(ctx, place, job, follow=follow)):
            sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
            shown += 1
    if not shown:
        raise BadInput("None of its jobs has said anything yet.", kind="no_log")


def _log_of(ctx: click.Context, place: Rooms, job: Job, *, follow: bool) -> Iterator[bytes]:
    if job.status is Status.RUNNING and job.executor:
        name = f"sr-{place.spool8}-{job.identifier}-{job.attempt}"
        executor = build.executors(build.config(ctx), place)[job.executor]()
        yield from executor.follow_log(name, follow)
        return
    path = _log_path(ctx, job)
    if path.exists():
        with path.open("rb") as log:
            while part := log.read(CHUNK_BYTES):
                yield part


def _log_path(ctx: click.Context, job: Job) -> Path:
    high = build.config(ctx).high_privacy_storage_base.absolute()
    return high / "logs" / job.created_at[:7] / f"os-job-{job.identifier}" / "logs.txt"


def _folders(ctx: click.Context, request: Request) -> dict[str, Path]:
    """Job -> where its log and metadata lie, if they do."""
    paths = {job.identifier: _log_path(ctx, job).parent for job in request.jobs}
    return {identifier: path for identifier, path in paths.items() if path.exists()}
