"""The verb `service`: unit files, a crontab line and a firewall for this very configuration."""

import grp
import os
import pwd
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import click

from spoolrunner import files, settings
from spoolrunner.cli import build
from spoolrunner.config import Config
from spoolrunner.errors import BadMachine
from spoolrunner.report import fence, unit_files
from spoolrunner.report.unit_files import Service

FILE_MODE = 0o644
# What a program is found by; the rest of the environment is the caller's own affair.
OF_THE_PROCESS = ("SPOOLRUNNER_ENV", "DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
USUAL_PORTS = {"mssql": 1433, "mysql": 3306, "postgresql": 5432, "presto": 8080, "trino": 8080}


@click.group(epilog="Example: spoolrunner service systemd")
def service() -> None:
    """Print what starts spoolrunner on this machine, for the configuration as it is now."""


@service.command(
    epilog="\b\nExample:\n  spoolrunner service systemd --into /etc/systemd/system\n"
    "  systemctl enable --now spoolrunner",
    short_help="A hardened unit, restarted by a watchdog when it hangs.",
)
@click.option(
    "--drain",
    is_flag=True,
    help="Not all the time: when something is dropped into the inbox, and each minute.",
)
@click.option(
    "--into",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Write each unit into this folder instead of printing it.",
)
@click.pass_context
def systemd(ctx: click.Context, drain: bool, into: Path | None) -> None:
    """A hardened unit: restarted by a watchdog when it hangs, while its jobs go on."""
    units = (unit_files.drain if drain else unit_files.always)(_service(ctx))
    for name, text in units.items():
        if into:
            with files.Changes() as disk:
                disk.write(into / name, text.encode(), FILE_MODE)
            click.echo(f"wrote {into / name}", err=True)
        else:
            click.echo(f"# {name}\n{text}")


@service.command(epilog="Example: (crontab -l; spoolrunner service cron) | crontab -")
@click.pass_context
def cron(ctx: click.Context) -> None:
    """The crontab line: silent on success, and never two at once."""
    click.echo(unit_files.crontab(_service(ctx)))


@service.command(
    epilog="Example: spoolrunner service network | sudo sh",
    short_help="A script for root: the databases' network, fenced in.",
)
@click.pass_context
def network(ctx: click.Context) -> None:
    """A script for root: the databases' network, and a firewall that lets it lead nowhere else."""
    config = build.config(ctx)
    doors = {_door(name, url) for name, url in config.database_urls.items()}
    click.echo(fence.script(config.database_access_network, sorted(doors)), nl=False)


def _door(name: str, url: str) -> tuple[str, int]:
    """Address and port of a database, by its URL, which holds a password and is never shown."""
    setting = f"{name.upper()}_DATABASE_URL"
    parts = urlsplit(url)
    port = parts.port or USUAL_PORTS.get(parts.scheme.partition("+")[0])
    if not parts.hostname or not port:
        raise BadMachine(
            f"{setting} names no host and port.", hint="Write them as HOST:PORT in it."
        )
    try:
        return socket.gethostbyname(parts.hostname), port
    except OSError as error:
        raise BadMachine(
            f"The host of {setting} has no address here.",
            hint="Put it into /etc/hosts, or mend the name server.",
            detail=str(error),
        ) from error


def _service(ctx: click.Context) -> Service:
    config, place = build.config(ctx), build.rooms(ctx)
    owner = place.folder.stat()
    docker = next(iter(build.executors(config, place))) == "docker"
    return Service(
        program=_program(ctx),
        environment=_environment(config),
        spool=place.folder,
        writable=_writable(config, place.folder),
        user=_name(pwd.getpwuid, owner.st_uid),
        group=_name(grp.getgrgid, pwd.getpwuid(owner.st_uid).pw_gid),
        docker=docker,
        docker_group=_group_of_engine(),
    )


def _program(ctx: click.Context) -> list[str]:
    """The very program that prints this, and the files of settings it was given."""
    script = Path(sys.argv[0]).absolute()
    own = [str(script)] if script.name == "spoolrunner" else [sys.executable, "-m", "spoolrunner"]
    named = ctx.find_root().params["env_files"]
    return [*own, *(word for path in named for word in ("--env-file", str(path.absolute())))]


def _environment(config: Config) -> dict[str, str]:
    """Settings that only the caller's environment has; a secret would be there for all to read."""
    table = settings.table()
    given = {name: text for name, text in os.environ.items() if name in table and text}
    secret = sorted(name for name in given if table[name].secret)
    if secret:
        click.echo(f"left out, put them into a file of settings: {', '.join(secret)}", err=True)
    process = {name: os.environ[name] for name in OF_THE_PROCESS if name in os.environ}
    plain = {name: text for name, text in given.items() if name not in secret}
    if "SPOOL_DIR" in plain:
        plain["SPOOL_DIR"] = str(config.spool_dir)
    return process | plain


def _writable(config: Config, spool: Path) -> list[Path]:
    """Folders, without those that lie in another one."""
    wanted = [
        spool,
        config.high_privacy_storage_base,
        config.medium_privacy_storage_base,
        config.high_privacy_archive_dir,
        config.high_privacy_volume_dir,
    ]
    files = (config.debug_log_file, config.metrics_file)
    wanted += [path.parent for path in files if path]
    found: list[Path] = []
    for path in wanted:
        if not any(path.is_relative_to(other) for other in found):
            found.append(path)
    return found


def _name(find: Callable[[int], tuple[object, ...]], number: int) -> str:
    return str(find(number)[0])


def _group_of_engine() -> str:
    """Who may talk to the engine: the group of its socket."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    try:
        return grp.getgrgid(Path(host.removeprefix("unix://")).stat().st_gid).gr_name
    except (OSError, KeyError):
        return ""
