"""The verb `audit`: who asked for what, what ran, what was released, what operators did."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import click

from spoolrunner import audit as words
from spoolrunner import units
from spoolrunner.audit import Event
from spoolrunner.cli import build
from spoolrunner.errors import Usage
from spoolrunner.record import to_line
from spoolrunner.report import stdout
from spoolrunner.report.audited import audited_sheet
from spoolrunner.spool import audit as room
from spoolrunner.spool.audit import Line
from spoolrunner.spool.rooms import Rooms

CHANGED = "It does not follow the line before it: one was changed or taken out here."
UNFINISHED = "It was never finished: a crash or a full disk; nobody did what it would tell of."


@click.command(
    epilog="\b\nExample:\n  spoolrunner audit --since 7d --workspace asthma\n"
    "  spoolrunner audit --since 2026-11-01 --json | jq 'select(.details.released)'"
)
@click.option("--since", help="A time, such as 2026-11-26 or 2026-11-26T09:30 (UTC), or 7d, 12h.")
@click.option("--workspace", help="Only what is about this one.")
@click.option("--json", "as_json", is_flag=True, help="For programs: a line for each event.")
@click.option(
    "--verify", is_flag=True, help="Look whether a line was changed or taken out; exit 1 if so."
)
@click.pass_context
def audit(
    ctx: click.Context, since: str | None, workspace: str | None, as_json: bool, verify: bool
) -> None:
    """Who asked for what, what ran with which inputs, what was released to medium privacy and what
    was withheld, and every command of an operator; the oldest first.

    Each event is shown once, even if a crash had it written twice. Only the runner's user and root
    may read it: it names outputs of every level.
    """
    place = build.rooms(ctx)
    if verify:
        ctx.exit(_verify(place))
    begin = _moment(since) if since else ""
    events = words.once(_events(place, begin, workspace))
    if not as_json:
        stdout.show(audited_sheet(events))
        return
    for event in events:
        sys.stdout.buffer.write(to_line(event))
    sys.stdout.buffer.flush()


def _events(place: Rooms, begin: str, workspace: str | None) -> Iterator[Event]:
    """Of what is wrong with the file stderr is told."""
    for line in room.read(place, begin):
        _tell(line)
        event = line.event
        if event and event.at >= begin and workspace in (None, event.workspace):
            yield event


def _tell(line: Line) -> None:
    if line.event is None:
        click.echo(f"{line.path}:{line.number}: {UNFINISHED}", err=True)
    elif not line.follows:
        click.echo(f"{line.path}:{line.number}: {CHANGED}", err=True)


def _verify(place: Rooms) -> int:
    """The exit status."""
    lines = list(room.read(place))
    for line in lines:
        _tell(line)
    if not all(line.follows for line in lines):
        return 1
    click.echo(f"{len(lines)} lines, and each holds the hash of the one before it.")
    if lines and lines[0].event and lines[0].event.before:
        click.echo("The first one's predecessor lies elsewhere.")
    if lines:
        click.echo(f"The last one's is {lines[-1].link}")
    return 0


def _moment(since: str) -> str:
    """As it stands in events. Raises Usage."""
    try:
        given = datetime.fromisoformat(since)
        moment = given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)
    except ValueError:
        moment = datetime.now(UTC) - timedelta(seconds=_ago_s(since))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ago_s(since: str) -> float:
    try:
        return units.seconds(since)
    except ValueError as error:
        raise Usage(
            f"--since {since!a} is no time.", kind="bad_time", hint="2026-11-26, or 7d, or 12h."
        ) from error
