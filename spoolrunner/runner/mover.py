"""The mover: the one thread that moves request files, and the loop it walks.

    hear what threads told -> take the inbox -> carry out orders -> plan what was read
      -> fail what can't run -> start what may -> flush once -> move what has ended

then it waits for a wake-up, or for the nearest time at which something is due. Killed anywhere, the
next mover loads running/ and walks on.
"""

import logging
from pathlib import Path

from spoolrunner.errors import BadRequest
from spoolrunner.request import Code, Job, Need, Phase, Request, Status
from spoolrunner.runner import clock, holds, jobs
from spoolrunner.runner.folding import Folding
from spoolrunner.runner.house import House
from spoolrunner.runner.intake import Intake
from spoolrunner.runner.lines import Lines
from spoolrunner.runner.planner import Planner
from spoolrunner.runner.sweep import Sweep
from spoolrunner.runner.turns import Turns
from spoolrunner.runner.unrun import Unrun
from spoolrunner.runner.waiting import Waiting
from spoolrunner.spool import claims, flags, orders
from spoolrunner.spool.flags import Flags
from spoolrunner.spool.inbox import Found, Inbox, Patience, Why
from spoolrunner.spool.requests import CHANGED_BY_HAND

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 10.0  # events get lost
LOOK_S = 5.0  # for request files that a person took away
TROUBLE_S = 5.0
NOT_CLEARED = "Waiting until what an earlier runner may have left is cleared away."
SETTLING = (Why.WRITTEN, Why.FRESH)


