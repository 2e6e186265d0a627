"""The verb `import-jobrunner`: an installation of OpenSAFELY's job-runner becomes ours."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import click

from spoolrunner import config as settings
from spoolrunner import files
from spoolrunner.cli import build, deeds
from spoolrunner.config import Config
from spoolrunner.errors import BadConfig, BadMachine, TryLater
from spoolrunner.figures import size_words
from spoolrunner.jobrunner import database, environment, taking
from spoolrunner.jobrunner.database import Old
from spoolrunner.jobrunner.environment import Environment
from spoolrunner.jobrunner.taking import Taking, Told
from spoolrunner.lock import Lock
from spoolrunner.record import builtins
from spoolrunner.report import stdout
from spoolrunner.report.progress import Progress
from spoolrunner.report.sheet import Block, Cell, Line, Table
from spoolrunner.spool.rooms import Rooms

BESIDE_S = 1.0  # `status` holds the lock shared for an instant
FOLDER_MODE = 0o755
OF_BOTH = "the environment or job-runner's .env"


@click.command(
    epilog="Example: spoolrunner import-jobrunner /srv/job-runner\n\n"
    "then, if you agree and job-runner is stopped, the same with --yes."
)
@click.argument("home", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--env", type=click.Path(path_type=Path), help="Its settings; default: HOME/.env.")
@click.option(
    "--db", type=click.Path(path_type=Path), help="Its database; default: WORKDIR/db.sqlite."
)
@click.option("-y", "--yes", is_flag=True, help="Do it; without this it is only told.")
@click.option("--json", "as_json", is_flag=True, help="For programs; stable.")
@click.pass_context
def import_jobrunner(
    ctx: click.Context, home: Path, env: Path | None, db: Path | None, yes: bool, as_json: bool
) -> None:
    """Take over what OpenSAFELY's job-runner left in HOME: settings, workspaces, requests.

    Its outputs are used where they lie, and reused as it would have. What waits or runs is asked
    for anew. Its own files stay as they are, so it can be gone back to; UPGRADING.md tells how.
    Done twice, it is as done once; interrupted, it is done again. With --yes the settings are
    written if there is no file of them yet, and the spool is made; stop job-runner and the runner
    of this spool before.
    """
    home = home.absolute()
    old = environment.read(home, env or home / ".env")
    target = _target(ctx)
    fresh = not target.exists()
    if fresh:
        _place_spool(old)
    config = _as_if(old) if fresh else build.config(ctx)
    # Before anything is written: it may be the wrong folder.
    left = database.read(db or old.workdir / "db.sqlite", config.backend)
    if yes:
        found = _take(home, config, left, old.text() if fresh else "", target)
    else:
        found = taking.survey(left, config, _spool(config), build.storage(config))
    told = [*_of_settings(old, target, fresh=fresh), *taking.told(found)]
    if as_json:
        click.echo(json.dumps(builtins(told), indent=1))
    else:
        stdout.show(_sheet(told, found, yes=yes))
    for sentence in config.warnings:
        click.echo(f"warning: {sentence}", err=True)


def _target(ctx: click.Context) -> Path:
    """The file of settings that every command will read."""
    named = ctx.find_root().params["env_files"] or [os.environ.get("SPOOLRUNNER_ENV")]
    return Path(named[-1] or settings.SYSTEM_ENV_FILE)


def _place_spool(old: Environment) -> None:
    """A service does not start where the operator stands now."""
    old.settings["SPOOL_DIR"] = str(Path(os.environ.get("SPOOL_DIR") or "spool").absolute())


def _as_if(old: Environment) -> Config:
    """The settings as they will be: nothing is written yet. Raises BadConfig."""
    given = {name: text for name, text in os.environ.items() if text}
    try:
        return settings.load({**old.settings, **given}, [Path(os.devnull)])
    except BadConfig as error:
        said = [one.replace("the environment", OF_BOTH) for one in error.problems]
        raise BadConfig(said, hint="Correct these there and do this again.") from error


def _spool(config: Config) -> Rooms | None:
    """None before there is one."""
    try:
        return build.open_spool(config)
    except BadMachine as error:
        if error.kind != "not_a_spool":
            raise
        return None


def _take(home: Path, config: Config, left: Old, written: str, target: Path) -> Taking:
    """written: what the file of settings is to hold, "" if it is there. Else as `init` does."""
    if written:
        files.make_folder(target.parent, FOLDER_MODE)
        with files.Changes() as disk:
            disk.write(target, written.encode())
    place = _spool(config) or build.make_rooms(config, volatile=False)
    storage = build.storage(config)
    storage.prepare()
    with _alone(place):
        deeds.note(place, "import-jobrunner", str(home), "--yes")
        found = taking.survey(left, config, place, storage)
        with Progress("reading outputs") as progress:
            progress.expect(found.size_bytes)
            taking.take(found, place, progress.add)
    return found


@contextlib.contextmanager
def _alone(place: Rooms) -> Iterator[None]:
    """As the one that may move files. Raises TryLater beside a runner."""
    lock = Lock(place.locks / "mover")
    if not lock.take(BESIDE_S):
        raise TryLater(
            f"A runner is alive on {place.folder}.",
            kind="runner_alive",
            hint="Stop it, do this, and start it again.",
        )
    try:
        yield
    finally:
        lock.release()


def _of_settings(old: Environment, target: Path, *, fresh: bool) -> Iterator[Told]:
    if fresh:
        yield from taking.of_settings(old.told)
    what = "made of these" if fresh else "there already: the .env counts no more"
    yield Told(kind="settings", name=str(target), deed="take" if fresh else "here", what=what)


def _sheet(told: list[Told], found: Taking, *, yes: bool) -> Iterator[Block]:
    done = {"take": "taken"} if yes else {}
    rows = [
        (Cell(done.get(one.deed, one.deed)), Cell(one.kind), Cell(one.name), Cell(one.what))
        for one in told
    ]
    yield Table(("", "what", "name", "why, or what to do"), [*rows])
    if not yes:
        size = size_words(found.size_bytes)
        yield Line("", Cell(f"Nothing was changed: --yes does it, and reads {size} of outputs."))
