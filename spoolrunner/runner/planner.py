"""The planner: accepted requests become jobs.

A thread reads the commit (reading.py); then, in order of acceptance within each workspace, the
mover's thread plans from what is true at that moment (plan.py, pure). What can't become jobs ends
as one failed job `__error__` with the reason, so that whoever asked is told.
"""

import logging
import math
import shlex
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from spoolrunner import plan
from spoolrunner.errors import Bug, CannotExpand, SpoolrunnerError, TryLater
from spoolrunner.index import ActionState
from spoolrunner.request import (
    ERROR_ACTION,
    Code,
    Job,
    Need,
    Phase,
    Request,
    Status,
    job_identifier,
    reference_of,
)
from spoolrunner.runner import clock, launch
from spoolrunner.runner.book import Stopping
from spoolrunner.runner.house import House
from spoolrunner.runner.reading import Command, Reading
from spoolrunner.runner.waiting import Waiter, Waiting
from spoolrunner.spool import registry
from spoolrunner.workspace import Published

log = logging.getLogger(__name__)

RETRY_S = (5.0, 15.0, 60.0, 300.0)


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

    @property
    def busy(self) -> bool:
        """Is a request being read, planned or retried?"""
        return bool(self._reading or self._readings or self._delayed)

    def due_s(self) -> Iterator[float]:
        """In how many seconds each delayed request is tried again."""
        now_s = time.monotonic()
        return (delayed.due_s - now_s for delayed in self._delayed.values())

    def read(self, request: Request) -> None:
        """Have a thread read the commit; safe to repeat."""
        if request.identifier not in self._reading | self._readings.keys():
            self._reading.add(request.identifier)
            self._house.readers.do(lambda: self._read(request))

    def _read(self, request: Request) -> None:
        """In a thread."""
        try:
            workspace = self._house.workspace(request.workspace.name)
            reading = self._house.reader.read(request, workspace)
        except TryLater as error:
            self._tell(request, partial(self._delay, request, error))
        except CannotExpand as error:
            self._tell(request, partial(self._refuse, request, error))
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody has to be told
            self._tell(request, partial(self._refuse, request, _bug(error)))
        else:
            self._tell(request, lambda: self._readings.update({request.identifier: reading}))

    def _tell(self, request: Request, change: Callable[[], None]) -> None:
        def both() -> None:
            self._reading.discard(request.identifier)
            if request.identifier in self._book.requests:
                change()

        try:
            self._book.tell(both)
        except Stopping:
            return

    def plan_all(self) -> None:
        """Plan every request that has been read, first come first planned in a workspace."""
        now_s = time.monotonic()
        for identifier in [one for one, late in self._delayed.items() if late.due_s <= now_s]:
            self.read(self._book.requests[identifier])
        held: set[str] = set()
        for request in [one for one in self._book.requests.values() if not one.expanded]:
            if request.cancel:
                self._refuse(request, CannotExpand("Cancelled by user.", kind="cancelled_by_user"))
            elif request.identifier not in self._readings:
                held.add(request.workspace.name)
            elif request.workspace.name not in held:
                self._expand(request, self._readings.pop(request.identifier))

    def _expand(self, request: Request, reading: Reading) -> None:
        try:
            self._make_jobs(request, reading)
        except CannotExpand as error:
            self._refuse(request, error)

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
        jobs = [self._job(request, planned, reading.commands) for planned in made.jobs]
        self._check(request, jobs)
        request.sha = reading.sha
        request.notes = list(made.notes)
        request.jobs = jobs or [self._nothing_to_do(request, made.nothing_to_do)]
        self._expanded(request)
        for job in jobs:
            if job.active:
                self.watch(request, job)
        log.info("request=%s planned jobs=%d sha=%s", request.identifier, len(jobs), reading.sha)

    def _expanded(self, request: Request) -> None:
        request.expanded = True
        request.message = ""
        self._delayed.pop(request.identifier, None)
        self._book.changed(request)

    def _check(self, request: Request, jobs: list[Job]) -> None:
        """What can be known to fail is refused before anything runs. Raises CannotExpand."""
        with_database = [job for job in jobs if job.requires_db]
        if not with_database:
            return
        if not request.codelists_ok:
            raise CannotExpand(
                "The study's codelists are out of date, so its database actions may not run.",
                kind="stale_codelists",
                hint="Update the codelists, commit, and ask again.",
            )
        if not self._house.config.dummy_data:
            launch.database_url(self._house.config, request)

    def _job(self, request: Request, planned: plan.Planned, commands: Mapping[str, Command]) -> Job:
        command = commands[planned.action]
        return Job(
            identifier=job_identifier(request.identifier, planned.action),
            sequence=self._book.store.next_sequence(),
            action=planned.action,
            status_message="Created.",
            run_command=shlex.join(command.argv),
            requires_db=command.requires_db,
            needs=list(planned.needs),
            action_repo=command.repo,
            action_commit=command.commit,
            created_at=clock.now(),
            updated_at=clock.now(),
        )

    def _nothing_to_do(self, request: Request, message: str) -> Job:
        """Whoever asked must see an end: one job that has succeeded (reference 4.5)."""
        return self._ended_job(
            request, request.requested_actions[0], Status.SUCCEEDED, Code.SUCCEEDED, message
        )

    def _refuse(self, request: Request, error: SpoolrunnerError) -> None:
        """The request ends as failed; the full story goes to the log, under its reference."""
        code = _code_of(error)
        job = self._ended_job(request, ERROR_ACTION, Status.FAILED, code, error.public)
        job.reference = reference_of(request.identifier, ERROR_ACTION, 1)
        log.warning(
            "request=%s refused error=%s reference=%s: %s %s",
            *(request.identifier, error.kind, job.reference, error.public, error.detail),
        )
        self._readings.pop(request.identifier, None)
        request.jobs = [job]
        self._expanded(request)

    def _ended_job(
        self, request: Request, action: str, status: Status, code: Code, message: str
    ) -> Job:
        now = clock.now()
        return Job(
            identifier=job_identifier(request.identifier, action),
            sequence=self._book.store.next_sequence(),
            action=action,
            status=status,
            status_code=code,
            status_message=message,
            phase=Phase.ENDED,
            created_at=now,
            updated_at=now,
            started_at=now,
            completed_at=now,
        )

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
        index = registry.find(self._house.rooms, name)
        known = {
            action: _known(state, reading.files.get(action))
            for action, state in (index.actions if index else {}).items()
        }
        for other in self._book.requests.values():
            if other.workspace.name != name or other is request or other.sequence >= before:
                continue
            for job in other.jobs:
                if job.active and not job.cancel and job.action in reading.needs:
                    known[job.action] = plan.Known(
                        plan.State(job.status), other.identifier, job.identifier, other.sha or ""
                    )
        return known

    def replan_dependants(self, request: Request, job: Job) -> None:
        """Others that wait for a job which is cancelled now plan its action as their own.

        They stop waiting at once, lest they fail with it; a thread reads their project again.
        """
        waiting: dict[str, list[Waiter]] = {}
        for waiter in self._waiting.dependants(request, job):
            if waiter[0] is not request:
                waiting.setdefault(waiter[0].identifier, []).append(waiter)
                self._waiting.leave(waiter[0], waiter[1])
        for waiters in waiting.values():
            self._reading.add(waiters[0][0].identifier)
            self._house.readers.do(partial(self._read_again, waiters, job))

    def _read_again(self, waiters: list[Waiter], lost: Job) -> None:
        """In a thread."""
        request = waiters[0][0]
        try:
            workspace = self._house.workspace(request.workspace.name)
            reading = self._house.reader.read(request, workspace)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody has to be told
            log.warning("request=%s can't be planned again: %r", request.identifier, error)
            self._tell(request, lambda: self._waiting.failed.extend(waiters))
        else:
            self._tell(request, lambda: self._replan(request, reading, lost))

    def _replan(self, request: Request, reading: Reading, lost: Job) -> None:
        known = self._known(request, reading, before=request.sequence)
        replanned = plan.replan(
            reading.needs,
            {job.action: job.needs for job in request.jobs if _has_not_begun(job)},
            [lost.identifier],
            ours=[job.action for job in request.jobs],
            force=request.force_run_dependencies,
            cancelled=request.cancelled_actions,
            known=known,
            request=request.identifier,
            sha=request.sha or "",
        )
        new = [self._job(request, planned, reading.commands) for planned in replanned.plan.jobs]
        request.jobs.extend(new)
        request.notes.extend(replanned.plan.notes)
        for job in [*request.jobs]:
            if job.action in replanned.needs and _has_not_begun(job):
                self._waiting.staged(request, job)
                self._waiting.leave(request, job)
                job.needs = list(replanned.needs[job.action])
                self.watch(request, job)
        for job in new:
            self.watch(request, job)
        self._book.changed(request)

    def watch(self, request: Request, job: Job) -> None:
        """Have a job wait for what it needs."""
        states = {need: self._state_of(request, need) for need in job.needs}
        self._waiting.add(request, job, states)
        if any(not state.final for state in states.values()):
            job.status_code = Code.WAITING_ON_DEPENDENCIES
            job.status_message = "Waiting on dependencies."

    def _state_of(self, request: Request, need: Need) -> Status:
        """What became of the very job whose outputs are wanted. Gone without trace is failed."""
        owner = self._book.requests.get(need.request)
        if owner is not None and (job := owner.job(need.job)) is not None:
            return job.status
        index = registry.find(self._house.rooms, request.workspace.name)
        state = index.actions.get(need.action) if index else None
        published = state.published if state else None
        return Status.SUCCEEDED if published and published.job == need.job else Status.FAILED


def _known(state: ActionState, found: Published | None) -> plan.Known:
    """What the index says of an action; unread files count as intact until they are staged."""
    newest = state.newest
    succeeded = newest.status is Status.SUCCEEDED
    return plan.Known(
        plan.State.SUCCEEDED if succeeded else plan.State.FAILED,
        newest.request,
        newest.job,
        newest.sha,
        plan.Files(found or Published.INTACT),
    )


def _bug(error: Exception) -> SpoolrunnerError:
    if isinstance(error, SpoolrunnerError):
        return error
    return Bug(
        "Internal error: this is not the study's fault; the operators have been told.",
        detail="".join(traceback.format_exception(error)),
    )


def _has_not_begun(job: Job) -> bool:
    return job.status is Status.PENDING and job.phase is Phase.WAITING


def _code_of(error: SpoolrunnerError) -> Code:
    if error.kind in (Code.STALE_CODELISTS, Code.CANCELLED_BY_USER):
        return Code(error.kind)
    return Code.JOB_ERROR if isinstance(error, CannotExpand) else Code.INTERNAL_ERROR
