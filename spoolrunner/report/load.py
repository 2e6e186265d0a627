"""Load: how many processors a running job keeps busy, and its memory, between two looks."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from spoolrunner.errors import SpoolrunnerError
from spoolrunner.executor import Usage
from spoolrunner.spool.board import ActiveJob


@dataclass(frozen=True)
class Load:
    """cpus: None at the first look."""

    cpus: float | None
    memory_bytes: int


class Loads:
    """usage: of a job now, or None. What can't be asked is left out: this is for display."""

    def __init__(self, usage: Callable[[ActiveJob], Usage | None]) -> None:
        self._usage = usage
        self._last: dict[str, tuple[float, Usage]] = {}

    def look(self, jobs: Iterable[ActiveJob]) -> dict[str, Load]:
        """Job -> its load."""
        before, self._last = self._last, {}
        for job in jobs:
            if job.status == "running" and (found := self._ask(job)):
                self._last[job.identifier] = (time.monotonic(), found)
        return {
            job: Load(_cpus(before.get(job), at_s, now), now.memory_bytes)
            for job, (at_s, now) in self._last.items()
        }

    def _ask(self, job: ActiveJob) -> Usage | None:
        try:
            return self._usage(job)
        except (SpoolrunnerError, OSError):
            return None


def _cpus(before: tuple[float, Usage] | None, at_s: float, now: Usage) -> float | None:
    if before is None or at_s <= before[0]:
        return None
    return max(0.0, (now.cpu_s - before[1].cpu_s) / (at_s - before[0]))
