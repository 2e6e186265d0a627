"""Choosing what a part of an id means: by itself, or by a number where somebody can answer."""

import sys
from collections.abc import Sequence

import click

from spoolrunner.errors import BadInput
from spoolrunner.report.sheet import ago
from spoolrunner.request import Request
from spoolrunner.spool import find
from spoolrunner.spool.find import Meant
from spoolrunner.spool.rooms import Rooms

MOST_SHOWN = 15


def active(place: Rooms, part: str) -> Meant:
    """The active request, or job of one, that is meant. Raises BadInput for none or several."""
    return _one(find.active(place, part), part, "active request or job")


def any_request(place: Rooms, part: str) -> Meant:
    """The same, of those that have ended as well."""
    return _one(find.any_request(place, part), part, "request, job or reference")


def active_whole(place: Rooms, part: str) -> Request:
    """An active request as a whole, by its id or by one of its jobs'."""
    return _one(_whole(find.active(place, part)), part, "active request").request


def any_whole(place: Rooms, part: str) -> Request:
    return _one(_whole(find.any_request(place, part)), part, "request, job or reference").request


def _whole(found: Sequence[Meant]) -> list[Meant]:
    return [*{one.request.identifier: Meant(one.request) for one in found}.values()]


def _one(found: Sequence[Meant], part: str, what: str) -> Meant:
    if not found:
        raise BadInput(
            f"There is no {what} {part!r}.", kind="unknown_id", hint="See `spoolrunner status`."
        )
    if len(found) == 1:
        return found[0]
    shown = _aligned([_words(one) for one in found[:MOST_SHOWN]])
    more = [f"and {len(found) - MOST_SHOWN} more"] if len(found) > MOST_SHOWN else []
    question = f"{part!r} may mean any of {len(found)}:"
    if sys.stdin.isatty() and sys.stderr.isatty():
        return found[_number(question, shown, more) - 1]
    message = "\n".join([question, *shown, *more])
    raise BadInput(message, kind="ambiguous_id", hint="Give more of the id.")


def _number(question: str, shown: Sequence[str], more: Sequence[str]) -> int:
    """Of the line that is wanted, from 1. Raises click.Abort."""
    click.echo(question, err=True)
    for number, line in enumerate(shown, start=1):
        click.echo(f"{number:>3}  {line}", err=True)
    for line in more:
        click.echo(f"     {line}; for these give more of the id", err=True)
    wanted: int = click.prompt("Which", type=click.IntRange(1, len(shown)), err=True)
    return wanted


def _words(one: Meant) -> tuple[str, ...]:
    request, about = one.request, one.job or one.request
    names = ", ".join(request.requested_actions)
    action = one.job.action if one.job else names if len(names) < 40 else f"{names[:37]}..."
    when = ago(about.completed_at or about.created_at)
    return (one.identifier, request.workspace.name, action, about.status, f"{when} ago")


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{word:<{width}}" for word, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
