"""Builds what the commands need from the settings; nothing else in the package makes objects."""

import contextlib
import functools
import grp
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spoolrunner import config as settings
from spoolrunner.config import Config
from spoolrunner.errors import BadConfig, BadMachine, TryLater
from spoolrunner.request import attempt_name
from spoolrunner.spool import rooms as spool_rooms
from spoolrunner.spool.rooms import Rooms

if TYPE_CHECKING:
    from collections.abc import Callable

    from spoolrunner.checkout import Studies
    from spoolrunner.executor import Executor, Usage
    from spoolrunner.report.folders import Folders
    from spoolrunner.report.load import Loads
    from spoolrunner.runner.courier import Courier
    from spoolrunner.runner.detection import Detection
    from spoolrunner.runner.house import House
    from spoolrunner.runner.reading import Reader
    from spoolrunner.spool.board import ActiveJob
    from spoolrunner.workspace.storage import Storage

OF_COMMANDS = ("PATH", "HOME", "LANG", "DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


def config(ctx: click.Context) -> Config:
    """The settings, read once for each command. Raises BadConfig with every problem."""
    if not isinstance(ctx.obj, Config):
        ctx.obj = settings.load(os.environ, ctx.find_root().params["env_files"])
    return ctx.obj


def rooms(ctx: click.Context) -> Rooms:
    return open_spool(config(ctx))


def open_spool(settings: Config) -> Rooms:
    return spool_rooms.open_spool(settings.spool_dir)


def make_rooms(settings: Config, *, volatile: bool) -> Rooms:
    """Make the spool, or mend its modes. Raises BadMachine for an unfit filesystem."""
    from spoolrunner.runner import clock

    return spool_rooms.create(
        settings.spool_dir.absolute(),
        clock.now(),
        group=group_id(settings.spool_group),
        volatile=volatile,
    )


def place_to_look(ctx: click.Context) -> tuple[Rooms, Config | None]:
    """The spool, and the settings if this user may know them.

    Who only looks may have no access to a file of settings that holds secrets: SPOOL_DIR in the
    environment is enough then.
    """
    try:
        return rooms(ctx), config(ctx)
    except BadConfig:
        if not (named := os.environ.get("SPOOL_DIR")):
            raise
        place = spool_rooms.open_spool(Path(named))
        if os.access(place.claims, os.R_OK):
            raise  # these are the runner's own settings
        return place, None


def storage(settings: Config) -> "Storage":
    from spoolrunner.runner import clock
    from spoolrunner.workspace.storage import Storage

    return Storage(
        high=settings.high_privacy_storage_base.absolute(),
        medium=settings.medium_privacy_storage_base.absolute(),
        jobs=settings.high_privacy_volume_dir.absolute(),
        archives=settings.high_privacy_archive_dir.absolute(),
        job_user=settings.job_user,
        boot_id=clock.boot_id(),
        medium_group=group_id(settings.medium_privacy_group),
    )


def group_id(name: str) -> int | None:
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise BadConfig([f"There is no group {name!r} on this machine."]) from error


def house(settings: Config, place: Rooms) -> "House":
    """All that the runner is made of. Raises BadMachine if the storage or the spool is unfit."""
    from spoolrunner.runner.house import House

    spool_rooms.check_modes(place)
    store = storage(settings)
    store.check(real_data=not settings.dummy_data)
    store.check_modes()
    _check_network(settings, place)
    return House(
        config=settings,
        rooms=place,
        storage=store,
        studies=studies(settings, place),
        executors=executors(settings, place),
    )


def studies(settings: Config, place: Rooms) -> "Studies":
    from spoolrunner.checkout import Studies

    return Studies(
        place.folder / "git",
        locks=place.locks,
        backend=settings.backend,
        allowed_orgs=settings.allowed_github_orgs,
        allow_local=settings.allow_local_git_repos,
        mirror=settings.git_mirror_dir,
        token=settings.private_repo_access_token or None,
        proxy_domain=settings.github_proxy_domain or None,
    )


def reader(settings: Config, place: Rooms) -> "Reader":
    """For those who only look. Raises BadMachine: what it fetches must be the runner's own."""
    from spoolrunner.runner.reading import Reader

    spool_rooms.check_modes(place)
    return Reader(studies(settings, place), settings.allowed_images, dummy=settings.dummy_data)


def courier(settings: Config, place: Rooms, behind: "Callable[[], set[str]]") -> "Courier | None":
    """None if no job-server is to be talked to."""
    if not settings.job_server_endpoint or settings.reports != "send":
        return None
    from spoolrunner.jobserver import JobServer
    from spoolrunner.runner.courier import Courier

    server = JobServer(settings.job_server_endpoint, settings.job_server_token, settings.backend)
    return Courier(place, server, settings.report_outputs, behind)


def detection(house: "House") -> "Detection | None":
    """None if nobody is to be asked whether the database is in maintenance."""
    if not (command := house.config.db_maintenance_command):
        return None
    from spoolrunner.runner.detection import Detection

    return Detection(house.rooms, shlex.split(command), lambda: _of_detection(house.config))


def _of_detection(settings: Config) -> dict[str, str]:
    """The environment of DB_MAINTENANCE_COMMAND."""
    urls = settings.database_urls
    own = {name: os.environ[name] for name in OF_COMMANDS if name in os.environ}
    url = urls.get("full") or urls.get("default") or next(iter(urls.values()), "")
    return {**own, "DATABASE_URL": url, "TEMP_DATABASE_NAME": settings.temp_database_name}


def _check_network(settings: Config, place: Rooms) -> None:
    """A database without the network that leads to it: told now, not by the first job that fails.

    An engine that does not answer now is no reason to stop: jobs wait for it.
    """
    if settings.dummy_data or not settings.database_urls or settings.executor == "process":
        return
    from spoolrunner.executor.docker import DockerExecutor

    network = settings.database_access_network
    with contextlib.suppress(TryLater):
        if not DockerExecutor(place.spool8, timeout_s=5).has_network(network):
            raise BadMachine(
                f"The engine has no network {network!r}, by which jobs would reach the database.",
                kind="no_network",
                hint="Make it with `spoolrunner service network | sudo sh`: that is"
                f" `docker network create {network}`, and a firewall by which it leads to the"
                " database alone. Or set DATABASE_ACCESS_NETWORK.",
            )


def executors(settings: Config, place: Rooms) -> "dict[str, Callable[[], Executor]]":
    """Name -> how to make it; the first is for new jobs."""

    def docker() -> "Executor":
        from spoolrunner.executor.docker import DockerExecutor

        return DockerExecutor(place.spool8)

    def process() -> "Executor":
        from spoolrunner.executor.process import ProcessExecutor

        return ProcessExecutor(place.spool8, folder=place.folder / "processes")

    known = {"docker": docker, "process": process}
    first = _chosen(settings, place) if settings.executor == "auto" else settings.executor
    return {first: known[first], **known}


def first_executor(settings: Config, place: Rooms) -> "Callable[[], Executor]":
    """Makes the executor for new jobs, once. Raises BadMachine when it is asked for."""

    @functools.cache
    def first() -> "Executor":
        makers = executors(settings, place)
        return makers[next(iter(makers))]()

    return first


def loads(place: Rooms, settings: Config | None) -> "Loads":
    """What running jobs use; nothing of what this user may not ask."""
    from spoolrunner.report.load import Loads

    made = executors(settings, place) if settings else {}
    built: dict[str, Executor] = {}

    def usage(job: "ActiveJob") -> "Usage | None":
        if job.executor not in made:
            return None
        if job.executor not in built:
            built[job.executor] = made[job.executor]()
        name = attempt_name(place.spool8, job.identifier, job.attempt)
        return built[job.executor].usage(name)

    return Loads(usage)


def folders(place: Rooms, settings: Config | None) -> "Folders":
    """How much disk running jobs take; nothing of what this user may not look into."""
    from spoolrunner.report.folders import Folders
    from spoolrunner.workspace.gauge import taken_bytes

    def count(job: "ActiveJob") -> int | None:
        if settings is None:
            return None
        name = attempt_name(place.spool8, job.identifier, job.attempt)
        folder = settings.high_privacy_volume_dir.absolute() / name
        return taken_bytes(folder) if os.access(folder, os.R_OK) else None

    return Folders(count)


def _chosen(settings: Config, place: Rooms) -> str:
    """EXECUTOR=auto: docker if an engine answers and has images, else process for dummy data."""
    if _has_engine(settings, place):
        return "docker"
    if settings.dummy_data:
        return "process"
    raise BadMachine(
        "No Docker engine with images answers, and the process executor is not for real data.",
        kind="no_executor",
        hint="Start the engine, load the images, or set DOCKER_HOST.",
    )


def _has_engine(settings: Config, place: Rooms) -> bool:
    """Looked at without the SDK first: it is slow to load, and most laptops have no engine."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if host.startswith("unix://") and not Path(host.removeprefix("unix://")).is_socket():
        return False
    from spoolrunner.executor.docker import DockerExecutor

    try:
        return bool(DockerExecutor(place.spool8, timeout_s=5).runtimes(settings.docker_registry))
    except TryLater:
        return False
