"""The verb `check`: is everything fit to run, and does the spool hold together? --repair mends."""

import contextlib
import json
import time
from collections.abc import Iterator
from functools import partial

import click

from spoolrunner import check as looks
from spoolrunner import lock as locks
from spoolrunner.check import Finding, Grade, Ground
from spoolrunner.cli import build, deeds
from spoolrunner.errors import TryLater
from spoolrunner.lock import Lock
from spoolrunner.record import builtins
from spoolrunner.report import stdout
from spoolrunner.report.findings import checked, findings_sheet
from spoolrunner.report.progress import Progress
from spoolrunner.spool.rooms import Rooms

BESIDE_S = 1.0  # `status` holds the lock shared for an instant
AGAIN_S = 2.0
STATUSES = {Grade.UNFIT: 4, Grade.WRONG: 1, Grade.NOTE: 0}


@click.command(epilog="Example: spoolrunner check --repair --hash")
@click.option("--repair", is_flag=True, help="Mend what can be mended; no runner may be alive.")
@click.option("--all", "everything", is_flag=True, help="Look at all of done/ and index/.")
@click.option("--hash", "hashes", is_flag=True, help="Read every published output.")
@click.option("--json", "as_json", is_flag=True, help="For programs; stable.")
@click.pass_context
def check(ctx: click.Context, repair: bool, everything: bool, hashes: bool, as_json: bool) -> None:
    """Tell whether everything is fit to run and whether the spool holds together.

    Each finding says what it is, where, whose turn it is, and what --repair does about it. Nothing
    that is not understood is deleted: it is moved to rejected/, at high privacy to set-aside/. Ends
    with 0 if nothing is wrong, 1 if something is (with --repair: still), 4 if no runner could work.

    Beside a live runner, what it is just at is looked at twice and left out. --repair waits for
    nobody: while a runner or a `sync` is alive it ends with 5. Stop it first; its jobs go on.
    """
    place = build.rooms(ctx)
    mended: list[Finding] = []
    with (
        _alone(place) if repair else contextlib.nullcontext(),
        Progress("checking", "" if hashes else "files") as progress,
    ):
        make = partial(_ground, ctx, place, everything, hashes, progress)
        if repair:
            deeds.note(place, "check", "--repair")
            mended = list(looks.mend(make()))
        ground = make()
        found = looks.look(ground)
        if not repair and found and locks.is_locked(place.locks / "mover"):
            time.sleep(AGAIN_S)
            again = looks.look(make())
            found = [finding for finding in found if finding in again]
    result = checked(str(place.folder), found, mended, ground.looked)
    if as_json:
        click.echo(json.dumps(builtins(result), indent=1))
    else:
        stdout.show(findings_sheet(result))
    ctx.exit(max((STATUSES[finding.about.grade] for finding in found), default=0))


def _ground(
    ctx: click.Context, place: Rooms, everything: bool, hashes: bool, progress: Progress
) -> Ground:
    settings = build.config(ctx)
    return Ground(
        config=settings,
        rooms=place,
        storage=build.storage(settings),
        executor=build.first_executor(settings, place),
        start=lambda: build.house(settings, place),
        mend_rooms=lambda: build.make_rooms(settings, volatile=True),
        everything=everything,
        hashes=hashes,
        headway=progress,
    )


@contextlib.contextmanager
def _alone(place: Rooms) -> Iterator[None]:
    """Nobody else changes the spool meanwhile, and nobody starts to."""
    with contextlib.ExitStack() as held:
        for name in ("mover", "uploader"):
            lock = Lock(place.locks / name)
            if not lock.take(BESIDE_S):
                raise TryLater(
                    "A runner, or a `sync`, is alive on this spool: nothing was repaired.",
                    kind="runner_alive",
                    hint="Stop it (its jobs go on), repair, and start it again.",
                )
            held.callback(lock.release)
        yield
