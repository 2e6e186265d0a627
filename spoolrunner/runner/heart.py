"""The heart: each round the mover tells that it lives, and what it is at.

To systemd's watchdog, to the board that people look at (spool/board.py), and to METRICS_FILE. What
can't be told is no reason to stop. Mover's thread only.
"""

import logging
from collections.abc import Callable

from spoolrunner.request import Status
from spoolrunner.runner import clock
from spoolrunner.runner.book import Book
from spoolrunner.runner.headways import Headways
from spoolrunner.runner.metrics import Metrics
from spoolrunner.spool import board, recent
from spoolrunner.spool.board import Board
from spoolrunner.spool.rooms import Rooms

BOARD_EVERY_S = 1.0
JOBS_A_SECOND = 100  # the more jobs the board lists, the less often it is written
TELL_EVERY_S = 5.0

log = logging.getLogger(__name__)


class Heart:
    """tell: is given the state for systemd, as one sentence. metrics: None if nobody wants any."""

    def __init__(
        self, rooms: Rooms, book: Book, backend: str, metrics: Metrics | None, headways: Headways
    ) -> None:
        self._rooms = rooms
        self._book = book
        self._backend = backend
        self._metrics = metrics
        self._headways = headways
        self._board = Board(backend="")
        self._board_s = -BOARD_EVERY_S
        self._stale = False
        self._trouble = False  # said once
        self._told, self._told_s = "", 0.0
        self.tell: Callable[[str], None] = lambda sentence: None

    def beat(self, inbox: int) -> None:
        """inbox: how many files lie there that are not taken."""
        self._stale = clock.monotonic_s() - self._board_s < self._every_s
        if not self._stale:
            self._show(inbox)
        if self._metrics and self._metrics.due():
            self._metrics.write(self._board, self._book.outcomes)
        sentence = self._sentence()
        if sentence != self._told or clock.monotonic_s() - self._told_s >= TELL_EVERY_S:
            self._told, self._told_s = sentence, clock.monotonic_s()
            self.tell(sentence)

    def last(self, *, drained: bool) -> None:
        """The last beat. drained: of a runner that cron starts again."""
        self._show(self._board.inbox, drained_at=clock.now() if drained else "")
        if self._metrics:
            self._metrics.write(self._board, self._book.outcomes, up=drained)

    def due_s(self) -> float:
        """When to beat again at the latest: what has changed meanwhile is to be shown."""
        return self._every_s if self._stale else float("inf")

    @property
    def _every_s(self) -> float:
        return max(BOARD_EVERY_S, len(self._board.jobs) / JOBS_A_SECOND)

    def _now(self, inbox: int, drained_at: str) -> Board:
        jobs = [job for one in self._book.requests.values() for job in board.active_jobs(one)]
        for job in jobs:
            job.progress = self._headways.words.get(job.identifier, "")
        return Board(
            backend=self._backend,
            drained_at=drained_at,
            inbox=inbox,
            jobs=jobs,
            recent=recent.read(self._rooms),
        )

    def _show(self, inbox: int, drained_at: str = "") -> None:
        self._board_s = clock.monotonic_s()
        try:
            now = self._now(inbox, drained_at)
            if now != self._board:
                board.write(self._rooms, now)
                self._board = now
        except OSError as error:
            if not self._trouble:
                log.warning("`status` shows what was before, tried again each second: %s", error)
            self._trouble = True
        else:
            self._trouble = False

    def _sentence(self) -> str:
        running = sum(job.status == Status.RUNNING for job in self._board.jobs)
        return f"{running} running, {len(self._board.jobs) - running} pending"
