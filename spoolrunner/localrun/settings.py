"""The settings of a local run: those of the service that have a meaning here, and no others.

Whoever has a server's settings in the environment can run a study all the same: nothing here asks
for storage, job-server or a database, and nothing reaches one. The system's env file is a server's.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from spoolrunner import config
from spoolrunner.config import Config
from spoolrunner.localrun.told import Options

MEANT = (
    *("EXECUTOR", "DOCKER_REGISTRY", "ALLOWED_IMAGES", "WRITABLE_IMAGES"),
    *("STATA_LICENSE", "STATA_LICENSE_FILE"),
    *("DEFAULT_JOB_CPU_COUNT", "DEFAULT_JOB_MEMORY_LIMIT", "JOB_TIMEOUT", "JOB_DISK_LIMIT"),
    *("JOB_LOG_LIMIT", "JOB_PIDS_LIMIT", "STOP_GRACE", "MAX_ATTEMPTS"),
    *("JOB_USER", "DOCKER_USER_ID", "DOCKER_GROUP_ID"),
    *("GIT_MIRROR_DIR", "GITHUB_PROXY_DOMAIN"),
    *("PRIVATE_REPO_ACCESS_TOKEN", "PRIVATE_REPO_ACCESS_TOKEN_FILE"),
    *("LEVEL4_MAX_FILESIZE", "LEVEL4_MAX_CSV_ROWS", "LEVEL4_FILE_TYPES"),
)
ALWAYS = {"BACKEND": "expectations", "USING_DUMMY_DATA_BACKEND": "true", "REPORTS": "none"}
NO_FILE = Path("/dev/null")


def load(settings: Mapping[str, str], env_files: Sequence[Path], options: Options) -> Config:
    """Raises BadConfig with every problem."""
    given = {name: settings[name] for name in MEANT if name in settings}
    found = config.load(given | ALWAYS, env_files or [NO_FILE])
    cpus, memory_bytes = options.cpus, options.memory_bytes
    return dataclasses.replace(
        found,
        max_workers=options.concurrency,
        image_wait_s=0,  # what is missing is told before anything runs
        default_job_cpu_count=found.default_job_cpu_count if cpus is None else cpus,
        default_job_memory_limit_bytes=(
            found.default_job_memory_limit_bytes if memory_bytes is None else memory_bytes
        ),
    )
