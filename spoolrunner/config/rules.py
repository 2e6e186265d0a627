"""What must hold between settings, beyond what each must be by itself.

Knows: settings.
"""

import grp
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from spoolrunner.settings import Config


class Given(NamedTuple):
    """A text somebody gave to a setting, and where: "the environment" or "FILE, line N"."""

    text: str
    where: str


Problem = tuple[str, str]  # the setting to blame, the sentence


def broken(config: Config, given: Mapping[str, Given]) -> Iterator[Problem]:
    if not config.dummy_data:
        yield from _broken_with_real_data(config, given)
    yield from _broken_privacy(config)
    yield from _broken_presto(config)
    yield from _broken_reports(config)
    yield from _broken_users(config)
    if config.git_mirror_dir:
        yield from _broken_mirror(config.git_mirror_dir)


def _broken_with_real_data(config: Config, given: Mapping[str, Given]) -> Iterator[Problem]:
    why = f"because backend '{config.backend}' holds real data"
    for name in ("HIGH_PRIVACY_STORAGE_BASE", "MEDIUM_PRIVACY_STORAGE_BASE"):
        folder = getattr(config, name.lower())
        if name not in given:
            yield name, f"{name} must be set, {why}."
        elif any((parent / ".git").exists() for parent in (folder, *folder.parents)):
            yield name, f"{name}: {folder} lies in a git work tree, from where it could be pushed."
    if config.allow_local_git_repos:
        yield "ALLOW_LOCAL_GIT_REPOS", f"ALLOW_LOCAL_GIT_REPOS must be false, {why}."


def _broken_privacy(config: Config) -> Iterator[Problem]:
    """Whoever may read medium privacy must not thereby reach anything of high privacy."""
    medium = config.medium_privacy_storage_base.resolve()
    for name in (
        "HIGH_PRIVACY_STORAGE_BASE",
        "HIGH_PRIVACY_ARCHIVE_DIR",
        "HIGH_PRIVACY_VOLUME_DIR",
    ):
        if getattr(config, name.lower()).resolve().is_relative_to(medium):
            yield name, f"{name} must not lie in MEDIUM_PRIVACY_STORAGE_BASE ({medium})."


def _broken_presto(config: Config) -> Iterator[Problem]:
    certificate, key = config.presto_tls_cert_path, config.presto_tls_key_path
    names = "PRESTO_TLS_CERT_PATH", "PRESTO_TLS_KEY_PATH"
    if bool(certificate) != bool(key):
        yield names[0], f"{names[0]} and {names[1]}: set both or neither."
    for name, path in zip(names, (certificate, key), strict=True):
        if path and not path.is_file():
            yield name, f"{name}: there is no file {path}."


def _broken_reports(config: Config) -> Iterator[Problem]:
    if config.job_server_endpoint and not config.job_server_token:
        yield "JOB_SERVER_TOKEN", "JOB_SERVER_ENDPOINT is set, but JOB_SERVER_TOKEN is not."
    if config.reports == "send" and not config.job_server_endpoint:
        yield "JOB_SERVER_ENDPOINT", "REPORTS is `send`, but JOB_SERVER_ENDPOINT is not set."


def _broken_users(config: Config) -> Iterator[Problem]:
    uid, gid = config.job_user
    if uid == 0:
        yield "JOB_USER", "JOB_USER: a job never runs as root; choose another uid."
    elif os.getuid() != 0 and (uid, gid) != (os.getuid(), os.getgid()):
        yield "JOB_USER", f"JOB_USER: only root can run jobs as {uid}:{gid}; leave it unset."
    for name in ("SPOOL_GROUP", "MEDIUM_PRIVACY_GROUP"):
        group = getattr(config, name.lower())
        if group and not _is_group(group):
            yield name, f"{name}: this machine has no group '{group}'."


def _is_group(name: str) -> bool:
    try:
        return bool(grp.getgrnam(name))
    except KeyError:
        return False


def _broken_mirror(mirror: Path) -> Iterator[Problem]:
    if not mirror.is_dir():
        yield "GIT_MIRROR_DIR", f"GIT_MIRROR_DIR: there is no folder {mirror}."
        return
    found = mirror.stat()
    if found.st_uid not in (0, os.getuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield "GIT_MIRROR_DIR", f"GIT_MIRROR_DIR: others than we or root can write in {mirror}."


def warnings(config: Config) -> Iterator[str]:
    if config.database_access_network == "bridge":
        yield "DATABASE_ACCESS_NETWORK is `bridge`: database jobs can reach other networks."
    for pattern in config.weights.heavier_than(config.max_workers):
        yield (
            f"JOB_RESOURCE_WEIGHTS: what {pattern!r} matches counts for more than MAX_WORKERS"
            f" ({config.max_workers}), so it is refused."
        )
    if not config.dummy_data and "*" in config.allowed_github_orgs:
        yield "ALLOWED_GITHUB_ORGS is `*`: studies of anybody run against real data."
