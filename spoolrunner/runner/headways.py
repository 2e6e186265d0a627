"""Headways: what job lines are at that lasts, such as looking through an output of 50 GB.

For display alone, so it is in no request file: each change of that is flushed and reported, and how
large outputs are is nothing that a job may tell the outside. Work that is done within a moment is
never told of.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator

from spoolrunner.figures import headway_words, size_words
from spoolrunner.request import Job, Request
from spoolrunner.runner import clock

log = logging.getLogger(__name__)

LOG_EVERY_S = 30.0


class JobHeadway:
    """A Headway in bytes. tell: is given it in words every so often."""

    def __init__(self, doing: str, every_s: float, tell: Callable[[str], None]) -> None:
        self._doing = doing
        self._every_s = every_s
        self._tell = tell
        self._began_s = self._told_s = clock.monotonic_s()
        self._done = self._total = 0

    def expect(self, more: int) -> None:
        self._total += more

    def add(self, done: int = 1) -> None:
        self._done += done
        if clock.monotonic_s() - self._told_s >= self._every_s:
            self._told_s = clock.monotonic_s()
            self._tell(f"{self._doing}: {self._words()}")

    def _words(self) -> str:
        return headway_words(self._done, self._total, self._told_s - self._began_s, size_words)


class Headways:
    """Of all lines. words: job -> what it is at. changed: is told when these are others."""

    def __init__(self, every_s: float) -> None:
        self.words: dict[str, str] = {}
        self.changed: Callable[[Job], None] = lambda job: None
        self._every_s = every_s

    @contextlib.contextmanager
    def of(self, request: Request, job: Job, doing: str) -> Iterator[JobHeadway]:
        """For the length of one work. From the thread that does it."""
        logged_s = clock.monotonic_s()

        def tell(words: str) -> None:
            nonlocal logged_s
            self.words[job.identifier] = words
            self.changed(job)
            if clock.monotonic_s() - logged_s >= LOG_EVERY_S:
                logged_s = clock.monotonic_s()
                who = (request.identifier, job.identifier, request.workspace.name, job.action)
                log.info("request=%s job=%s workspace=%s action=%s %s", *who, words)

        try:
            yield JobHeadway(doing, self._every_s, tell)
        finally:
            self.words.pop(job.identifier, None)
