"""The loop: the jobs of one run, each started when what it needs is there and a place is free.

One thread runs it and alone changes what is known here; lines and whoever interrupts send it
messages. The first failure ends the run, as with `opensafely run`, unless that was declined.
"""

import queue
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from spoolrunner.localrun import ending
from spoolrunner.localrun.house import StudyHouse, StudyLine
from spoolrunner.localrun.told import ActionRun, Options, State, Unwatched, Watcher
from spoolrunner.request import Code, Job, Need, Request, Status
from spoolrunner.runner import clock, jobs
from spoolrunner.runner.crew import Crew
from spoolrunner.runner.line import Line
from spoolrunner.runner.waiting import Waiting

STOPPERS = 8
USUAL = (Code.PREPARING, Code.EXECUTING, Code.FINALIZING)
PATIENCE = 3  # interrupted so often: do not wait any longer


class Loop:
    """runs: action -> what is to be told of it now."""

    def __init__(
        self, house: StudyHouse, request: Request, options: Options, watcher: Watcher
    ) -> None:
        self.runs = {
            job.action: ActionRun(action=job.action, state=State.WAITING) for job in request.jobs
        }
        self.interrupts = 0
        self._house = house
        self._request = request
        self._options = options
        self._watcher = watcher
        self._waiting = Waiting()
        self._lines: dict[str, Line] = {}
        self._settled: set[str] = set()
        self._why_not = ""
        self._stoppers = Crew("stopper", STOPPERS)
        self._messages: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        house.book.changed = self._noted
        house.headways.changed = self._got_further

    def run(self) -> None:
        """Until nothing runs any more and nothing can be started."""
        own = {job.identifier for job in self._request.jobs}
        for job in self._request.jobs:
            states = {need: _state(need, own) for need in job.needs}
            self._waiting.add(self._request, job, states)
        try:
            self._go()
        except BaseException:
            self._watcher = Unwatched()  # it may be the one who failed
            self._stop_all("because the run broke off")
            self._see_out()
            raise
        if not self._lines:
            self._house.tidy()
        for job in self._request.jobs:
            if not self.runs[job.action].state.final:
                self._not_run(job, self._why_not)

    def interrupt(self) -> None:
        """Stop all; again: without grace; and again: do not even wait. From any thread."""
        self._messages.put(self._interrupted)

    def _go(self) -> None:
        self._start_ready()
        while self._lines and self.interrupts < PATIENCE:
            self._messages.get()()
            self._start_ready()

    def _see_out(self) -> None:
        while self._lines and self.interrupts < PATIENCE:
            self._messages.get()()

    def _start_ready(self) -> None:
        if self._why_not:
            return
        self._skip_failed()
        ready = sorted((job for _, job in self._waiting.ready.values()), key=_sequence)
        for job in ready[: max(0, self._options.concurrency - len(self._lines))]:
            self._waiting.started(self._request, job)
            line = StudyLine(self._house, self._request, job, self._line_settles, self._line_ends)
            self._lines[job.identifier] = line
            line.begin()

    def _skip_failed(self) -> None:
        """What needs something that failed counts as failed itself: it is run again next time."""
        unrun = {}
        while self._waiting.failed:
            request, job, need = self._waiting.failed.pop()
            if not job.active:
                continue
            job.status, job.status_code = Status.FAILED, Code.DEPENDENCY_FAILED
            job.completed_at = clock.now()
            unrun[job.action] = jobs.run_of(request, job)
            self._not_run(job, f"because it needs {need.action!r}, which failed")
            self._waiting.ended(request, job)
        if unrun:
            self._house.workspace().note(unrun)

    def _not_run(self, job: Job, why: str) -> None:
        self._tell(replace(self.runs[job.action], state=State.NOT_RUN, message=why))

    # messages, from the lines' threads

    def _noted(self, job: Job) -> None:
        if job.active:
            self._messages.put(partial(self._goes_on, job))

    def _got_further(self, job: Job) -> None:
        self._messages.put(partial(self._lasts, job, self._house.headways.words[job.identifier]))

    def _line_settles(self, line: Line) -> None:
        """It has ended, and its folder is still there."""
        self._messages.put(partial(self._settle, line.job, ending.told(self._house, line)))

    def _line_ends(self, line: Line) -> None:
        self._messages.put(partial(self._gone, line))

    # what becomes of them, in the loop's thread

    def _goes_on(self, job: Job) -> None:
        now = self.runs[job.action]
        if now.state.final:
            return
        # Usual words come with a usual step; the same step again brings a word of trouble.
        usual = job.status_code in USUAL and job.status_code is not now.code
        self._tell(
            replace(
                now,
                state=State.RUNNING,
                message="" if usual else job.status_message,
                headway="",
                code=job.status_code,
                started_s=job.started_monotonic_s,
            )
        )

    def _lasts(self, job: Job, words: str) -> None:
        if not self.runs[job.action].state.final:
            self._tell(replace(self.runs[job.action], headway=words))

    def _settle(self, job: Job, run: ActionRun) -> None:
        if job.identifier in self._settled:
            return  # told again by a line that could not clear away at once
        self._settled.add(job.identifier)
        if run.state in (State.STOPPED, State.NOT_RUN):
            run = replace(run, message=self._why_not)
        self._tell(run)
        if run.state is State.FAILED and not self._options.continue_on_error:
            self._stop_all(f"because {job.action!r} failed")
        else:
            self._waiting.ended(self._request, job)

    def _gone(self, line: Line) -> None:
        if line.job.identifier not in self._settled:
            self._settle(line.job, ending.told(self._house, line))
        del self._lines[line.job.identifier]

    def _interrupted(self) -> None:
        self.interrupts += 1
        self._watcher.stopping(again=self.interrupts > 1)
        if self.interrupts > 1:
            self._house.config = replace(self._house.config, stop_grace_s=0)
        self._stop_all("because the run was interrupted")

    def _stop_all(self, why: str) -> None:
        self._why_not = self._why_not or why
        for line in self._lines.values():
            line.job.cancel = "user"
            self._stoppers.do(line.stop)

    def _tell(self, run: ActionRun) -> None:
        if run != self.runs[run.action]:
            self.runs[run.action] = run
            self._watcher.changed(run)


def _state(need: Need, own: set[str]) -> Status:
    return Status.PENDING if need.job in own else Status.SUCCEEDED


def _sequence(job: Job) -> int:
    return job.sequence
