"""job-runner's .env: its settings as ours, and of each that we have no use for, what to do.

Values are never told: many are secret. The first generation's names began with OPENSAFELY_, and
one of today's controller begins with the name of its backend.
Pure, but for reading the file.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from spoolrunner import envfile, settings, units
from spoolrunner.errors import BadInput

PREFIX = "OPENSAFELY_"
ENDPOINT = "https://jobs.opensafely.org/api/v2/"  # where job-runner asks if nobody says

# Its controller's names for one backend -> ours.
RENAMED = {
    "*_JOB_SERVER_TOKEN": "JOB_SERVER_TOKEN",
    "*_MAX_WORKERS": "MAX_WORKERS",
    "*_MAX_DB_WORKERS": "MAX_DB_WORKERS",
    "*_JOB_CPU_COUNT": "DEFAULT_JOB_CPU_COUNT",
    "*_JOB_MEMORY_LIMIT": "DEFAULT_JOB_MEMORY_LIMIT",
}
# What is made of two, and what is only used to find things.
MADE = {
    "QUEUE_USER": "with QUEUE_PASS it becomes JOB_SERVER_TOKEN, as USER:PASSWORD",
    "QUEUE_PASS": "with QUEUE_USER it becomes JOB_SERVER_TOKEN, as USER:PASSWORD",
    "WORK_DIR": "WORKDIR, as it was called first",
    "WORKDIR": "db.sqlite is found by it; storage that lay there gets its place by name",
}
# Those that mean nothing here -> what to do.
UNUSED = {
    "BACKENDS": "nothing; a spool has one backend, BACKEND",
    "BACKUPS_PATH": "call `spoolrunner backup FILE` from cron",
    "*_CLIENT_TOKENS": "nothing; no port is opened here, so nobody has to prove who he is",
    "CONTROLLER_TASK_API_*": "nothing; there is no controller: requests come from job-server",
    "DATA_CHECK_*": "nothing; run such a check from cron",
    "DOCKER_HOST_VOLUME_DIR": "nothing; the runner is not in a container",
    "DOCKER_MAX_LOG_SEGMENTS_PER_JOB": "set JOB_LOG_LIMIT",
    "DOCKER_PROXY": "load images with `spoolrunner images --load`; none is pulled",
    "ENABLE_MAINTENANCE_MODE_THREAD": "set DB_MAINTENANCE_COMMAND",
    "ENABLE_PERMISSIONS_WORKAROUND": "nothing; it was for Windows",
    "EXECUTION_API": "nothing; there is one way to run jobs",
    "IMAGE_PULL_TIMEOUT": "nothing; no image is pulled",
    "JOB_LOOP_INTERVAL": "nothing; there is no loop that polls",
    "MAINTENANCE_ENABLED_BACKENDS": "set DB_MAINTENANCE_COMMAND",
    "OTEL_*": "set METRICS_FILE",
    "STATA_LICENSE_REPO": "set STATA_LICENSE, or STATA_LICENSE_FILE",
    "STATS_*": "nothing; each job's metadata.json has its numbers, METRICS_FILE those of all",
    "TICK_POLL_INTERVAL": "set METRICS_FILE",
}
AS_IT_IS = "as it is"
UNREADABLE = "it is not of the form NAME=value; are its quotes closed?"
UNKNOWN = "neither job-runner nor spoolrunner knows it; left out"


@dataclass
class Environment:
    """settings: ours, by name (some are secret). told: their name -> what becomes of it.

    workdir: where its database lies.
    """

    workdir: Path
    settings: dict[str, str] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """As a file of settings."""
        lines = [f"{name}={_quoted(value)}" for name, value in self.settings.items()]
        return "\n".join(["# Made by `spoolrunner import-jobrunner`.", *lines, ""])


def read(home: Path, file: Path) -> Environment:
    """home: the folder that job-runner runs in. A file that is not there says nothing.

    Raises BadInput for one that can't be read.
    """
    try:
        text = file.read_text(encoding="utf-8-sig") if file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} can't be read.", kind="bad_env", detail=str(error)) from error
    lines = list(envfile.parse(text.replace("\r\n", "\n")))
    found = translated({line.name: line.value for line in lines if line.name}, home)
    found.told |= {f"line {line.number}": UNREADABLE for line in lines if not line.name}
    return found


def translated(given: Mapping[str, str], home: Path) -> Environment:
    """given: name -> value, as its file has them."""
    plain = {name.removeprefix(PREFIX): value for name, value in given.items() if value.strip()}
    backend = re.sub(r"\W", "_", plain.get("BACKEND", "expectations")).upper()
    workdir = plain.get("WORKDIR") or plain.get("WORK_DIR") or "workdir"
    found = Environment(home / workdir)
    for name, value in plain.items():
        ours, told = _fate(name, backend)
        found.told[name] = told
        if ours:
            found.settings[ours] = _placed(ours, value, home)
    found.settings |= dict(_made(plain, found.settings))
    found.settings |= dict(_places(found))
    return found


def _fate(name: str, backend: str) -> tuple[str, str]:
    """What it is called here, "" if it has no place; and what is told of it."""
    if name in MADE:
        return "", MADE[name]
    if name in settings.table():
        return name, AS_IT_IS
    if ours := RENAMED.get(name.replace(f"{backend}_", "*_", 1)):
        return ours, f"becomes {ours}"
    if any(fnmatchcase(name, pattern) for pattern in RENAMED):
        return "", "left out: it is another backend's"
    told = (what for pattern, what in UNUSED.items() if fnmatchcase(name, pattern))
    return "", next(told, UNKNOWN)


def _made(plain: Mapping[str, str], ours: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if "QUEUE_USER" in plain and "QUEUE_PASS" in plain and "JOB_SERVER_TOKEN" not in ours:
        yield "JOB_SERVER_TOKEN", f"{plain['QUEUE_USER']}:{plain['QUEUE_PASS']}"
    if "JOB_SERVER_TOKEN" in ours and "JOB_SERVER_ENDPOINT" not in ours:
        yield "JOB_SERVER_ENDPOINT", ENDPOINT


def _placed(name: str, value: str, home: Path) -> str:
    """A path of job-runner's is relative to the folder it runs in."""
    is_path = settings.table()[name].read in (units.path, units.maybe_path)
    return str(home / value) if is_path and not value.startswith("~") else value


