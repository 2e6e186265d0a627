"""The verb `gc`: what has expired, and what belongs to nobody."""

import contextlib
import json
from collections.abc import Callable, Iterator
from functools import partial

import click

from spoolrunner import lock
from spoolrunner.cli import build, deeds
from spoolrunner.config import Config
from spoolrunner.executor import Executor
from spoolrunner.record import Record, builtins
from spoolrunner.report import stdout
from spoolrunner.report.progress import Progress
from spoolrunner.report.sheet import Block, Cell, Line, Table
from spoolrunner.runner import orphans, retention
from spoolrunner.runner.orphans import Orphan
from spoolrunner.runner.retention import Expired
from spoolrunner.spool import find
from spoolrunner.spool.rooms import Rooms


class Found(Record, kw_only=True):
    """What `gc --json` prints. removed: is it gone now?"""

    kind: str
    name: str
    why: str
    removed: bool


@click.command(epilog="Example: spoolrunner gc        (then, if you agree: spoolrunner gc --yes)")
@click.option("-y", "--yes", is_flag=True, help="Remove it; without this it is only listed.")
@click.option("--json", "as_json", is_flag=True, help="For programs; stable.")
@click.pass_context
def gc(ctx: click.Context, yes: bool, as_json: bool) -> None:
    """List what has expired or belongs to nobody, and with --yes remove it.

    The service removes by itself, once a day, finished requests after KEEP_DONE_DAYS and what
    failed jobs left after KEEP_FAILED_DAYS. Containers and job folders without a job are left by a
    runner that was killed; the next start removes those of its executor. A job whose container is
    gone is started anew by the runner. Nothing of another spool is touched.
    """
    settings, place = build.config(ctx), build.rooms(ctx)
    storage = build.storage(settings)
    expired = list(retention.expired(settings, place, storage))
    left = _orphans(settings, place)
    names = [*(str(one.path) for one in expired), *(one.name for one in left if one.clear)]
    steps: list[Callable[..., Found]] = [partial(_expire, one) for one in expired]
    steps += [partial(_clear, one, place) for one in left]
    found = []
    with (
        deeds.making_room(place, "gc", "--yes", removes=names) if yes else contextlib.nullcontext(),
        Progress("removing" if yes else "looking", "folders and containers") as progress,
    ):
        progress.expect(len(steps))
        for step in steps:
            found.append(step(yes=yes))
            progress.add()
    if as_json:
        click.echo(json.dumps(builtins(found), indent=1))
    else:
        stdout.show(_sheet(found, yes=yes))


def _orphans(settings: Config, place: Rooms) -> list[Orphan]:
    made = build.executors(settings, place)
    chosen = next(iter(made))
    executor = made[chosen]()

    def of(name: str) -> Executor:
        return executor if name == chosen else made[name]()

    def active() -> set[str]:
        return orphans.active_jobs(find.every_active(place))

    seen = [*orphans.containers(executor), *orphans.folders(build.storage(settings), place.spool8)]
    lost = orphans.lost(find.every_active(place), place.spool8, of)
    return [*orphans.without_job(seen, active), *lost]


def _expire(one: Expired, *, yes: bool) -> Found:
    if yes:
        retention.remove(one)
    return Found(
        kind="expired", name=str(one.path), why=f"{one.what}, {one.days} days old", removed=yes
    )


def _clear(one: Orphan, place: Rooms, *, yes: bool) -> Found:
    if one.clear is None:
        alive = lock.is_locked(place.locks / "mover")
        who = "the runner" if alive else "the next runner"
        why = f"its container is gone; {who} starts it anew"
        return Found(kind=one.kind, name=one.name, why=why, removed=False)
    if yes:
        one.clear()
    return Found(kind=one.kind, name=one.name, why="no active job has it", removed=yes)


def _sheet(found: list[Found], *, yes: bool) -> Iterator[Block]:
    if not found:
        yield Line("", Cell("There is nothing to remove."))
        return
    rows = [(Cell(_state(one)), Cell(one.kind), Cell(one.name), Cell(one.why)) for one in found]
    yield Table(("", "what", "name", "why"), [*rows])
    if not yes and any(one.kind != "job" for one in found):
        yield Line("", Cell("Nothing was removed: `spoolrunner gc --yes` does it."))


def _state(one: Found) -> str:
    return "removed" if one.removed else "found"
