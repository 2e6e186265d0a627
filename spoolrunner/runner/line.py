"""The job line: one job from start to end, a straight line that can be walked again from any point.

    lay out -> note `starting` -> executor.start -> note `started` -> wait
      -> collect: write outcome.json before the first file moves; never collected twice
      -> publish -> note the end -> clear the container

What has been done is on disk, so after a kill -9 the same line is walked again and each stretch
finds itself done. There is no recovery mode. Runs in a thread of its own.
"""

import threading
import time
from collections.abc import Callable

from spoolrunner.errors import BadInput, Refused, SpoolrunnerError, TryLater
from spoolrunner.executor import Absent, Executor, Exit, Running
from spoolrunner.request import Code, Job, Outcome, Phase, Request
from spoolrunner.runner import clock, launch
from spoolrunner.runner.book import Stopping
from spoolrunner.runner.diary import Diary, is_full
from spoolrunner.runner.house import House
from spoolrunner.runner.results import End, Results
from spoolrunner.verdict import Cause

LOOK_AGAIN_S = 60.0
RETRY_S = (1.0, 5.0, 15.0, 60.0)
HOLD_S = 10.0
MOST_TRIES = 5


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
        self._diary = Diary(house.book, request, job)

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
        """Its cancel flag is set: end the container, if there is one. From another thread.

        In vain is no harm: the line looks at the flag each time it looks at the container.
        """
        try:
            if self.job.phase in (Phase.STARTING, Phase.STARTED):
                self._diary.flushed()
                self._executor.stop(self.name, self._house.config.stop_grace_s)
        except Stopping:
            return
        except (SpoolrunnerError, OSError) as error:
            self._diary.not_stopped(error)

    @property
    def _executor(self) -> Executor:
        return self._house.executor(self.job.executor or self._house.executor_name)

    def _run(self) -> None:
        try:
            self._patiently(self._walk, self._fail)
            if not self.job.active:
                self._patiently(self._tidy, self._diary.not_cleared)
            self._ended(self)
        except Stopping:
            return

    def _patiently(self, step: Callable[[], None], give_up: Callable[[Exception], None]) -> None:
        """Do it; what may work in a while is done again, what is our bug is given up."""
        tries = 0
        while True:
            try:
                return step()
            except Stopping:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the line has to end
                if not self._may_pass(error, tries):
                    return give_up(error)
                wait_s = RETRY_S[min(tries, len(RETRY_S) - 1)]
                self._diary.trouble(error, wait_s, stuck=tries >= MOST_TRIES)
                time.sleep(wait_s)
                tries += 1

    def _may_pass(self, error: Exception, tries: int) -> bool:
        """An engine that is away, a full or absent disk: that may last for hours and is nobody's
        bug. And what a job of many hours made is not thrown away because it can't be published."""
        if isinstance(error, TryLater) or is_full(error) or not self._house.storage_is_there():
            return True
        if self.job.phase is Phase.PUBLISHING:
            return isinstance(error, OSError)
        most = MOST_TRIES if self.job.active else 1  # the rest is found by the sweep
        return isinstance(error, OSError) and tries < most

    def _walk(self) -> None:
        outcome = self._results.stored(self.name) or self._execute()
        if outcome is None:
            return
        self._diary.publishing()
        self._results.publish(self.name, outcome)
        self._diary.ended(outcome)

    def _tidy(self) -> None:
        """The request file tells of the end now: nothing here may change what the job came to."""
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
                    return self._wait_for_image()
                return self._results.refused(self.name, error)
            if end is not None:
                return self._results.collect(self.name, self._executor, end)
            if self._attempts_left() <= 0:
                return self._results.given_up(self.name)
            self._try_again()

    def _rebooted(self) -> bool:
        return self.job.boot_id != clock.boot_id()

    def _attempts_left(self) -> int:
        """An attempt that the machine's own end cut short is not the job's."""
        job = self.job
        counted = job.attempt - job.not_counted - self._rebooted()
        return self._house.config.max_attempts - counted

    def _try_again(self) -> None:
        """What is left of a lost attempt goes first: its inputs may fill the disk."""
        self._executor.clear(self.name)
        self._results.clear(self.name)
        if self._rebooted():
            message = "It was ended by a restart of the server and is started again."
            not_counted = self.job.not_counted + 1
            self._again(Code.WAITING_ON_REBOOT, message, not_counted=not_counted)
        else:
            self._again(Code.WAITING_ON_NEW_TASK, "It was lost and is started again.")

    def _get_ready(self) -> bool:
        """Lay out the next attempt and note that it starts. False: not now."""
        if self.job.cancel:
            self._diary.ended(self._results.cancelled())
            return False
        executor = self._house.executor(self._house.executor_name)
        image = launch.image_of(self._house.config, self.job)
        if not executor.image_id(image):
            raise Refused(f"The image {image} is not here.", kind="no_image")
        attempt = self.job.attempt + 1
        self._results.lay_out(self._name_of(attempt))
        self._diary.note(
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
        self._diary.started(look)
        return self._wait()

    def _wait(self) -> End | None:
        """Stops it, too, if that has been asked for: `stop` may have come too early or in vain."""
        while isinstance(look := self._executor.look(self.name), Running):
            left_s = self._time_left_s()
            if self.job.cancel or left_s <= 0:
                if self.job.cancel:
                    self._diary.flushed()
                else:
                    self._diary.takes_too_long()
                self._executor.stop(self.name, self._house.config.stop_grace_s)
            else:
                self._executor.wait(self.name, min(left_s, LOOK_AGAIN_S))
        if isinstance(look, Absent) or self._ended_by_reboot():
            return None
        return End(look, self._cause(look))

    def _time_left_s(self) -> float:
        """Of JOB_TIMEOUT. By the monotonic clock, which starts anew with the machine."""
        limit_s = self._house.config.job_timeout_s
        if not limit_s or self._rebooted():
            return limit_s or LOOK_AGAIN_S
        return limit_s - (clock.monotonic_s() - (self.job.started_monotonic_s or 0))

    def _ended_by_reboot(self) -> bool:
        """Whatever its exit code: a machine that goes down kills in many ways, and takes with it
        what a job that ended well had written: nobody flushes that before it is collected."""
        return self._rebooted() and not self.job.cancel

    def _cause(self, look: Exit) -> Cause:
        if self.job.cancel:
            return Cause(self.job.cancel)
        if self.job.status_code is Code.TIMED_OUT:
            return Cause.TIME
        return Cause.MEMORY if look.reason == Cause.MEMORY else Cause.OWN

    def _wait_for_image(self) -> Outcome | None:
        image = launch.image_of(self._house.config, self.job)
        if clock.age_s(self.job.created_at) > self._house.config.image_wait_s:
            return self._results.no_image(self.name, image)
        self._house.hold(self.job, HOLD_S)
        self._again(Code.WAITING_ON_IMAGE, f"Waiting for the image {image} to be loaded.")
        return None

    def _again(self, code: Code, message: str, **fields: object) -> None:
        """Back to where it waits for its turn."""
        if self.job.phase is Phase.STARTING:
            self._executor.clear(self.name)
        self._diary.waits_again(code, message, **fields)

    def _name_of(self, attempt: int) -> str:
        return f"sr-{self._house.rooms.spool8}-{self.job.identifier}-{attempt}"

    def _fail(self, error: Exception) -> None:
        """Nothing more can be done for it."""
        self._diary.failure(error)
        self._patiently(self._halt, self._diary.not_cleared)
        self._diary.ended(self._results.broken(error))

    def _halt(self) -> None:
        if self.job.phase in (Phase.STARTING, Phase.STARTED):
            self._executor.stop(self.name, 0)
