"""The quotas of a running job: time, disk, processes, log. Each ends it with a code of its own.

Memory is the kernel's to watch. A job that can make no more processes goes on failing, or hangs for
ever; of one that says ten times what is kept of a log the rest is noise. What can't be asked now is
not passed.
"""

from spoolrunner.config import Config
from spoolrunner.executor import Executor
from spoolrunner.request import Code, Job
from spoolrunner.runner import clock
from spoolrunner.workspace import Gauge

LOOK_AGAIN_S = 60.0
FIRST_LOOK_S = 1.0  # what runs wild mostly does so from the beginning
TIMES_THE_LOG = 10

# Ended by us for one of these: nothing that comes afterwards changes it.
CODES = (Code.TIMED_OUT, Code.DISK_LIMIT, Code.PIDS_LIMIT, Code.LOG_LIMIT)


class Quotas:
    """Of one attempt. name: its container's."""

    def __init__(
        self, config: Config, executor: Executor, job: Job, name: str, gauge: Gauge
    ) -> None:
        self._config = config
        self._executor = executor
        self._job = job
        self._name = name
        self._gauge = gauge
        self._said_bytes = 0
        self._rest_s = FIRST_LOOK_S
        self._next_s = clock.monotonic_s() + FIRST_LOOK_S

    def passed(self) -> Code | None:
        """Raises TryLater if the executor does not answer."""
        if self._time_left_s() <= 0:
            return Code.TIMED_OUT
        if self._gauge.is_over():
            return Code.DISK_LIMIT
        if clock.monotonic_s() < self._next_s:
            return None
        self._rest_s = min(2 * self._rest_s, LOOK_AGAIN_S)
        code = self._runs_wild()
        self._next_s = clock.monotonic_s() + self._rest_s
        return code

    def look_again_s(self) -> float:
        """When to ask next, if nothing happens."""
        next_s = self._next_s - clock.monotonic_s()
        return max(0, min(self._time_left_s(), self._gauge.look_again_s, next_s))

    def _runs_wild(self) -> Code | None:
        config = self._config
        usage = self._executor.usage(self._name) if config.job_pids_limit else None
        if usage and usage.pids >= config.job_pids_limit:
            return Code.PIDS_LIMIT
        return Code.LOG_LIMIT if self._says_too_much() else None

    def _says_too_much(self) -> bool:
        """An engine can only count what it still has: who talks fast is listened to often."""
        kept_bytes = self._config.job_log_limit_bytes
        if not kept_bytes:
            return False
        before_bytes, self._said_bytes = self._said_bytes, self._executor.said_bytes(self._name)
        if self._said_bytes - before_bytes > kept_bytes // 4:
            self._rest_s = FIRST_LOOK_S
        return self._said_bytes > TIMES_THE_LOG * kept_bytes

    def _time_left_s(self) -> float:
        """Of JOB_TIMEOUT. By the monotonic clock, which starts anew with the machine."""
        limit_s, job = self._config.job_timeout_s, self._job
        if not limit_s or job.boot_id != clock.boot_id():
            return limit_s or LOOK_AGAIN_S
        return limit_s - (clock.monotonic_s() - (job.started_monotonic_s or 0))
