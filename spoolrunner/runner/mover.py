"""The mover: the one thread that moves request files, and the loop it walks.

    hear what threads told -> take the inbox -> carry out orders -> plan what was read
      -> fail what can't run -> start what may -> flush once -> move what has ended

then it waits for a wake-up, or for the nearest time at which something is due. Killed anywhere, the
next mover loads running/ and walks on.
"""

import logging
import time

from spoolrunner import plan
from spoolrunner.errors import BadRequest
from spoolrunner.request import Code, Job, Need, Phase, Request, Status
from spoolrunner.runner import clock
from spoolrunner.runner.house import House
from spoolrunner.runner.intake import Intake, cancels
from spoolrunner.runner.line import Line
from spoolrunner.runner.planner import Planner
from spoolrunner.runner.sweep import sweep
from spoolrunner.runner.waiting import Waiting
from spoolrunner.spool import claims, orders
from spoolrunner.spool.inbox import Found, Inbox, Patience, Why

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 10.0  # events get lost
SETTLING = (Why.WRITTEN, Why.FRESH)


class Mover:
    """One mover for each spool; whoever makes one holds `.locks/mover`."""

    def __init__(self, house: House, patience: Patience | None = None) -> None:
        self._house = house
        self._book = house.book
        self._waiting = Waiting()
        inbox = Inbox(house.rooms.inbox, house.config.backend, patience or Patience())
        self._intake = Intake(house.rooms, house.book, house.config.backend, inbox)
        self._planner = Planner(house, self._waiting)
        self._left: list[Found] = []
        self._lines: dict[str, Line] = {}
        self._first_since_s: dict[str, float] = {}
        self._stop = False

    def run(self, *, drain: bool) -> None:
        """Until told to stop; with drain, until nothing can be done any more."""
        self._load()
        while not self._stop:
            self._house.watch()
            self._round()
            if drain and self._idle():
                break
            self._house.wake.wait(self._next_due_s())
        self._book.stop()

    def stop(self) -> None:
        """Stop soon; containers go on, the next runner takes them over. From any thread."""
        self._stop = True
        self._house.wake.set()

    def _load(self) -> None:
        requests, unreadable = self._book.store.load()
        for path, reason in unreadable:
            error = BadRequest(reason, kind="unreadable_record")
            claims.reject(self._house.rooms, path, path.name, error, clock.now())
            log.error("set aside %s: %s", path, reason)
        for request in requests:
            self._book.add(request)
        for request in requests:
            self._take_up(request)
            log.info("request=%s taken up", request.identifier)
        self._house.stoppers.do(lambda: sweep(self._house))

    def _take_up(self, request: Request) -> None:
        """A request as it was accepted, or as an earlier runner left it."""
        for job in request.jobs:
            if job.status is Status.RUNNING:
                self._planner.watch(request, job)
                self._start_line(request, job)
            elif job.status is Status.PENDING:
                self._planner.watch(request, job)
        if not request.expanded:
            self._planner.read(request)

    def _round(self) -> None:
        self._book.hear()
        if self._house.disk_is_free():
            taken = self._intake.take()
            self._left = taken.left
            for request in taken.new:
                self._take_up(request)
            for request in taken.grown:
                self._cancel(request)
        self._carry_out_orders()
        self._planner.plan_all()
        self._settle_ends()
        self._start_ready()
        self._save()

    def _carry_out_orders(self) -> None:
        given = orders.orders(self._house.rooms)
        for order in given:
            request = self._book.find(order.identifier)
            if request is None:
                continue
            if not order.action:
                request.cancel = order.by
            for job in orders.meant(order, request):
                self._stop_job(request, job, order.by)
            self._book.changed(request)
        if given:
            self._save()
            orders.done(given)

    def _cancel(self, request: Request) -> None:
        for job in request.jobs:
            if job.active and cancels(request, job.action):
                self._stop_job(request, job, "user")

    def _stop_job(self, request: Request, job: Job, by: str) -> None:
        """A waiting job ends at once; a running one is stopped by its line."""
        job.cancel = job.cancel or by
        self._planner.replan_dependants(request, job)
        line = self._lines.get(job.identifier)
        if line is None:
            code, message = CANCELLED[by]
            self._end(request, job, Status.FAILED, code, message)
            return
        self._book.change(request, job, status_message="Asked to stop.")
        self._house.stoppers.do(line.stop)

    def _end(self, request: Request, job: Job, status: Status, code: Code, message: str) -> None:
        self._book.change(
            request,
            job,
            status=status,
            status_code=code,
            status_message=message,
            phase=Phase.ENDED,
        )

    def _settle_ends(self) -> None:
        """Tell those who waited for what has ended, until nothing more follows from it."""
        while self._book.ended or self._waiting.failed:
            ended, self._book.ended = self._book.ended, []
            for request, job in ended:
                if self._still_publishes(job):
                    continue  # whoever needs it would find its outputs half in place
                log.info(
                    "request=%s job=%s action=%s status=%s code=%s",
                    *(request.identifier, job.identifier, job.action),
                    *(job.status, job.status_code),
                )
                self._waiting.staged(request, job)
                self._waiting.ended(request, job)
            failed, self._waiting.failed = self._waiting.failed, []
            for request, job, need in failed:
                self._fail_dependant(request, job, need)

    def _still_publishes(self, job: Job) -> bool:
        line = self._lines.get(job.identifier)
        return line is not None and not line.settled

    def _fail_dependant(self, request: Request, job: Job, need: Need) -> None:
        if not job.active or job.identifier in self._lines:
            return
        message = f"Not started, because the action {need.action!r} it needs failed."
        self._end(request, job, Status.FAILED, Code.DEPENDENCY_FAILED, message)
        self._house.stoppers.do(lambda: self._house.remember_unrun(request, job))

    def _start_ready(self) -> None:
        held = self._house.held_back()
        running = {(line.request.workspace.name, line.job.action) for line in self._lines.values()}
        candidates = []
        for request, job in list(self._waiting.ready.values()):
            if cancels(request, job.action):
                self._stop_job(request, job, "user")
            elif held:
                self._hold(request, job, *held)
            elif (request.workspace.name, job.action) in running or self._house.is_held(job):
                continue
            elif not self._waiting.replaces_unread(request, job):
                candidates.append((request, job))
        self._settle_ends()
        self._choose([pair for pair in candidates if pair[1].active])

    def _choose(self, candidates: list[tuple[Request, Job]]) -> None:
        if not candidates:
            return
        jobs = {job.identifier: (request, job) for request, job in candidates}
        chosen = plan.choose(
            [self._candidate(request, job) for request, job in candidates],
            self._load_now(),
            max_workers=self._house.config.max_workers,
            max_db_workers=self._house.config.max_db_workers,
        )
        for identifier in chosen.start:
            self._start(*jobs[identifier])
        for identifier, code in chosen.wait.items():
            self._hold(*jobs[identifier], code, WAITING_MESSAGES[code])
        for identifier in chosen.never:
            message = "It needs more workers than this server has."
            self._end(*jobs[identifier], Status.FAILED, Code.JOB_ERROR, message)
        since_s = {
            job: self._first_since_s.get(job, time.monotonic()) for job in chosen.first.values()
        }
        self._first_since_s = since_s

    def _candidate(self, request: Request, job: Job) -> plan.Candidate:
        since_s = self._first_since_s.get(job.identifier)
        return plan.Candidate(
            job=job.identifier,
            workspace=request.workspace.name,
            sequence=job.sequence,
            needs_db=job.requires_db,
            first_waited_s=0 if since_s is None else time.monotonic() - since_s,
        )

    def _load_now(self) -> plan.Load:
        return plan.load_of(
            self._candidate(line.request, line.job)
            for line in self._lines.values()
            if line.executing
        )

    def _hold(self, request: Request, job: Job, code: Code, message: str) -> None:
        if job.status_code != code:
            self._book.change(request, job, status_code=code, status_message=message)

    def _start(self, request: Request, job: Job) -> None:
        self._waiting.started(request, job)
        self._book.change(
            request,
            job,
            status=Status.RUNNING,
            status_code=Code.PREPARING,
            status_message="Getting the files ready.",
        )
        self._start_line(request, job)

    def _start_line(self, request: Request, job: Job) -> None:
        line = Line(self._house, request, job, self._settled, self._line_ended)
        self._lines[job.identifier] = line
        line.begin()

    def _settled(self, line: Line) -> None:
        """From the line's thread: the job has ended and its outputs may be read."""

        def change() -> None:
            line.settled = True
            self._book.ended.append((line.request, line.job))

        self._book.tell(change)

    def _line_ended(self, line: Line) -> None:
        """From the line's thread, as its last deed."""

        def change() -> None:
            self._lines.pop(line.job.identifier, None)
            if line.job.active:
                self._waiting.back(line.request, line.job)
            elif not line.settled:
                self._book.ended.append((line.request, line.job))

        self._book.tell(change)

    def _save(self) -> None:
        for request in self._book.save():
            self._withdrawn(request)
        finished = self._finished()
        if not finished:
            return
        self._book.store.finish(finished)
        for request in finished:
            self._book.drop(request)
            log.info("request=%s finished status=%s", request.identifier, request.status)

    def _finished(self) -> list[Request]:
        busy = {line.request.identifier for line in self._lines.values()}
        return [one for one in self._book.finished() if one.identifier not in busy]

    def _withdrawn(self, request: Request) -> None:
        """A person moved or changed its file: its jobs are stopped, and that is said."""
        log.warning("request=%s was moved or changed by hand: withdrawn", request.identifier)
        for job in request.jobs:
            if job.active:
                self._stop_job(request, job, "admin")
        self._book.store.forget(request)
        self._book.drop(request)

    def _idle(self) -> bool:
        """Nothing runs, nothing is being read, and nothing that lies here could start by itself."""
        settling = any(one.wait in SETTLING for one in self._left)
        could_start = any(not self._is_stuck(job) for _, job in self._waiting.ready.values())
        return not (self._lines or self._planner.busy or settling or could_start)

    def _is_stuck(self, job: Job) -> bool:
        return self._house.held_back() is not None or self._house.is_held(job)

    def _next_due_s(self) -> float:
        again = [one.again_s for one in self._left if one.again_s is not None]
        due = [LONGEST_WAIT_S, *again, *self._house.holds_due_s(), *self._planner.due_s()]
        return max(0.05, min(due))


CANCELLED: dict[str, tuple[Code, str]] = {
    "user": (Code.CANCELLED_BY_USER, "Cancelled by user."),
    "admin": (Code.KILLED_BY_ADMIN, "An operator killed the job."),
}

WAITING_MESSAGES: dict[Code, str] = {
    Code.WAITING_ON_WORKERS: "Waiting on available workers.",
    Code.WAITING_ON_DB_WORKERS: "Waiting on available database workers.",
    Code.WAITING_ON_DEPENDENCIES: "Waiting on dependencies.",
}
