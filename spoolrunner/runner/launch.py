"""What a container is given: image, arguments, environment, limits, network.

Only what reference/opensafely.md 5 lists, and secrets only where the command may have them. The
environment is made at each start from the settings and never stored.
"""

import contextlib
import json
import shlex
import socket
from pathlib import Path
from urllib.parse import urlsplit

from spoolrunner import project
from spoolrunner.config import Config
from spoolrunner.errors import CannotExpand
from spoolrunner.executor import Launch, Limits
from spoolrunner.masks import Masks
from spoolrunner.request import Job, Request
from spoolrunner.runner.trust import trusted

PRESTO = "PRESTO_TLS"


def image_of(config: Config, job: Job) -> str:
    """The image by its name, as people know it."""
    return f"{config.docker_registry}/{_name_of(job)}"


def image_to_run(config: Config, job: Job) -> str:
    """The same as the engine is asked for it: by its id where the operator keeps a list of them.

    Raises Refused (kind "no_image").
    """
    if config.image_digests is None:
        return image_of(config, job)
    return trusted(config.image_digests, _name_of(job))


def _name_of(job: Job) -> str:
    return shlex.split(job.run_command)[0]


def launch(
    config: Config, request: Request, job: Job, name: str, folder: Path, log: Path
) -> Launch:
    """folder: what the job sees as /workspace.

    Raises CannotExpand if its database isn't here, Refused if its image isn't trusted.
    """
    database = uses_database(config, job)
    return Launch(
        name=name,
        image=image_to_run(config, job),
        arguments=tuple(shlex.split(job.run_command)[1:]),
        folder=folder,
        log=log,
        user=config.job_user,
        environment=_environment(config, request, job),
        labels={"workspace": request.workspace.name, "action": job.action, "job": job.identifier},
        limits=Limits(
            cpus=config.default_job_cpu_count,
            memory_bytes=config.default_job_memory_limit_bytes,
            pids=config.job_pids_limit,
            log_bytes=config.job_log_limit_bytes,
        ),
        network=config.database_access_network if database else "",
        hosts=_hosts(database_url(config, request)) if database else {},
        writable_root=project.image_of([_name_of(job)])[0] in config.writable_images,
        strict=not config.dummy_data,
    )


def uses_database(config: Config, job: Job) -> bool:
    return job.requires_db and not config.dummy_data


def database_url(config: Config, request: Request) -> str:
    """Raises CannotExpand (kind "database_not_configured")."""
    url = config.database_urls.get(request.workspace.db)
    if url is None:
        raise CannotExpand(
            f"The database {request.workspace.db!r} is not configured on this server.",
            kind="database_not_configured",
            hint="Ask its operator, or use another database.",
        )
    return url


def _environment(config: Config, request: Request, job: Job) -> dict[str, str]:
    given = {"OPENSAFELY_BACKEND": config.backend, "HOME": "/tmp"}
    if job.run_command.startswith("stata-mp") and config.stata_license:
        given["STATA_LICENSE"] = config.stata_license
    if uses_database(config, job):
        given |= _database_environment(config, request)
    return given


def _database_environment(config: Config, request: Request) -> dict[str, str]:
    given = {
        "DATABASE_URL": database_url(config, request),
        "TEMP_DATABASE_NAME": config.temp_database_name,
        "EMIS_ORGANISATION_HASH": config.emis_organisation_hash,
        "EHRQL_PERMISSIONS": json.dumps(_permissions(request)),
    }
    if config.presto_tls_cert_path and config.presto_tls_key_path:
        given[f"{PRESTO}_CERT"] = config.presto_tls_cert_path.read_text()
        given[f"{PRESTO}_KEY"] = config.presto_tls_key_path.read_text()
    return {name: value for name, value in given.items() if value}


def masks(config: Config) -> Masks:
    """What is masked in all that jobs say. A key that can't be read was given to no job."""
    secrets = config.secrets
    if config.presto_tls_key_path:
        with contextlib.suppress(OSError):
            secrets.append(config.presto_tls_key_path.read_text())
    return Masks(secret for secret in secrets if secret)


def _permissions(request: Request) -> list[str]:
    """All lists of the request's analysis scope in one (reference 5.2, 1.1)."""
    scope = request.original.get("analysis_scope")
    lists = scope.values() if isinstance(scope, dict) else []
    return sorted({str(word) for words in lists if isinstance(words, list) for word in words})


def _hosts(url: str) -> dict[str, str]:
    """The database's name and address: the job's own look-ups lead nowhere."""
    host = urlsplit(url).hostname or ""
    try:
        return {host: socket.gethostbyname(host)}
    except OSError:
        return {}
