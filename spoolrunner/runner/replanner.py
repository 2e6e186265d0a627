"""The replanner: jobs that waited for another request's job which is cancelled do without it.

They stop waiting at once, lest they fail with it; a thread reads their project again, and the
mover plans the lost action as their own (plan.replan, pure).
"""

import logging
import time
from collections.abc import Callable, Iterable
from functools import partial

from spoolrunner.errors import TryLater
from spoolrunner.request import Job, Request, Status
from spoolrunner.runner.book import Stopping
from spoolrunner.runner.house import House
from spoolrunner.runner.reading import Reading
from spoolrunner.runner.waiting import Waiter, Waiting

log = logging.getLogger(__name__)

RETRY_S = 5.0
Adopt = Callable[[Request, Reading, list[str]], list[Job]]


class Replanner:
    """adopt: plan again without these lost jobs; returns the jobs whose needs are others now, new
    ones among them. watch: have these wait. All but `_read` is the mover's thread's."""

    def __init__(
        self,
        house: House,
        waiting: Waiting,
        adopt: Adopt,
        watch: Callable[[Request, Iterable[Job]], None],
    ) -> None:
        self._house = house
        self._waiting = waiting
        self._adopt = adopt
        self._watch = watch
        self._under_way = 0

    @property
    def busy(self) -> bool:
        return bool(self._under_way)

    def without(self, waiters: Iterable[Waiter]) -> None:
        """The needs of these jobs will never be met."""
        by_request: dict[str, list[Waiter]] = {}
        for waiter in waiters:
            by_request.setdefault(waiter[0].identifier, []).append(waiter)
            self._waiting.leave(waiter[0], waiter[1])
        for each in by_request.values():
            self._under_way += 1
            self._house.readers.do(partial(self._read, each))

    def _read(self, waiters: list[Waiter]) -> None:
        """In a thread."""
        request = waiters[0][0]
        try:
            workspace = self._house.workspace(request.workspace.name)
            reading = self._house.reader.read(request, workspace.look)
        except (TryLater, OSError):
            self._read_later(waiters)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody has to be told
            log.warning("request=%s can't be planned again: %r", request.identifier, error)
            self._tell(request, lambda: self._waiting.failed.extend(waiters))
        else:
            self._tell(request, lambda: self._replan(waiters, reading))

    def _read_later(self, waiters: list[Waiter]) -> None:
        """In a thread."""
        time.sleep(RETRY_S)
        self._house.readers.do(partial(self._read, waiters))

    def _tell(self, request: Request, change: Callable[[], None]) -> None:
        def both() -> None:
            self._under_way -= 1
            if request.identifier in self._house.book.requests:
                change()

        try:
            self._house.book.tell(both)
        except Stopping:
            return

    def _replan(self, waiters: list[Waiter], reading: Reading) -> None:
        request = waiters[0][0]
        try:
            moved = self._adopt(request, reading, [need.job for _, _, need in waiters])
        except OSError as error:
            log.error("request=%s is planned again in a while: %s", request.identifier, error)
            self._under_way += 1
            self._house.readers.do(partial(self._read_later, waiters))
            return
        except Exception:
            log.exception("request=%s can't be planned again: this is our bug", request.identifier)
            self._waiting.failed.extend(waiters)
            return
        # Some wait on as they did: the job was asked to stop, but had succeeded by then.
        again = {job.identifier: job for job in [*moved, *(job for _, job, _ in waiters)]}
        self._watch(request, [job for job in again.values() if job.status is Status.PENDING])
        self._house.book.changed(request)