class Mover:
    """One mover for each spool; whoever makes one holds `.locks/mover`."""

    def __init__(self, house: House, patience: Patience | None = None) -> None:
        self._house = house
        self._book = house.book
        self._waiting = Waiting()
        self._folding = Folding(house)
        self._lines = Lines(house, self._waiting, self._folding)
        inbox = Inbox(house.rooms.inbox, house.config.backend, patience or Patience())
        self._intake = Intake(
            house.rooms, house.book, house.config.backend, inbox, self._lines.requests
        )
        self._planner = Planner(house, self._waiting)
        self._turns = Turns(house, self._waiting)
        self._left: list[Found] = []
        self._unrun = Unrun(house)
        self._sweep = Sweep(house)
        self._looked_s = clock.monotonic_s()
        self._touched: list[Request] = []
        self._stop = False

    def run(self, *, drain: bool) -> None:
        """Until told to stop; with drain, until nothing can be done any more.

        A full or absent disk is waited for: what could not be written is still to be written, and
        whoever waits for that goes on waiting. With drain, cron starts the next one.
        """
        self._load()
        while not self._stop:
            self._house.watch()
            try:
                self._round()
            except OSError as error:
                if drain:
                    raise
                log.error("the disk fails, tried again in %g s: %s", TROUBLE_S, error)
                self._house.heart.beat(len(self._left))
                self._house.wake.wait(TROUBLE_S)
                continue
            self._house.heart.beat(len(self._left))
            self._sweep.begin()
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
            self._set_aside(path, BadRequest(reason, kind="unreadable_record"))
        self._sweep.expect(requests)
        for request in requests:
            self._book.add(request)
        for request in requests:
            self._take_up(request)
            log.info("request=%s taken up", request.identifier)

    def _set_aside(self, path: Path, error: BadRequest) -> None:
        claims.reject(self._house.rooms, path, path.name, error, clock.now())
        log.error("set aside %s: %s", path, error.message)

    def _take_up(self, request: Request) -> None:
        """A request as it was accepted, or as an earlier runner left it."""
        running = [job for job in request.jobs if job.status is Status.RUNNING]
        self._planner.watch(request, running)
        for job in running:
            self._waiting.started(request, job)
            self._lines.begin(request, job)
        self._planner.take_up(
            request, [job for job in request.jobs if job.status is Status.PENDING]
        )
        self._unrun.take_up(request)
        self._folding.take_up(request)
        self._cancel(request)
        if not request.expanded:
            self._planner.read(request)
        elif self._house.config.reports != "none":
            self._book.changed(request)  # whatever was told of it before, it is told anew

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
        for request in self._planner.plan_all():
            self._cancel(request)
        for request, job in self._turns.queue_up():
            if job.cancel:
                self._stop_job(request, job, job.cancel)
        now = flags.flags(self._house.rooms)
        holds.interrupt(self._house, now, self._lines.all(), self._save)
        self._settle_ends()
        for request, job in self._next(now):
            self._start(request, job)
        self._settle_ends()
        self._unrun.remember()
        self._save()

    def _carry_out_orders(self) -> None:
        if orders.was_poked(self._house.rooms):
            self._house.end_holds()
        given = orders.orders(self._house.rooms)
        for order in given:
            request = self._book.find(order.identifier)
            if request is None:
                continue
            if not order.action:
                request.cancel = order.by
            elif not request.expanded:
                request.cancelled_actions.append(order.action)
            for job in orders.meant(order, request):
                self._stop_job(request, job, order.by)
            self._book.changed(request)
        if given:
            self._save()
            orders.done(given)

    def _cancel(self, request: Request) -> None:
        for job in request.jobs:
            if job.active and jobs.cancels(request, job.action):
                self._stop_job(request, job, request.cancel or "user")

    def _stop_job(self, request: Request, job: Job, by: str) -> None:
        """A waiting job ends at once; a running one is stopped by its line."""
        job.cancel = job.cancel or by
        self._planner.replan_dependants(request, job)
        line = self._lines.of(job)
        if line is None:
            code, message = jobs.CANCELLED[by]
            self._end(request, job, Status.FAILED, code, message)
            return
        self._book.change(request, job, status_message="Asked to stop.")
        self._house.stoppers.do(line.stop)

    def _end(self, request: Request, job: Job, status: Status, code: Code, message: str) -> None:
        said = {"status_code": code, "status_message": message}
        self._book.change(request, job, status=status, phase=Phase.ENDED, **said)

    def _settle_ends(self) -> None:
        """Tell those who waited for what has ended, until nothing more follows from it."""
        while self._book.ended or self._waiting.failed:
            ended, self._book.ended = self._book.ended, []
            for request, job in ended:
                if self._lines.still_publishes(job):
                    continue
                log.info(
                    "request=%s job=%s workspace=%s action=%s status=%s code=%s",
                    *(request.identifier, job.identifier, request.workspace.name, job.action),
                    *(job.status, job.status_code),
                )
                self._waiting.staged(request, job)
                self._waiting.ended(request, job)
            failed, self._waiting.failed = self._waiting.failed, []
            for request, job, need in failed:
                self._fail_dependant(request, job, need)

    def _fail_dependant(self, request: Request, job: Job, need: Need) -> None:
        if not job.active or self._lines.of(job):
            return
        message = f"Not started, because the action {need.action!r} it needs failed."
        self._end(request, job, Status.FAILED, Code.DEPENDENCY_FAILED, message)
        self._unrun.add(request, job)

    def _next(self, now: Flags) -> list[tuple[Request, Job]]:
        if self._sweep.all_counted:
            return self._turns.take(now, self._lines.all())
        if why := self._sweep.stuck:
            self._turns.hold(Code.WAITING_ON_NEW_TASK, f"{NOT_CLEARED} {why}")
        return []

    def _start(self, request: Request, job: Job) -> None:
        self._waiting.started(request, job)
        self._book.change(request, job, **jobs.taken())
        self._lines.begin(request, job)

    def _save(self) -> None:
        self._touched += self._book.save()
        self._touched += [one for one in self._missed() if one not in self._touched]
        while self._touched:  # kept, should the disk fail: nobody may go on before that
            self._withdrawn(self._touched[0])
            self._touched.pop(0)
        self._book.release()
        self._folding.fold(self._lines.requests())
        finished = self._finished()
        if not finished:
            return
        try:
            self._book.store.finish(finished)
        finally:
            for request in finished:
                if self._book.store.is_gone(request):
                    self._drop(request)
                    log.info("request=%s finished status=%s", request.identifier, request.status)

    def _missed(self) -> list[Request]:
        """Those of which nothing was to be written are looked for now and then."""
        if clock.monotonic_s() - self._looked_s < LOOK_S:
            return []
        self._looked_s = clock.monotonic_s()
        return self._book.missing()

    def _finished(self) -> list[Request]:
        busy = {request.identifier for request in self._lines.requests()}
        busy |= self._unrun.requests() | self._folding.requests()
        finished = [one for one in self._book.finished() if one.identifier not in busy]
        for request in [one for one in finished if self._book.store.is_gone(one)]:
            self._withdrawn(request)
            finished.remove(request)
        return finished

    def _withdrawn(self, request: Request) -> None:
        """A person took its file away or changed it: its jobs are stopped, and that is said."""
        self._book.withdrawn(request)
        for job in request.jobs:
            if job.active:
                self._stop_job(request, job, "admin")
        if not self._book.store.is_gone(request):
            for path in self._book.store.paths(request):
                self._set_aside(path, CHANGED_BY_HAND)
        self._book.store.forget(request)
        self._drop(request)

    def _drop(self, request: Request) -> None:
        self._book.drop(request)
        self._planner.forget(request)

    def _idle(self) -> bool:
        """Nothing runs, nothing is being read, and nothing that lies here could start by itself."""
        settling = any(one.wait in SETTLING for one in self._left)
        jobs = self._lines.all() or self._book.ended or self._unrun.requests() or self._folding.busy
        threads = self._planner.busy or self._sweep.busy
        could_start = not self._sweep.stuck and self._turns.could_start()
        return not (jobs or threads or settling or could_start)

    def _next_due_s(self) -> float:
        again = (one.again_s for one in self._left if one.again_s is not None)
        held = [*self._house.holds_due_s(), *self._planner.due_s(), *self._folding.due_s()]
        return max(0.05, min([LONGEST_WAIT_S, *again, *held, self._house.heart.due_s()]))
