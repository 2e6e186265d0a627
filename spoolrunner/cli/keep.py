"""Verbs that keep things elsewhere: archive, unarchive, backup."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click

from spoolrunner.cli import build, confirm, deeds
from spoolrunner.drop import folder_name
from spoolrunner.errors import BadInput, TryLater
from spoolrunner.figures import size_words
from spoolrunner.headway import UNHEARD
from spoolrunner.index import WorkspaceIndex
from spoolrunner.lock import Lock
from spoolrunner.report.progress import Progress
from spoolrunner.spool import find, registry
from spoolrunner.spool.backup import Backup
from spoolrunner.spool.rooms import Rooms
from spoolrunner.workspace.archive import Archive


@click.command(epilog="Example: spoolrunner archive asthma-2024 --yes")
@click.argument("workspace")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def archive(ctx: click.Context, workspace: str, yes: bool) -> None:
    """Pack a workspace's files of both levels into one in HIGH_PRIVACY_ARCHIVE_DIR.

    They are deleted only when that file has been read back and agrees. Logs of its jobs stay.
    Requests for it are refused until `unarchive`. Interrupted, it goes on when it is done again.
    """
    place = build.rooms(ctx)
    index = _known(place, workspace)
    storage = build.storage(build.config(ctx))
    size_bytes = Archive(storage, index.folder, UNHEARD).size_bytes()
    confirm.ask(f"Archive {workspace}, {size_words(size_bytes)}, and delete its files?", yes=yes)
    deeds.note(place, "archive", index.name, workspace=index.name)
    with _alone(place), Progress(f"archiving {workspace}") as progress:
        packed = Archive(storage, index.folder, progress)
        packed.mark()
        try:
            _refuse_active(place, index)
            packed.put_in()
        finally:
            packed.unmark()
    click.echo(f"{workspace} is in {packed.path}, {size_words(packed.path.stat().st_size)}")


@click.command(epilog="Example: spoolrunner unarchive asthma-2024")
@click.argument("workspace")
@click.pass_context
def unarchive(ctx: click.Context, workspace: str) -> None:
    """Bring an archived workspace back; the archive is deleted when all of it is in place."""
    place = build.rooms(ctx)
    index = _known(place, workspace)
    storage = build.storage(build.config(ctx))
    deeds.note(place, "unarchive", index.name, workspace=index.name)
    with _alone(place), Progress(f"unarchiving {workspace}") as progress:
        packed = Archive(storage, index.folder, progress)
        packed.mark()
        try:
            packed.take_out()
        finally:
            packed.unmark()
    click.echo(f"{workspace} is back in {storage.high / 'workspaces' / index.folder}")


@click.command(epilog="Example: spoolrunner backup /backup/spool-$(date +%F).tar.gz")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_context
def backup(ctx: click.Context, file: Path) -> None:
    """Copy the spool into one file, while the service goes on; verified when it is written.

    Requests active and finished, reports that wait, what workspaces hold and from which run; not
    the outputs themselves. To restore: unpack it into an empty folder, and `spoolrunner init`.
    What was reported as ended does not run again.
    """
    place = build.rooms(ctx)
    deeds.note(place, "backup", str(file.absolute()))
    with Progress("backup", "files") as progress:
        made = Backup(place, progress).write(file.absolute())
    click.echo(f"{made} files of {place.folder} are in {file.absolute()}")


@contextlib.contextmanager
def _alone(place: Rooms) -> Iterator[None]:
    """Two at once would write one draft, and one would take away the other's mark."""
    lock = Lock(place.locks / "archive")
    if not lock.take():
        raise TryLater(
            "Another `archive` or `unarchive` is at work in this spool.",
            kind="busy",
            hint="Give the command again when that has ended.",
        )
    try:
        yield
    finally:
        lock.release()


def _known(place: Rooms, workspace: str) -> WorkspaceIndex:
    index = registry.find(place, workspace)
    if index is None:
        raise BadInput(
            f"There is no workspace {workspace!r}.",
            kind="unknown_workspace",
            hint="See `spoolrunner workspace list`.",
        )
    return index


def _refuse_active(place: Rooms, index: WorkspaceIndex) -> None:
    active = [
        one.identifier
        for one in find.every_active(place)
        if folder_name(one.workspace.name).casefold() == index.folder.casefold()
    ]
    if active:
        raise TryLater(
            f"Requests of this workspace have not ended: {', '.join(active)}.",
            kind="workspace_active",
            hint="Wait for their end, or cancel them.",
        )
