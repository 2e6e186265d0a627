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

from spoolrunner.errors import BadInput, BadMachine, Refused, SpoolrunnerError, TryLater
from spoolrunner.record import NEWER
from spoolrunner.request import Code, Job, Outcome, Phase, Request, Status
from spoolrunner.runner import clock, holds, launch
from spoolrunner.runner.attempt import Attempt
from spoolrunner.runner.book import Stopping
from spoolrunner.runner.diary import Diary, is_of_disk, is_passing
from spoolrunner.runner.results import Results
from spoolrunner.runner.surroundings import Surroundings

RETRY_S = (1.0, 5.0, 15.0, 60.0)
HOLD_S = 10.0
MOST_TRIES = 5
CANCELS = (Code.CANCELLED_BY_USER, Code.KILLED_BY_ADMIN)


class Line:
    """One running job. settled: it has ended and what it published may be read; the mover's.

    settle, ended: told from the line's thread, the latter as its last deed.
    """

    def __init__(
        self,
        house: Surroundings,
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
        self._attempt = Attempt(house, job, self._results, self._diary)

    @property
    def at_its_limit(self) -> bool:
        """It ends by itself, and would only come to the same limit again."""
        return self._attempt.stopped_at_a_limit

    @property
    def meets_bad_disk(self) -> bool:
        """It is tried again until the disk lets it; meanwhile others had better not begin."""
        return self._diary.meets_bad_disk

    @property
    def name(self) -> str:
        """The container's name: the same for whoever restarts."""
        return self._attempt.name

    def begin(self) -> None:
        name = f"job-{self.job.identifier}"
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def stop(self) -> None:
        """Its cancel flag is set: end the container, if there is one. From another thread.

        In vain is no harm: the line looks at the flag each time it looks at the container.
        """
        try:
            self._attempt.stop(self._house.config.stop_grace_s)
        except Stopping:
            return
        except (SpoolrunnerError, OSError) as error:
            self._diary.not_stopped(error)

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
        if isinstance(error, TryLater) or is_passing(error) or not self._house.storage_is_there():
            return True
        if isinstance(error, BadMachine) and error.kind == NEWER:
            return True  # of a later version, which knows what to do with it
        if self.job.phase is Phase.PUBLISHING:
            return isinstance(error, OSError)
        # what else can't be cleared away is found by the sweep
        most = MOST_TRIES if self.job.active or is_of_disk(error) else 1
        return isinstance(error, OSError) and tries < most

    def _walk(self) -> None:
        outcome = self._stored() or self._execute()
        if outcome is None:
            return
        self._diary.publishing(outcome)
        self._results.publish(self.name, outcome)
        self._diary.ended(outcome)

    def _stored(self) -> Outcome | None:
        """What its request was withdrawn with, and did not come to be noted, is void now that it
        was put back."""
        outcome = self._results.stored(self.name)
        void = outcome and outcome.status_code in CANCELS and not self.job.cancel
        return None if void else outcome

    def _tidy(self) -> None:
        """The request file tells of the end now: nothing here may change what the job came to."""
        self._results.finish()
        self._settle(self)  # who waits for its outputs need not wait until all is cleared away
        self._clear_away()

    def _clear_away(self) -> None:
        self._results.put_away(self.name)
        if self.job.attempt:  # else it was never begun, and the engine may be away for long
            self._attempt.executor.clear(self.name)

    def _execute(self) -> Outcome | None:
        """Attempts until one has an end. None: nothing can be started now, it waits again."""
        while not self._attempt.interrupted:
            try:
                if self.job.phase is Phase.WAITING and not self._get_ready():
                    return None
                end = self._attempt.see_through()
            except (Refused, BadInput) as error:
                if error.kind == "no_image":
                    return self._wait_for_image(error)
                return self._results.refused(self.name, error)
            if end is not None:
                return self._results.collect(self.name, self._attempt.executor, end)
            if not self._attempt.interrupted and (lost := self._lost()):
                return lost
        self._stand_aside()
        return None

    def _get_ready(self) -> bool:
        """False: not now."""
        if self.job.cancel:
            self._diary.ended_without_outputs(self._results.cancelled())
            return False
        self._attempt.get_ready()
        return True

    def _stand_aside(self) -> None:
        """Whatever its exit code: what ended when asked to may have done half of its work."""
        begun = self.job.phase is not Phase.WAITING
        if begun:
            self._attempt.clear()
        code = self.job.interrupted or Code.PAUSED
        self._diary.waits_again(
            code,
            holds.MESSAGES[code],
            status=Status.PENDING,
            interrupted=None,
            not_counted=self.job.not_counted + begun,
        )

    def _lost(self) -> Outcome | None:
        """An attempt went without an end. None: there is another."""
        if self.job.cancel:
            self._attempt.executor.clear(self.name)  # a killed runner's may be about to begin
            return self._results.cancelled_at_start(self.name)
        if self._attempt.attempts_left() <= 0:
            return self._results.given_up(self.name)
        self._try_again()
        return None

    def _try_again(self) -> None:
        """What is left of a lost attempt goes first: its inputs may fill the disk."""
        by_machine = self._attempt.ended_by_machine
        self._attempt.clear()
        if by_machine:
            message = "It was ended by a restart of the server and is started again."
            not_counted = self.job.not_counted + 1
            self._again(Code.WAITING_ON_REBOOT, message, not_counted=not_counted)
        else:
            self._again(Code.WAITING_ON_NEW_TASK, "It was lost and is started again.")

    def _wait_for_image(self, why: SpoolrunnerError) -> Outcome | None:
        if clock.age_s(self.job.created_at) > self._house.config.image_wait_s:
            image = launch.image_of(self._house.config, self.job)
            return self._results.no_image(self.name, image)
        self._house.hold(self.job, HOLD_S)
        self._again(Code.WAITING_ON_IMAGE, why.message)
        return None

    def _again(self, code: Code, message: str, **fields: object) -> None:
        """Back to where it waits for its turn."""
        if self.job.phase is Phase.STARTING:
            self._attempt.executor.clear(self.name)
        self._diary.waits_again(code, message, **fields)

    def _fail(self, error: Exception) -> None:
        """Nothing more can be done for it."""
        self._diary.failure(error)
        self._patiently(lambda: self._attempt.stop(0), self._diary.not_cleared)
        self._diary.ended_without_outputs(self._results.broken(error))
