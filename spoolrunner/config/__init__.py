"""The configuration: where settings come from, and what must hold between them.

    the environment  >  the last env file  >  ...  >  the first env file  >  the default

Env files are those of the command line, else `SPOOLRUNNER_ENV`, else the system's. The current
folder is never looked at: a study could bring an env file of its own. Nothing is begun with half a
configuration: every problem is found before the first is told, and no value of a secret is ever
part of what is told. The only module that reads the environment.
Knows: settings, envfile, weights, errors; what must hold between settings: rules.
"""

import dataclasses
import difflib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from spoolrunner import envfile, settings, weights
from spoolrunner.config import rules
from spoolrunner.config.rules import Given
from spoolrunner.errors import BadConfig
from spoolrunner.setting import Machine, Setting
from spoolrunner.settings import Config
from spoolrunner.weights import Weights

__all__ = ["Config", "load"]

SYSTEM_ENV_FILE = Path("/etc/spoolrunner/spoolrunner.env")
MAX_FILE_BYTES = 1 << 20

# What job-runner 2.52.3 and its HEAD know and we have no use for (reference, appendix A).
FOREIGN = (
    "BACKENDS *_JOB_SERVER_TOKEN *_CLIENT_TOKENS *_MAX_WORKERS *_MAX_DB_WORKERS *_JOB_CPU_COUNT "
    "*_JOB_MEMORY_LIMIT BACKUPS_PATH CONTROLLER_TASK_API_* DATA_CHECK_* DOCKER_HOST_VOLUME_DIR "
    "DOCKER_MAX_LOG_SEGMENTS_PER_JOB DOCKER_PROXY ENABLE_MAINTENANCE_MODE_THREAD "
    "ENABLE_PERMISSIONS_WORKAROUND EXECUTION_API IMAGE_PULL_TIMEOUT JOB_LOOP_INTERVAL "
    "MAINTENANCE_ENABLED_BACKENDS OTEL_* STATA_LICENSE_REPO STATS_* "
    "TICK_POLL_INTERVAL"
).split()


class Problems(dict[str, str]):
    """What to blame -> a sentence. Only the first for each, so that nothing is said twice."""

    def add(self, name: str, sentence: str) -> None:
        self.setdefault(name, sentence)


def load(environ: Mapping[str, str], env_files: Sequence[Path] = ()) -> Config:
    """Read, check and derive every setting.

    environ: the process's environment. env_files: of the command line, a later one wins.
    Raises BadConfig with every problem there is.
    """
    problems, warnings = Problems(), list[str]()
    layers = [_read_env_file(path, problems, warnings) for path in _chosen(environ, env_files)]
    layers.append({name: Given(text, "the environment") for name, text in environ.items()})
    given: dict[str, Given] = {}
    for layer in layers:
        given |= _known(layer, problems)
    config = _parsed(given, problems)
    for name, sentence in rules.broken(config, given):
        problems.add(name, sentence)
    config = dataclasses.replace(config, weights=_weights(config, given, problems))
    if problems:
        raise BadConfig(list(problems.values()), hint="Correct these settings and start again.")
    ignored = {name for layer in layers for name in layer if _is_foreign(name)}
    return dataclasses.replace(
        config, ignored=tuple(sorted(ignored)), warnings=(*warnings, *rules.warnings(config))
    )


# --- env files


def _chosen(environ: Mapping[str, str], env_files: Sequence[Path]) -> Sequence[Path]:
    if env_files:
        return env_files
    if named := environ.get("SPOOLRUNNER_ENV"):
        return [Path(named)]
    return [SYSTEM_ENV_FILE]


def _read_env_file(path: Path, problems: Problems, warnings: list[str]) -> dict[str, Given]:
    try:
        text, mode = _read(path)
    except (OSError, ValueError) as error:
        if path != SYSTEM_ENV_FILE or not isinstance(error, FileNotFoundError):
            problems.add(str(path), f"The env file {path} cannot be read: {_reason(error)}.")
        return {}
    layer = dict(_assignments(text, path, problems))
    if mode & stat.S_IROTH and any(_is_secret(name) for name in layer):
        warnings.append(f"{path} holds secrets and can be read by everybody; chmod 600 {path}")
    warnings += [sentence for name in layer if (sentence := _misspelt(name, layer[name].where))]
    return layer


