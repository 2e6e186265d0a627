"""Verbs that hold work back: pause, resume, maintenance, prepare-for-reboot."""

import time
from collections.abc import Callable, Sequence

import click

from spoolrunner import lock
from spoolrunner.cli import build, confirm, deeds
from spoolrunner.errors import TryLater
from spoolrunner.request import Job, Request, Status
from spoolrunner.spool import find, flags
from spoolrunner.spool.rooms import Rooms

LOOK_S = 0.2
NO_CHECKS = "From now on do not ask DB_MAINTENANCE_COMMAND, until the next time without this."


@click.command(epilog="Example: spoolrunner pause")
@click.pass_context
def pause(ctx: click.Context) -> None:
    """Start nothing new. What runs goes on, requests are still accepted; safe to repeat."""
    place = build.rooms(ctx)
    deeds.note(place, "pause")
    flags.put_up(place, flags.PAUSED)
    click.echo(f"paused: nothing new starts. {_running_words(place)}", err=True)


@click.command(epilog="Example: spoolrunner resume")
@click.pass_context
def resume(ctx: click.Context) -> None:
    """Go on after `pause` or `prepare-for-reboot`.

    The maintenance of the database is ended by its own verb.
    """
    place = build.rooms(ctx)
    deeds.note(place, "resume")
    flags.take_down(place, flags.PAUSED, flags.REBOOT)
    click.echo("going on", err=True)
    if flags.flags(place).db_maintenance:
        click.echo("the database is still in maintenance; see `spoolrunner status`", err=True)


@click.group(epilog="Example: spoolrunner maintenance on --drain")
def maintenance() -> None:
    """Hold database jobs while the database is in maintenance."""


@maintenance.command(
    epilog="Example: spoolrunner maintenance on --drain",
    short_help="Start no database job, and stop those that run.",
)
@click.option("--drain", is_flag=True, help="Let database jobs that run come to their end.")
@click.option("--no-checks", is_flag=True, help=NO_CHECKS)
@click.pass_context
def on(ctx: click.Context, drain: bool, no_checks: bool) -> None:
    """Start no database job, and stop those that run: they start anew when it is over.

    What was stopped is not counted against MAX_ATTEMPTS. Other jobs go on. Lasts until `off`,
    whatever DB_MAINTENANCE_COMMAND finds.
    """
    place = build.rooms(ctx)
    options = [*["--drain"] * drain, *["--no-checks"] * no_checks]
    deeds.note(place, "maintenance", "on", *options)
    flags.put_up(place, flags.MAINTENANCE, flags.DRAIN if drain else b"")
    _check(place, no_checks=no_checks)
    jobs = "those that run may end" if drain else "those that run are stopped and wait"
    click.echo(f"database maintenance: no database job starts, {jobs}", err=True)


@maintenance.command(epilog="Example: spoolrunner maintenance off")
@click.option("--no-checks", is_flag=True, help=NO_CHECKS)
@click.pass_context
def off(ctx: click.Context, no_checks: bool) -> None:
    """Let database jobs start again."""
    place = build.rooms(ctx)
    deeds.note(place, "maintenance", "off", *["--no-checks"] * no_checks)
    flags.take_down(place, flags.MAINTENANCE)
    _check(place, no_checks=no_checks)
    if flags.is_up(place, flags.DETECTED):
        click.echo(
            "your hold is gone, but DB_MAINTENANCE_COMMAND finds the database in maintenance;"
            " --no-checks goes on all the same",
            err=True,
        )
    else:
        click.echo("database jobs may start", err=True)


def _check(place: Rooms, *, no_checks: bool) -> None:
    if no_checks:
        flags.put_up(place, flags.NO_CHECKS)
        flags.take_down(place, flags.DETECTED)
    else:
        flags.take_down(place, flags.NO_CHECKS)


@click.command(epilog="Example: spoolrunner prepare-for-reboot --yes && reboot")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--within",
    "within_s",
    default=600,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds to wait until it is safe.",
)
@click.pass_context
def prepare_for_reboot(ctx: click.Context, yes: bool, within_s: float) -> None:
    """Stop all jobs, and say when the machine may be restarted.

    Running jobs are stopped and wait to start anew, which is not counted against MAX_ATTEMPTS;
    one whose outputs are just being published is waited for. Nothing starts until `resume`, also
    after the restart. Exit 0 when it is safe, 5 when it is not yet.
    """
    place = build.rooms(ctx)
    confirm.ask(f"{_running_words(place)} Stop all jobs to restart the machine?", yes=yes)
    deeds.note(place, "prepare-for-reboot")
    flags.put_up(place, flags.REBOOT)
    if not lock.is_locked(place.locks / "mover") and _running(find.every_active(place)):
        from spoolrunner.cli import service

        service.drain_here(ctx)  # nobody else is there to stop them
    _wait_until(lambda: not _running(find.every_active(place)), within_s, place)
    click.echo("It is safe to restart the machine. Afterwards: spoolrunner resume")


def _wait_until(holds: Callable[[], bool], within_s: float, place: Rooms) -> None:
    end_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end_s:
            raise TryLater(
                f"It is not safe yet. {_running_words(place)}",
                kind="still_running",
                hint="Say it again to go on waiting; `spoolrunner status` shows what they do.",
            )
        time.sleep(LOOK_S)


def _running(requests: Sequence[Request]) -> Sequence[Job]:
    """Jobs that have a container, or whose files are being read or written."""
    return [job for one in requests for job in one.jobs if job.status is Status.RUNNING]


def _running_words(place: Rooms) -> str:
    jobs = _running(find.all_active(place))
    names = ", ".join(job.action for job in jobs)
    return f"{len(jobs)} running: {names}." if jobs else "No job runs."
