"""Threads for what takes time, at most so many of a kind at once.

Daemon threads: when the runner is told to stop it stops, whatever git or the engine is doing;
what they were at is found again by the next runner.
"""

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Crew:
    """A fixed number of threads that take work in the order it came."""

    def __init__(self, name: str, hands: int) -> None:
        self._name = name
        self._hands = hands
        self._started = 0
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def do(self, work: Callable[[], None]) -> None:
        """Have it done soon. It must not raise; if it does, that is logged as our bug."""
        self._work.put(work)
        if self._started < self._hands:
            self._started += 1
            threading.Thread(
                target=self._labour, name=f"{self._name}-{self._started}", daemon=True
            ).start()

    def _labour(self) -> None:
        while True:
            work = self._work.get()
            try:
                work()
            except Exception:
                log.exception("a thread of %s failed: this is our bug", self._name)