def _read(path: Path) -> tuple[str, int]:
    """Text and mode of the same open file. Raises OSError, or ValueError if it is no UTF-8 text."""
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ValueError
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        return text, os.fstat(file.fileno()).st_mode


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return "it is not UTF-8 text of at most 1 MiB"


def _assignments(text: str, path: Path, problems: Problems) -> Iterator[tuple[str, Given]]:
    for line in envfile.parse(text):
        where = f"{path}, line {line.number}"
        if line.name:
            yield line.name, Given(line.value, where)
        else:
            problems.add(where, f"{where}: is not of the form NAME=value; are its quotes closed?")


def _misspelt(name: str, where: str) -> str:
    known = settings.table()
    if name in known or _is_secret(name) or _is_foreign(name):
        return ""
    near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8)
    return f"{where}: {name} is not a setting; did you mean {near[0]}?" if near else ""


# --- the other file


def _weights(config: Config, given: Mapping[str, Given], problems: Problems) -> Weights:
    """The default's file need not be there; one that is named must."""
    path, name = config.job_resource_weights, "JOB_RESOURCE_WEIGHTS"
    try:
        return weights.read(_read(path)[0], str(path))
    except (OSError, ValueError) as error:
        if name in given or not isinstance(error, FileNotFoundError | NotADirectoryError):
            problems.add(name, f"{name}: {path} cannot be read: {_reason(error)}.")
    except BadConfig as error:
        for sentence in error.problems:
            problems.add(sentence, f"{name}: {sentence}")
    return Weights()


# --- from texts to a Config


def _is_foreign(name: str) -> bool:
    return name not in settings.table() and any(fnmatchcase(name, each) for each in FOREIGN)


def _is_secret(name: str) -> bool:
    setting = settings.table().get(name.removesuffix("_FILE"))
    return setting is not None and setting.secret


def _known(layer: Mapping[str, Given], problems: Problems) -> dict[str, Given]:
    """What a layer says of our settings; a secret's file is replaced by what it holds."""
    found = {}
    for name, setting in settings.table().items():
        value, file = layer.get(name), layer.get(f"{name}_FILE") if setting.secret else None
        if value and value.text.strip():
            found[name] = value
        if file and file.text:
            if name in found:
                problems.add(name, f"{name} and {name}_FILE ({file.where}): give one of the two.")
            found[name] = Given(_secret_in(name, file, problems), f"{name}_FILE")
    return found


def _secret_in(name: str, given: Given, problems: Problems) -> str:
    told = f"{name}_FILE ({given.where}): {given.text}"
    try:
        text, mode = _read(Path(given.text))
    except (OSError, ValueError) as error:
        problems.add(name, f"{told} cannot be read: {_reason(error)}.")
        return ""
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        problems.add(name, f"{told} is open to everybody on this machine; make it mode 0600.")
    elif not text.strip():
        problems.add(name, f"{told} is empty.")
    return text


def _parsed(given: Mapping[str, Given], problems: Problems) -> Config:
    machine = Machine(os.getuid(), os.getgid(), os.cpu_count() or 1)
    values: dict[str, Any] = {}
    for setting in settings.table().values():
        made = setting.default
        default = made if isinstance(made, str) else made(values, machine)
        values[setting.field] = _placed(_value_of(setting, given, default, problems))
    return Config(**values)


def _value_of(
    setting: Setting, given: Mapping[str, Given], default: str, problems: Problems
) -> object:
    asked = given.get(setting.name)
    if asked is None:
        return setting.read(default)
    try:
        return setting.read(asked.text.strip())
    except ValueError as error:
        shown = "" if setting.secret or _may_hold_secret(asked.text) else f"{asked.text!r} "
        problems.add(setting.name, f"{setting.name} ({asked.where}): {shown}{error}.")
        # go on with the default: what is wrong elsewhere is to be told as well
        return setting.read(default)


def _may_hold_secret(text: str) -> bool:
    """Passwords stand in addresses of all kinds: scheme://user:password@host."""
    return "://" in text or "@" in text


def _placed(value: object) -> object:
    return value.expanduser().absolute() if isinstance(value, Path) else value
