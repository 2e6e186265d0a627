"""One table of settings, each with the name operators know, how its text is read, and its default.

A setting is one line of `Config`: its field has the value, its metadata the rest. A default is text
as an operator would write it, or is made from the settings above it in the table; either way it is
read like any other text. The units are in the fields' names: `_s` seconds, `_bytes` bytes.
Where the values come from, and what must hold between them: config.py.
Pure. Knows: setting, units, weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from spoolrunner import units
from spoolrunner.setting import Machine, Made, Setting
from spoolrunner.setting import secret as _secret
from spoolrunner.setting import setting as _of
from spoolrunner.weights import Weights

JOB_IMAGES = (
    "ehrql,cohortextractor,cohortextractor-v2,databuilder,sqlrunner,stata-mp,r,jupyter,python"
)
STORAGE_MARKER = "SPOOLRUNNER-STORAGE.json"  # lies in both bases; a disk that is away has none
RELEASABLE_TYPES = ".csv,.jpg,.jpeg,.png,.svg,.svgz,.html,.txt,.log,.json,.md"


def _if_dummy(yes: str, no: str) -> Made:
    return lambda above, machine: yes if above["dummy_data"] else no


def _below(parent: str, name: str) -> Made:
    return lambda above, machine: str(above[parent] / name)


def _or_10000(mine: str) -> Made:
    # A job never runs as root, so a runner that is root needs another user for them: job-runner's.
    return lambda above, machine: str(getattr(machine, mine) if machine.uid else 10000)


def _is_expectations(above: Mapping[str, Any], machine: Machine) -> str:
    return str(above["backend"] == "expectations")


def _cores_but_one(above: Mapping[str, Any], machine: Machine) -> str:
    return str(max(machine.cores - 1, 1))


def _max_workers(above: Mapping[str, Any], machine: Machine) -> str:
    return str(above["max_workers"])


def _weights_file(above: Mapping[str, Any], machine: Machine) -> str:
    return str(above["workdir"] / f"job-resource-weights_{above['backend'].lower()}.ini")


def _user(above: Mapping[str, Any], machine: Machine) -> str:
    return f"{above['docker_user_id']}:{above['docker_group_id']}"


def _reports(above: Mapping[str, Any], machine: Machine) -> str:
    if above["job_server_endpoint"]:
        return "send"
    return "none" if above["dummy_data"] else "export"


# fmt: off
@dataclass(frozen=True, kw_only=True, eq=False)
class Config:
    """Every setting, read and checked. Secrets are left out of its repr.

    weights: the file of JOB_RESOURCE_WEIGHTS. ignored: names that job-runner knows, were set, and
    mean nothing here. warnings: sentences for the operator; nothing that must stop us.
    former_secrets: of a running service whose settings were read again; jobs may know them still.
    """

    spool_dir: Path = _of("SPOOL_DIR", units.path, "./spool",
        "the spool, made by `spoolrunner init`")
    backend: str = _of("BACKEND", units.backend, "expectations",
        "only requests for this backend are consumed")
    dummy_data: bool = _of("USING_DUMMY_DATA_BACKEND", units.truth, _is_expectations,
        "no real database here", "true if BACKEND is `expectations`")

    full_database_url: str = _secret("FULL_DATABASE_URL",
        "RFC 1738 URL of the database for `db: full`", units.database_url)
    slice_database_url: str = _secret("SLICE_DATABASE_URL",
        "the same for `db: slice`", units.database_url)
    dummy_database_url: str = _secret("DUMMY_DATABASE_URL",
        "the same for `db: dummy`", units.database_url)
    default_database_url: str = _secret("DEFAULT_DATABASE_URL",
        "the same for `db: default`", units.database_url)
    database_access_network: str = _of("DATABASE_ACCESS_NETWORK", units.network, "jobrunner-db",
        "the engine's network for jobs that may use the database; `service network` makes it")
    db_maintenance_command: str = _of("DB_MAINTENANCE_COMMAND", units.command, "",
        "asked whether the database is in maintenance: it ends well with `db-maintenance` as its "
        "last line, or with nothing said; `DATABASE_URL` is in its environment")
    maintenance_poll_interval_s: float = _of("MAINTENANCE_POLL_INTERVAL", units.seconds, "300",
        "time between two such questions, whether one runner asks or one that cron starts anew")
    temp_database_name: str = _of("TEMP_DATABASE_NAME", units.text, "", "given to database jobs")
    presto_tls_cert_path: Path | None = _of("PRESTO_TLS_CERT_PATH", units.maybe_path, "",
        "certificate for Presto; with the key or not at all")
    presto_tls_key_path: Path | None = _of("PRESTO_TLS_KEY_PATH", units.maybe_path, "",
        "key for Presto; with the certificate or not at all")
    emis_organisation_hash: str = _secret("EMIS_ORGANISATION_HASH", "given to database jobs")

    workdir: Path = _of("WORKDIR", units.path, _below("spool_dir", "storage"),
        "where the storage lies if it has no places of its own (dummy data only)",
        "`$SPOOL_DIR/storage`")
    high_privacy_storage_base: Path = _of(
        "HIGH_PRIVACY_STORAGE_BASE", units.path, _below("workdir", "high_privacy"),
        "long-term storage of highly sensitive outputs; must be set with real data",
        "`$WORKDIR/high_privacy`")
    medium_privacy_storage_base: Path = _of(
        "MEDIUM_PRIVACY_STORAGE_BASE", units.path, _below("workdir", "medium_privacy"),
        "long-term storage of moderately sensitive outputs; must be set with real data",
        "`$WORKDIR/medium_privacy`")
    high_privacy_archive_dir: Path = _of(
        "HIGH_PRIVACY_ARCHIVE_DIR", units.path, _below("high_privacy_storage_base", "archives"),
        "archived workspaces", "`$HIGH_PRIVACY_STORAGE_BASE/archives`")
    high_privacy_volume_dir: Path = _of(
        "HIGH_PRIVACY_VOLUME_DIR", units.path, _below("high_privacy_storage_base", "volumes"),
        "job folders", "`$HIGH_PRIVACY_STORAGE_BASE/volumes`")
    spool_group: str = _of("SPOOL_GROUP", units.text, "",
        "group that may look at the spool's public side")
    medium_privacy_group: str = _of("MEDIUM_PRIVACY_GROUP", units.text, "",
        "group that owns medium privacy")

    executor: str = _of("EXECUTOR", units.executor, "auto",
        "`docker`, `process` or `auto`: docker if an engine answers and has the images, else "
        "process on dummy data, else an error; job-runner's `module:LocalDockerAPI` means docker")
    max_workers: int = _of("MAX_WORKERS", units.whole(1), _cores_but_one,
        "jobs at once", "cores - 1, at least 1")
    max_db_workers: int = _of("MAX_DB_WORKERS", units.whole(1), _max_workers,
        "of these, jobs that use the database", "`$MAX_WORKERS`")
    job_resource_weights: Path = _of("JOB_RESOURCE_WEIGHTS", units.path, _weights_file,
        "job-runner's ini file: how many workers jobs count for, by workspace, action and command",
        "`$WORKDIR/job-resource-weights_BACKEND.ini`, if there")
    default_job_cpu_count: float = _of("DEFAULT_JOB_CPU_COUNT", units.number, "2",
        "cores for a job; `0` = all")
    default_job_memory_limit_bytes: int = _of("DEFAULT_JOB_MEMORY_LIMIT", units.size, "4G",
        "memory for a job; `0` = all")
    job_timeout_s: float = _of("JOB_TIMEOUT", units.seconds, "0",
        "how long a job may take, such as `90s` or `12h`; `0` = for ever")
    job_disk_limit_bytes: int = _of("JOB_DISK_LIMIT", units.size, "0",
        "how large a job's folder may get, such as `50G`; `0` = no limit")
    job_log_limit_bytes: int = _of("JOB_LOG_LIMIT", units.size, "100M",
        "how much of a job's log is kept (head and tail); a job that says ten times as much is "
        "ended; `0` = all")
    job_pids_limit: int = _of("JOB_PIDS_LIMIT", units.whole(0), "4096",
        "processes and threads of a job; one that reaches it is ended; `0` = no limit")
    stop_grace_s: float = _of("STOP_GRACE", units.seconds, "10s",
        "time between asking a job to stop and killing it")
    max_attempts: int = _of("MAX_ATTEMPTS", units.whole(1), "3",
        "attempts at a job that is lost through no fault of its own")
    docker_user_id: int = _of("DOCKER_USER_ID", units.whole(1), _or_10000("uid"),
        "job-runner's way to give JOB_USER's uid", "the runner's; `10000` if the runner is root")
    docker_group_id: int = _of("DOCKER_GROUP_ID", units.whole(0), _or_10000("gid"),
        "job-runner's way to give JOB_USER's gid", "the runner's; `10000` if the runner is root")
    job_user: tuple[int, int] = _of("JOB_USER", units.user, _user,
        "uid:gid of jobs; another than the runner's own only if the runner is root",
        "`$DOCKER_USER_ID:$DOCKER_GROUP_ID`")

    docker_registry: str = _of("DOCKER_REGISTRY", units.registry, "ghcr.io/opensafely-core",
        "what stands before the name of an image")
    allowed_images: tuple[str, ...] = _of("ALLOWED_IMAGES", units.names, JOB_IMAGES,
        "runtimes that may be used")
    image_digests: Path | None = _of("IMAGE_DIGESTS", units.maybe_path, "",
        "file of lines `NAME:TAG sha256:ID`: only these images run, and only as these ids")
    writable_images: tuple[str, ...] = _of("WRITABLE_IMAGES", units.names, "stata-mp",
        "runtimes that may write in their own image; for all others it is read-only")
    image_wait_s: float = _of("IMAGE_WAIT", units.seconds, "24h",
        "how long a job waits for an image that is not here")
    stata_license: str = _secret("STATA_LICENSE", "given to `stata-mp`")

    allowed_github_orgs: tuple[str, ...] = _of(
        "ALLOWED_GITHUB_ORGS", units.names, _if_dummy("*", "opensafely"),
        "organisations studies may come from; `*` = any", "`opensafely`; `*` on dummy data")
    allow_local_git_repos: bool = _of(
        "ALLOW_LOCAL_GIT_REPOS", units.truth, _if_dummy("true", "false"),
        "may a repository be a local path (dummy data only)", "false; true on dummy data")
    git_mirror_dir: Path | None = _of("GIT_MIRROR_DIR", units.maybe_path, "",
        "folder of bare repositories `ORG/NAME.git`, read instead of "
        "`https://github.com/ORG/NAME`; no network is tried")
    private_repo_access_token: str = _secret("PRIVATE_REPO_ACCESS_TOKEN",
        "for private repositories")
    github_proxy_domain: str = _of("GITHUB_PROXY_DOMAIN", units.domain, "",
        "asked instead of github.com")

    job_server_endpoint: str = _of("JOB_SERVER_ENDPOINT", units.web_address, "",
        "job-server's API; needs the token")
    job_server_token: str = _secret("JOB_SERVER_TOKEN", "job-server's token for this backend")
    poll_interval_s: float = _of("POLL_INTERVAL", units.seconds, "5",
        "time between two questions to job-server")
    reports: str = _of("REPORTS", units.one_of("send", "export", "none"), _reports,
        "`send`, `export` or `none`",
        "`send` with an endpoint; else `none` on dummy data, else `export`")
    report_outputs: str = _of("REPORT_OUTPUTS", units.one_of("none", "declared", "all"), "declared",
        "what reports tell of a successful job's outputs: `none`, `declared` (patterns and levels "
        "of project.yaml) or `all` (the path and level of each file)")

    level4_max_filesize_bytes: int = _of("LEVEL4_MAX_FILESIZE", units.size, "16M",
        "largest file that may go to medium privacy")
    level4_max_csv_rows: int = _of("LEVEL4_MAX_CSV_ROWS", units.whole(0), "5000",
        "longest CSV that may go to medium privacy, in rows")
    level4_file_types: tuple[str, ...] = _of("LEVEL4_FILE_TYPES", units.names, RELEASABLE_TYPES,
        "types of files that may go to medium privacy")

    keep_failed_days: int = _of("KEEP_FAILED_DAYS", units.whole(0), "14",
        "days that folders of failed jobs are kept")
    keep_done_days: int = _of("KEEP_DONE_DAYS", units.whole(0), "400",
        "days that finished requests are kept")
    min_free_disk_bytes: int = _of("MIN_FREE_DISK", units.size, "2G",
        "with less free disk nothing new is taken or started")
    loglevel: str = _of(
        "LOGLEVEL", units.one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), "INFO",
        "how much is logged")
    log_format: str = _of("LOG_FORMAT", units.one_of("text", "json"), "text",
        "a line of the log: `text` (`key=value` words and a sentence) or `json`")
    metrics_file: Path | None = _of("METRICS_FILE", units.maybe_path, "",
        "numbers for Prometheus' node_exporter are written here, such as "
        "`/var/lib/node_exporter/spoolrunner.prom`")
    debug_log_file: Path | None = _of("DEBUG_LOG_FILE", units.maybe_path, "",
        "everything is logged here as well")

    weights: Weights = Weights()
    ignored: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    former_secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def database_urls(self) -> dict[str, str]:
        """The `db` names that are configured here -> their URLs (secret)."""
        urls = {
            "full": self.full_database_url, "slice": self.slice_database_url,
            "dummy": self.dummy_database_url, "default": self.default_database_url,
        }
        return {name: url for name, url in urls.items() if url}

    @property
    def secrets(self) -> list[str]:
        """The values of all settings that are secret and set, or were."""
        now = [getattr(self, each.field) for each in table().values() if each.secret]
        return [*now, *self.former_secrets]
# fmt: on


@cache
def table() -> dict[str, Setting]:
    """Name -> setting, in the order of the table: a default is made from what stands above it."""
    settings = [
        each.metadata["setting"]._replace(field=each.name)
        for each in fields(Config)
        if "setting" in each.metadata
    ]
    return {setting.name: setting for setting in settings}


def table_for_readme() -> str:
    """The table as markdown, as it stands in README.md between its `settings` marks."""
    rows = ["| name | meaning | default |", "|---|---|---|"]
    for setting in table().values():
        note = " (secret)" if setting.secret else ""
        rows.append(f"| `{setting.name}` | {setting.meaning}{note} | {setting.shown} |")
    return "\n".join(rows) + "\n"
