"""Folders: how much disk running jobs take. Counted beside, by a thread: a large one takes seconds.

It rests after each for many times as long as that took: who watches must not slow down the jobs.
"""

import threading
import time
from collections.abc import Callable, Iterable

from spoolrunner.request import Status
from spoolrunner.spool.board import ActiveJob

SHARE = 0.05  # of the time
SHORTEST_REST_S = 0.2


class Folders:
    """count: bytes that a job's folder takes, None if that can't be known."""

    def __init__(self, count: Callable[[ActiveJob], int | None]) -> None:
        self._count = count
        self._jobs: list[ActiveJob] = []
        self._sizes: dict[str, int] = {}
        self._thread: threading.Thread | None = None

    def look(self, jobs: Iterable[ActiveJob]) -> dict[str, int]:
        """Job -> bytes, as it was counted last."""
        self._jobs = [job for job in jobs if job.status == Status.RUNNING]
        if self._jobs and self._thread is None:
            self._thread = threading.Thread(target=self._go, name="folders", daemon=True)
            self._thread.start()
        return {
            job.identifier: self._sizes[job.identifier]
            for job in self._jobs
            if job.identifier in self._sizes
        }

    def _go(self) -> None:
        while True:
            time.sleep(SHORTEST_REST_S)
            for job in self._jobs:
                begun_s = time.monotonic()
                if (size := self._count(job)) is not None:
                    self._sizes[job.identifier] = size
                time.sleep((time.monotonic() - begun_s) / SHARE)
