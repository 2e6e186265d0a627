"""The verb `images`: what waiting requests need of the engine, and how it comes in offline."""

import json
from functools import partial
from pathlib import Path

import click

from spoolrunner.cli import build, deeds
from spoolrunner.config import Config
from spoolrunner.errors import BadInput, Refused
from spoolrunner.executor import Executor, Image
from spoolrunner.executor.docker import DockerExecutor
from spoolrunner.record import builtins
from spoolrunner.report import stdout
from spoolrunner.report.needed import needed, needed_sheet
from spoolrunner.report.progress import Progress
from spoolrunner.request import Job
from spoolrunner.runner import launch
from spoolrunner.spool import find, orders


@click.command(
    epilog="\b\nExample, with a file made elsewhere by `docker save TAG | gzip > r.tar.gz`:\n"
    "  spoolrunner images\n  spoolrunner images --load r.tar.gz"
)
@click.option(
    "--load",
    "archive",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Load an archive of `docker save`, whole and unchanged, into the engine.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs; stable.")
@click.pass_context
def images(ctx: click.Context, archive: Path | None, as_json: bool) -> None:
    """Every image that requests which have not ended need: is it here, since when, its id.

    Nothing is ever pulled. A job whose image is not here waits for it, at most IMAGE_WAIT.
    """
    settings, place = build.config(ctx), build.rooms(ctx)
    made = build.executors(settings, place)
    executor = next(iter(made.values()))()
    if archive:
        if not isinstance(executor, DockerExecutor):
            raise BadInput("Jobs run as processes here: there is no engine to load images into.")
        deeds.note(place, "images", "--load", str(archive.absolute()))
        _load(executor, archive, settings.docker_registry)
        orders.poke(place)
    jobs = [job for one in find.all_active(place) for job in one.jobs if job.active]
    jobs = [job for job in jobs if job.run_command]
    found = needed(jobs, partial(launch.image_of, settings), partial(_find, executor, settings))
    if as_json:
        click.echo(json.dumps(builtins(found), indent=1))
    elif not archive:
        stdout.show(needed_sheet(found))


def _find(executor: Executor, settings: Config, job: Job) -> Image | None:
    """With IMAGE_DIGESTS the image of that very id counts, whatever bears its name."""
    try:
        return executor.images.find(launch.image_to_run(settings, job))
    except Refused:
        return None


def _load(executor: DockerExecutor, archive: Path, registry: str) -> None:
    with archive.open("rb") as file, Progress(f"loading {archive.name}") as progress:
        progress.expect(2 * archive.stat().st_size)  # read once to verify, once to load it
        names = executor.images.load(file, registry, progress.add)
    for name in names:
        click.echo(f"loaded {name}", err=True)
