"""The planner: accepted requests become jobs.

A thread reads the commit (reading.py); then, in order of acceptance within each workspace, the
mover's thread plans from what is true at that moment (plan.py, pure). What can't become jobs ends
as one failed job `__error__` with the reason, so that whoever asked is told.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from spoolrunner import audit, plan
from spoolrunner.errors import CannotExpand, SpoolrunnerError, TryLater
from spoolrunner.request import Code, Job, Request
from spoolrunner.runner import admission, jobs
from spoolrunner.runner.book import Stopping
from spoolrunner.runner.fates import Fates
from spoolrunner.runner.house import House
from spoolrunner.runner.known import known
from spoolrunner.runner.reading import Command, Reading
from spoolrunner.runner.replanner import Replanner
from spoolrunner.runner.waiting import Waiting
from spoolrunner.spool import registry

log = logging.getLogger(__name__)

RETRY_S = (5.0, 15.0, 60.0, 300.0)
CANCELLED = {
    "user": CannotExpand("Cancelled by user.", kind=Code.CANCELLED_BY_USER),
    "admin": CannotExpand("An operator killed the request.", kind=Code.KILLED_BY_ADMIN),
}


@dataclass
class _Delayed:
    """A request whose repository could not be reached: when to try again, how often it was."""

    due_s: float
    tries: int


class Planner:
    """All of it in the mover's thread, but for `_read`."""

    def __init__(self, house: House, waiting: Waiting) -> None:
        self._house = house
        self._book = house.book
        self._waiting = waiting
        self._reading: set[str] = set()
        self._readings: dict[str, Reading] = {}
        self._delayed: dict[str, _Delayed] = {}
        self._replanner = Replanner(house, waiting, self._adopt, self.watch)

    @property
    def busy(self) -> bool:
        """Is a request being read or planned? One that waits for its repository to be reachable is
        not: cron comes again."""
        return bool(self._reading or self._readings or self._replanner.busy)

    def due_s(self) -> Iterator[float]:
        """In how many seconds each delayed request is tried again."""
        now_s = time.monotonic()
        return (delayed.due_s - now_s for delayed in self._delayed.values())

    def forget(self, request: Request) -> None:
        """It is planned, or not active any more."""
        self._readings.pop(request.identifier, None)
        self._delayed.pop(request.identifier, None)

    def read(self, request: Request) -> None:
        """Have a thread read the commit; safe to repeat."""
        if request.identifier not in self._reading | self._readings.keys():
            self._reading.add(request.identifier)
            self._house.readers.do(lambda: self._read(request))

    def _read(self, request: Request) -> None:
        """In a thread."""
        try:
            workspace = self._house.workspace(request.workspace.name)
            reading = self._house.reader.read(request, workspace.look)
        except TryLater as error:
            self._tell(request, partial(self._delay, request, error))
        except OSError as error:  # the disk's trouble, not the request's
            failing = TryLater("The server's disk fails.", kind="disk_fails", detail=str(error))
            self._tell(request, partial(self._delay, request, failing))
        except CannotExpand as error:
            self._tell(request, partial(self._refuse, request, error))
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody has to be told
            self._tell(request, partial(self._refuse, request, jobs.bug(error)))
        else:
            self._tell(request, lambda: self._readings.update({request.identifier: reading}))

    def _tell(self, request: Request, change: Callable[[], None]) -> None:
        def both() -> None:
            self._reading.discard(request.identifier)
            now = self._book.requests.get(request.identifier)
            if now is request:
                change()
            elif now and not now.expanded:  # another that came under its name meanwhile
                self.read(now)

        try:
            self._book.tell(both)
        except Stopping:
            return

    def plan_all(self) -> Iterator[Request]:
        """Plan every request that has been read, first come first planned in a workspace.

        Yields each as soon as it has jobs: for the next one the disk may fail.
        """
        self._read_delayed()
        held: set[str] = set()
        for request in [one for one in self._book.requests.values() if not one.expanded]:
            if request.cancel:
                self._refuse(request, CANCELLED[request.cancel])
            elif request.identifier not in self._readings:
                held.add(request.workspace.name)
            elif request.workspace.name not in held:
                self._expand(request, self._readings[request.identifier])
                yield request

    def _read_delayed(self) -> None:
        now_s = time.monotonic()
        for identifier, late in self._delayed.items():
            if late.due_s <= now_s:
                late.due_s = math.inf  # until that has failed again
                self.read(self._book.requests[identifier])

    def _expand(self, request: Request, reading: Reading) -> None:
        try:
            self._make_jobs(request, reading)
        except OSError:
            raise  # the disk's trouble, not the request's: it is planned in a later round
        except Exception as error:  # noqa: BLE001 - one request must not end the runner
            self._refuse(request, jobs.bug(error))

    def _make_jobs(self, request: Request, reading: Reading) -> None:
        made = plan.make(
            reading.needs,
            request.requested_actions,
            force=request.force_run_dependencies,
            cancelled=request.cancelled_actions,
            known=self._known(request, reading),
            request=request.identifier,
            sha=reading.sha,
        )
        running = {planned.action: reading.commands[planned.action] for planned in made.jobs}
        admission.check(self._house.config, request, running)
        new = [self._job(request, planned, reading.commands) for planned in made.jobs]
        request.sha = reading.sha
        request.notes = list(made.notes)
        request.jobs = new or [self._nothing_to_do(request, made.nothing_to_do)]
        self._expanded(request)
        self.watch(request, new)
        log.info("request=%s planned jobs=%d sha=%s", request.identifier, len(new), reading.sha)

    def _nothing_to_do(self, request: Request, message: str) -> Job:
        return jobs.nothing_to_do(request, self._book.store.next_sequence(), message)

    def _expanded(self, request: Request) -> None:
        request.expanded = True
        request.message = ""
        self.forget(request)
        self._book.changed(request)

    def _job(self, request: Request, one: plan.Planned, commands: Mapping[str, Command]) -> Job:
        return jobs.planned(request, self._book.store.next_sequence(), one, commands[one.action])

    def _refuse(self, request: Request, error: SpoolrunnerError) -> None:
        """The request ends as failed."""
        self._book.record(audit.refuse(request, error.kind))
        request.jobs = [jobs.refused(request, self._book.store.next_sequence(), error)]
        self._expanded(request)

    def _delay(self, request: Request, error: TryLater) -> None:
        tries = 1 + (late.tries if (late := self._delayed.get(request.identifier)) else 0)
        wait_s = RETRY_S[min(tries, len(RETRY_S)) - 1]
        self._delayed[request.identifier] = _Delayed(time.monotonic() + wait_s, tries)
        request.message = f"{error.public} Tried {tries} times; tried again in {wait_s:g} s."
        log.warning("request=%s delayed: %s %s", request.identifier, error.message, error.detail)
        self._book.changed(request)

    def _known(
        self, request: Request, reading: Reading, before: float = math.inf
    ) -> dict[str, plan.Known]:
        """The newest run of each action in this workspace that was not cancelled.

        before: what requests accepted later have scheduled is not looked at (see plan.replan).
        """
        name = request.workspace.name
        others = (
            other
            for other in self._book.requests.values()
            if other.workspace.name == name and other is not request and other.sequence < before
        )
        return known(registry.find(self._house.rooms, name), others, reading)

    def replan_dependants(self, request: Request, job: Job) -> None:
        """Others that wait for a job which is cancelled now plan its action as their own."""
        waiters = self._waiting.dependants(request, job)
        self._replanner.without(one for one in waiters if one[0] is not request)

    def _adopt(self, request: Request, reading: Reading, lost: list[str]) -> list[Job]:
        replanned = plan.replan(
            reading.needs,
            {job.action: job.needs for job in request.jobs if jobs.has_not_begun(job)},
            lost,
            ours=[job.action for job in request.jobs],
            force=request.force_run_dependencies,
            cancelled=request.cancelled_actions,
            known=self._known(request, reading, before=request.sequence),
            request=request.identifier,
            sha=request.sha or "",
        )
        new = [self._job(request, planned, reading.commands) for planned in replanned.plan.jobs]
        moved = [
            job for job in request.jobs if job.action in replanned.needs and jobs.has_not_begun(job)
        ]
        for job in moved:
            self._waiting.staged(request, job)
            self._waiting.leave(request, job)
            job.needs = list(replanned.needs[job.action])
        request.jobs.extend(new)
        request.notes.extend(replanned.plan.notes)
        return [*moved, *new]

    def take_up(self, request: Request, pending: Sequence[Job]) -> None:
        """Have jobs wait for what they need; what was cancelled meanwhile is planned again."""
        fates = Fates(self._house.rooms, self._book, request)
        self.watch(request, pending)
        self._replanner.without(
            (request, job, need) for job in pending for need in job.needs if fates.lost(need)
        )

    def watch(self, request: Request, pending: Iterable[Job]) -> None:
        fates = Fates(self._house.rooms, self._book, request)
        for job in pending:
            states = {need: fates.of(need) for need in job.needs}
            self._waiting.add(request, job, states)
            if any(not state.final for state in states.values()):
                job.status_code = Code.WAITING_ON_DEPENDENCIES
                job.status_message = "Waiting on dependencies."
