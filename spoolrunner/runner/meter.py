"""The meter: what an attempt at a job uses while it runs, and what it came to in the end.

How much there was in all the kernel counts, and tells at the end (executor.Used). Only a mean of
memory has to be looked for; so it is looked at rarely, ever more rarely the longer a job runs: a
job of a second costs nothing, one of an hour 65 looks. A runner that takes a job over begins anew.
"""

import contextlib
import itertools
from collections.abc import Iterator
from datetime import datetime

from spoolrunner.errors import SpoolrunnerError
from spoolrunner.executor import Executor, Exit
from spoolrunner.record import changed
from spoolrunner.request import Job, Metrics, Outcome
from spoolrunner.runner import clock

FIRST_S, LAST_S = 1.0, 60.0


class Meter:
    """Of one attempt, by the thread of its line."""

    def __init__(self) -> None:
        self._began_s = self._last_s = clock.monotonic_s()
        self._byte_seconds = 0.0
        self._peak_bytes = 0

    @property
    def look_again_s(self) -> float:
        """In how many seconds: when twice as long has passed, at most a minute."""
        ran_s = self._last_s - self._began_s
        due_s = self._last_s + min(max(ran_s, FIRST_S), LAST_S)
        return max(0.0, due_s - clock.monotonic_s())

    def look(self, executor: Executor, name: str) -> None:
        """If it is time to. Whoever does not answer is not asked again just for this."""
        if self.look_again_s > 0:
            return
        before_s, self._last_s = self._last_s, clock.monotonic_s()
        with contextlib.suppress(SpoolrunnerError, OSError):
            if usage := executor.usage(name):
                self._byte_seconds += usage.memory_bytes * (self._last_s - before_s)
                self._peak_bytes = max(self._peak_bytes, usage.memory_bytes)

    def metrics(self, job: Job, ended: Exit, collected_at: str) -> Metrics:
        """Of an attempt that has ended, and whose files have been looked through."""
        used, looked_s = ended.used, self._last_s - self._began_s
        queue_s, prepare_s, run_s, collect_s = _between(
            [job.created_at, job.taken_at, ended.started_at, ended.finished_at, collected_at]
        )
        return Metrics(
            cpu_s=used.cpu_s,
            memory_peak_bytes=max(used.memory_peak_bytes or 0, self._peak_bytes) or None,
            memory_mean_bytes=round(self._byte_seconds / looked_s) if self._byte_seconds else None,
            read_bytes=used.read_bytes,
            written_bytes=used.written_bytes,
            queue_s=queue_s,
            prepare_s=prepare_s,
            run_s=run_s,
            collect_s=collect_s,
        )


def with_publishing(outcome: Outcome) -> Metrics | None:
    """What an outcome says, when all of it has been published just now."""
    if outcome.metrics is None or outcome.completed_at is None:
        return None
    return changed(outcome.metrics, publish_s=seconds(outcome.completed_at, clock.now()))


def _between(moments: list[str | None]) -> Iterator[float | None]:
    """Seconds from each to the next. A clock that was set back meanwhile must not make them < 0."""
    for before, after in itertools.pairwise(moments):
        yield seconds(before, after) if before and after else None


def seconds(before: str, after: str) -> float:
    passed = datetime.fromisoformat(after) - datetime.fromisoformat(before)
    return round(max(0.0, passed.total_seconds()), 3)
