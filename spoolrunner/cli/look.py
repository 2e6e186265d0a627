"""Verbs that only look: status, show, logs. They read the spool and work without a runner."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click

from spoolrunner.cli import build, choose
from spoolrunner.config import Config
from spoolrunner.errors import BadInput, SpoolrunnerError, Usage
from spoolrunner.record import builtins
from spoolrunner.report import stdout
from spoolrunner.report.health import health
from spoolrunner.report.overview import Overview, overview
from spoolrunner.report.sheet import Block, Place, overview_sheet, request_sheet
from spoolrunner.request import Job, Request, Status, attempt_name
from spoolrunner.runner import launch
from spoolrunner.settings import STORAGE_MARKER
from spoolrunner.spool import board
from spoolrunner.spool.rooms import Rooms

CHUNK_BYTES = 1 << 16
WATCH_EVERY_S = 1.0


@click.command(epilog="Example: spoolrunner status --json | jq '.jobs[] | .status_message'")
@click.argument("identifier", required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs; stable.")
@click.option(
    "-w", "--watch", is_flag=True, help="Live, with what each running job uses, until Ctrl-C."
)
@click.option(
    "--check",
    is_flag=True,
    help="For monitoring: exit 0 if all is well, 1 if somebody should look, 4 if no runner is"
    " alive; says why.",
)
@click.pass_context
def status(
    ctx: click.Context, identifier: str | None, as_json: bool, watch: bool, check: bool
) -> None:
    """What runs, what waits and why, what ended lately; whether a runner is alive.

    Reads the spool only, and costs the same however much has been done before. With SPOOL_DIR in
    the environment anybody in SPOOL_GROUP may look.
    """
    if identifier:
        ctx.invoke(show, identifier=identifier, as_json=as_json)
        return
    look = partial(_overview, *build.place_to_look(ctx))
    if check:
        _check(look(), build.place_to_look(ctx)[1], as_json=as_json)
    elif watch:
        _watch(ctx, look)
    elif as_json:
        click.echo(json.dumps(builtins(look()), indent=1))
    else:
        stdout.show(overview_sheet(look()))


def _overview(place: Rooms, settings: Config | None) -> Overview:
    if settings is None:
        return overview(place, "", {})
    disks = {
        "high privacy": settings.high_privacy_storage_base,
        "medium privacy": settings.medium_privacy_storage_base,
    }
    if not os.access(place.claims, os.R_OK):
        # Another user's settings may be others than the runner's: what that wrote down counts.
        return overview(place, "", disks)
    return overview(place, settings.backend, disks, _storage_trouble(settings))


def _storage_trouble(settings: Config) -> str:
    """A disk that is not mounted looks like an empty folder: only our marker tells."""
    bases = (settings.high_privacy_storage_base, settings.medium_privacy_storage_base)
    gone = [str(base) for base in bases if not os.path.exists(base / STORAGE_MARKER)]
    names = " and ".join(gone)
    return f"nothing of ours is in {names}, so all waits. Is the disk mounted?" if gone else ""


def _check(now: Overview, settings: Config | None, *, as_json: bool) -> None:
    """Ends the command with the state as its exit status."""
    found = health(now, settings.min_free_disk_bytes if settings else 0)
    if as_json:
        click.echo(json.dumps(builtins(found), indent=1))
    else:
        click.echo("\n".join(found.reasons) or "well")
    raise click.exceptions.Exit(found.status)


def _watch(ctx: click.Context, look: Callable[[], Overview]) -> None:
    if not sys.stdout.isatty():
        raise Usage(
            "--watch needs a terminal.", kind="no_terminal", hint="Scripts use `status --json`."
        )
    from spoolrunner.report import screen
    from spoolrunner.report.watched import Expectations, Watched, watched_sheet

    place, settings = build.place_to_look(ctx)
    loads, folders = build.loads(place, settings), build.folders(place, settings)
    expectations = Expectations(place)

    def sheet() -> Iterator[Block]:
        now = look()
        jobs = now.jobs
        known = Watched(loads.look(jobs), folders.look(jobs), expectations.look(jobs))
        return watched_sheet(now, known)

    screen.watch(sheet, WATCH_EVERY_S)


@click.command(epilog="Example: spoolrunner show k7m2x9")
@click.argument("identifier")
@click.option("--json", "as_json", is_flag=True, help="The request file itself.")
@click.pass_context
def show(ctx: click.Context, identifier: str, as_json: bool) -> None:
    """All about a request, a job, or the failure that a reference stands for.

    IDENTIFIER may be part of an id, or an action's name. Where that may mean several, a terminal
    asks which; elsewhere they are listed and the exit status is 3.
    """
    place = build.rooms(ctx)
    meant = choose.any_request(place, identifier)
    if as_json:
        click.echo(json.dumps(builtins(meant.request), indent=1))
        return
    stdout.show(
        request_sheet(
            meant.request, meant.jobs, _folders(ctx, meant.request), _places(ctx, place, meant.jobs)
        )
    )


@click.command(epilog="Example: spoolrunner logs k3j2h4 --follow")
@click.argument("identifier")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job ends.")
@click.pass_context
def logs(ctx: click.Context, identifier: str, follow: bool) -> None:
    """What a job said, with the summary at its end; of a request, all its jobs one by one."""
    place = build.rooms(ctx)
    jobs = choose.any_request(place, identifier).jobs
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


def _places(ctx: click.Context, place: Rooms, jobs: list[Job]) -> dict[str, Place]:
    progress = board.progress(place, board.read(place))
    running = [job for job in jobs if job.status is Status.RUNNING and job.attempt]
    return {
        job.identifier: _place(ctx, place, job, progress.get(job.identifier, "")) for job in running
    }


def _place(ctx: click.Context, place: Rooms, job: Job, progress: str) -> Place:
    settings, name = build.config(ctx), attempt_name(place.spool8, job.identifier, job.attempt)
    process = None
    made = build.executors(settings, place)
    with contextlib.suppress(SpoolrunnerError):  # an engine that is away
        process = made[job.executor]().process(name) if job.executor in made else None
    folder = settings.high_privacy_volume_dir.absolute() / name / "workspace"
    return Place(name, folder, process, progress)


def _log_of(ctx: click.Context, place: Rooms, job: Job, *, follow: bool) -> Iterator[bytes]:
    if job.status is Status.RUNNING and job.executor:
        name = attempt_name(place.spool8, job.identifier, job.attempt)
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
