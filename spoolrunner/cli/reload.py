"""SIGHUP: settings are read again; those that may change in a running service do."""

import dataclasses
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from spoolrunner import audit, config, settings
from spoolrunner.cli import logbook
from spoolrunner.config import Config
from spoolrunner.errors import BadConfig
from spoolrunner.runner import clock
from spoolrunner.runner.house import House

log = logging.getLogger(__name__)

# Looked up in the house's configuration each time they are needed. Whatever else has changed is
# built into objects when the service starts.
CHANGEABLE = (
    *("MAX_WORKERS", "MAX_DB_WORKERS", "DEFAULT_JOB_CPU_COUNT", "DEFAULT_JOB_MEMORY_LIMIT"),
    *("JOB_TIMEOUT", "JOB_DISK_LIMIT", "JOB_LOG_LIMIT", "JOB_PIDS_LIMIT", "STOP_GRACE"),
    *("MAX_ATTEMPTS", "IMAGE_WAIT", "FULL_DATABASE_URL", "SLICE_DATABASE_URL"),
    *("DUMMY_DATABASE_URL", "DEFAULT_DATABASE_URL", "TEMP_DATABASE_NAME", "EMIS_ORGANISATION_HASH"),
    *("STATA_LICENSE", "LEVEL4_MAX_FILESIZE", "LEVEL4_MAX_CSV_ROWS", "LEVEL4_FILE_TYPES"),
    *("KEEP_FAILED_DAYS", "KEEP_DONE_DAYS", "MIN_FREE_DISK", "LOGLEVEL"),
)


def reload(house: House, env_files: Sequence[Path]) -> None:
    """Settings that can't be used change nothing. From any thread."""
    try:
        read = config.load(os.environ, env_files)
    except BadConfig as error:
        log.error("the settings stay as they were: %s", " ".join(error.problems))
        return
    changed = _changed(house.config, read)
    taken = sorted(changed.keys() & {*CHANGEABLE})
    try:
        house.book.audit([audit.reload(taken, clock.now())] if taken else [])
    except OSError as error:
        log.error("the settings stay as they were: that can't be audited: %s", error)
        return
    known = settings.table()
    former = [getattr(house.config, field) for name, field in changed.items() if known[name].secret]
    house.config = dataclasses.replace(
        house.config,
        **{field: getattr(read, field) for name, field in changed.items() if name in CHANGEABLE},
        former_secrets=(*former, *house.config.former_secrets),
    )
    logbook.follow(house.config)
    house.wake.set()
    log.info("settings read again, changed: %s", ", ".join(taken) or "-")
    if later := ", ".join(sorted(changed.keys() - {*CHANGEABLE})):
        log.warning("these change only with a restart: %s", later)


def _changed(old: Config, new: Config) -> dict[str, str]:
    """Name -> field."""
    fields = {name: setting.field for name, setting in settings.table().items()}
    return {
        name: field for name, field in fields.items() if getattr(old, field) != getattr(new, field)
    }