def _places(found: Environment) -> Iterator[tuple[str, str]]:
    """Where job-runner has its files unless it is told otherwise."""
    here = found.workdir
    backend = found.settings.get("BACKEND", "expectations").lower()
    weights = (
        here / f"job-resource-weights_{backend}.ini",
        here.parent / "job-resource-weights.ini",
    )
    usual = {
        "HIGH_PRIVACY_STORAGE_BASE": here / "high_privacy",
        "MEDIUM_PRIVACY_STORAGE_BASE": here / "medium_privacy",
        "JOB_RESOURCE_WEIGHTS": next((path for path in weights if path.is_file()), None),
    }
    for name, path in usual.items():
        if path and name not in found.settings:
            yield name, str(path)


def _quoted(value: str) -> str:
    if "'" not in value:
        return value if re.fullmatch(r"[\w@%+=:,./-]+", value) else f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def table_for_page() -> str:
    """All that becomes another name or nothing, as it stands in UPGRADING.md."""
    rows = ["| job-runner's | here |", "|---|---|"]
    rows += [f"| `{PREFIX}NAME` | `NAME` |"]
    rows += [f"| `{name}`, of this BACKEND | `{ours}` |" for name, ours in RENAMED.items()]
    rows += [f"| `{name}` | {what} |" for name, what in (MADE | UNUSED).items()]
    return "\n".join(rows) + "\n"
