"""The job line: one job from start to end, a straight line that can be walked again from any point.

    lay out -> note `starting` -> executor.start -> note `started` -> wait
      -> collect: write outcome.json before the first file moves; never collected twice
      -> publish -> note the end -> clear the container

What has been done is on disk, so after a kill -9 the same line is walked again and each stretch
finds itself done. There is no recovery mode. Runs in a thread of its own.
"""

import errno
import logging
import threading
import time
import traceback
from collections.abc import Callable

from spoolrunner.errors import BadInput, Refused, SpoolrunnerError, TryLater
from spoolrunner.executor import Absent, Executor, Exit, Look, Running
from spoolrunner.request import Code, Job, Outcome, Phase, Request, Status, reference_of
from spoolrunner.runner import clock, launch
from spoolrunner.runner.book import Stopping
from spoolrunner.runner.house import House
from spoolrunner.runner.results import End, Results
from spoolrunner.verdict import Cause

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 60.0
RETRY_S = (1.0, 5.0, 15.0, 60.0)
HOLD_S = 10.0
MOST_TRIES = 5
FULL = (errno.ENOSPC, errno.EDQUOT)


class Line:
    """One running job. settled: it has ended and what it published may be read; the mover's.

    settle, ended: told from the line's thread, the latter as its last deed.
    """

    def __init__(
        self,
        house: House,
        request: Request,
        job: Job,
        settle: Callable[["Line"], None],
        ended: Callable[["Line"], None],
    ) -> None:
        self.request = request
        self.job = job
        self._house = house
        self.settled = False
        self._settle = settle
        self._ended = ended
        self._results = Results(house, request, job)

    @property
    def executing(self) -> bool:
        return self.job.phase in (Phase.WAITING, Phase.STARTING, Phase.STARTED)

    @property
    def name(self) -> str:
        """The container's name: the same for whoever restarts."""
        return self._name_of(self.job.attempt)

    def begin(self) -> None:
        name = f"job-{self.job.identifier}"
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def stop(self) -> None:
        """Its cancel flag is set: end the container, if there is one. From another thread."""
        if self.job.phase in (Phase.STARTING, Phase.STARTED):
            self._executor.stop(self.name, self._house.config.stop_grace_s)

    @property
    def _executor(self) -> Executor:
        return self._house.executor(self.job.executor or self._house.executor_name)

    def _run(self) -> None:
        try:
            self._walk_patiently()
            self._ended(self)
        except Stopping:
            return

    def _walk_patiently(self) -> None:
        """Walk; what may work in a while is tried again, what is our bug fails the job."""
        tries = 0
        while True:
            try:
                return self._walk()
            except (TryLater, OSError) as error:
                if tries >= MOST_TRIES and not _may_pass(error):
                    return self._fail(error)
                wait_s = RETRY_S[min(tries, len(RETRY_S) - 1)]
                self._complain(error, wait_s)
                time.sleep(wait_s)
                tries += 1
            except Stopping:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the job has to end
                return self._fail(error)

    def _walk(self) -> None:
        outcome = self._results.stored(self.name) or self._execute()
        if outcome is None:
            return
        self._note(
            phase=Phase.PUBLISHING,
            status_code=Code.FINALIZING,
            status_message="Publishing its outputs.",
        )
        self._results.publish(self.name, outcome)
        self._note_end(outcome)
        self._results.finish()
        self._settle(self)  # who waits for its outputs need not wait until all is cleared away
        self._results.clear(self.name)
        self._executor.clear(self.name)

    def _execute(self) -> Outcome | None:
        """Attempts until one has an end. None: nothing can be started now, it waits again."""
        while True:
            try:
                if self.job.phase is Phase.WAITING and not self._get_ready():
                    return None
                end = self._see_through()
            except (Refused, BadInput) as error:
                if error.kind == "no_image":
                    self._wait_for_image()
                    return None
                return self._results.refused(self.name, error)
            if end is not None:
                return self._results.collect(self.name, self._executor, end)
            if self.job.attempt - self.job.not_counted >= self._house.config.max_attempts:
                return self._results.given_up(self.name)
            self._again(Code.WAITING_ON_NEW_TASK, "It was lost and is started again.")

    def _get_ready(self) -> bool:
        """Lay out the next attempt and note that it starts. False: not now."""
        if self.job.cancel:
            self._note_end(self._results.cancelled())
            return False
        executor = self._house.executor(self._house.executor_name)
        if not executor.image_id(launch.image_of(self._house.config, self.job)):
            self._wait_for_image()
            return False
        attempt = self.job.attempt + 1
        self._results.lay_out(self._name_of(attempt))
        self._note(
            phase=Phase.STARTING,
            attempt=attempt,
            executor=self._house.executor_name,
            boot_id=clock.boot_id(),
            started_monotonic_s=clock.monotonic_s(),
            status_code=Code.PREPARING,
            status_message="Starting.",
        )
        return True

    def _see_through(self) -> End | None:
        """Start the attempt unless that has been done, and wait for its end. None: it is lost."""
        look = self._executor.look(self.name)
        if isinstance(look, Absent):
            if self.job.phase is Phase.STARTED:
                return None
            self._results.lay_out(self.name)
            self._executor.start(self._results.launch(self.name))
            look = self._executor.look(self.name)
        self._note_started(look)
        if self.job.cancel:
            self.stop()  # it was set while nothing could be stopped yet
        return self._wait()

    def _wait(self) -> End | None:
        timed_out = False
        while isinstance(look := self._executor.look(self.name), Running):
            left_s = self._time_left_s()
            if left_s <= 0:
                self._executor.stop(self.name, self._house.config.stop_grace_s)
                timed_out = True
            else:
                self._executor.wait(self.name, min(left_s, LOOK_AGAIN_S))
        if isinstance(look, Absent) or self._ended_by_reboot(look):
            return None
        return End(look, self._cause(look, timed_out=timed_out))

    def _time_left_s(self) -> float:
        """Of JOB_TIMEOUT. By the monotonic clock, which starts anew with the machine."""
        limit_s = self._house.config.job_timeout_s
        if not limit_s or self.job.boot_id != clock.boot_id():
            return limit_s or LOOK_AGAIN_S
        return limit_s - (clock.monotonic_s() - (self.job.started_monotonic_s or 0))

    def _ended_by_reboot(self, look: Exit) -> bool:
        """Whatever its exit code: a machine that goes down kills in many ways."""
        rebooted = self.job.boot_id != clock.boot_id()
        if rebooted and look.status != 0 and not self.job.cancel:
            self.job.not_counted += 1
            return True
        return False

    def _cause(self, look: Exit, *, timed_out: bool) -> Cause:
        if self.job.cancel:
            return Cause(self.job.cancel)
        if timed_out:
            return Cause.TIME
        return Cause.MEMORY if look.reason == Cause.MEMORY else Cause.OWN

    def _wait_for_image(self) -> None:
        image = launch.image_of(self._house.config, self.job)
        if clock.age_s(self.job.created_at) > self._house.config.image_wait_s:
            return self._note_end(self._results.no_image(image))
        self._house.hold(self.job, HOLD_S)
        self._again(Code.WAITING_ON_IMAGE, f"Waiting for the image {image} to be loaded.")
        return None

    def _again(self, code: Code, message: str) -> None:
        """Back to where it waits for its turn."""
        if self.job.phase is Phase.STARTING:
            self._executor.clear(self.name)
        self._note(
            status=Status.PENDING if code is Code.WAITING_ON_IMAGE else Status.RUNNING,
            phase=Phase.WAITING,
            status_code=code,
            status_message=message,
            started_at=None,
        )

    def _note_started(self, look: Look) -> None:
        if self.job.phase is Phase.STARTED:
            return
        self._note(
            phase=Phase.STARTED,
            started_at=look.started_at if isinstance(look, Running | Exit) else clock.now(),
            image_id=look.image_id if isinstance(look, Running | Exit) else None,
            status_code=Code.EXECUTING,
            status_message="Running.",
        )

    def _note_end(self, outcome: Outcome) -> None:
        self._note(
            phase=Phase.ENDED,
            status=outcome.status,
            status_code=outcome.status_code,
            status_message=outcome.status_message,
            exit_code=outcome.exit_code,
            image_id=outcome.image_id or self.job.image_id,
            started_at=outcome.started_at or self.job.started_at,
            completed_at=outcome.completed_at,
            outputs=outcome.outputs,
            unmatched_patterns=outcome.unmatched_patterns,
            reference=outcome.reference,
        )

    def _note(self, **fields: object) -> None:
        self._house.book.note(self.request, self.job, **fields)

    def _name_of(self, attempt: int) -> str:
        return f"sr-{self._house.rooms.spool8}-{self.job.identifier}-{attempt}"

    def _complain(self, error: Exception, wait_s: float) -> None:
        """The outside does not answer, or the disk fails: say so, and try again."""
        detail = error.detail if isinstance(error, SpoolrunnerError) else str(error)
        log.warning(
            "request=%s job=%s action=%s tried again in %g s: %s %s",
            *(self.request.identifier, self.job.identifier, self.job.action),
            *(wait_s, error, detail),
        )
        message = "The server's disk is full." if _is_full(error) else "The server has trouble."
        self._note(status_message=f"{message} It is tried again in {wait_s:g} s.")

    def _fail(self, error: Exception) -> None:
        """Nothing more can be done for it; the full story is in the log, under its reference."""
        reference = reference_of(self.request.identifier, self.job.action, self.job.attempt)
        log.error(
            "request=%s job=%s action=%s reference=%s failed: %s",
            *(self.request.identifier, self.job.identifier, self.job.action, reference),
            "".join(traceback.format_exception(error)),
        )
        if self.job.phase in (Phase.STARTING, Phase.STARTED):
            self._executor.stop(self.name, 0)
        self._note_end(self._results.broken(error))


def _is_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in FULL


def _may_pass(error: Exception) -> bool:
    """An engine that is away, a full disk: that may last for hours and is nobody's bug."""
    return isinstance(error, TryLater) or _is_full(error)
