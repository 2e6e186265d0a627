"""An attempt at a job: its container, from the files it is given to how it ended.

Every step first looks whether it has been done, so whoever restarts walks it again. Which attempt
it is, and how far it got, is in the request file; that it was begun is noted before it is.
"""

from spoolrunner.audit import Start
from spoolrunner.errors import Refused
from spoolrunner.executor import RESTARTED, UNPREPARED, Absent, Executor, Exit, Running
from spoolrunner.request import Job, Phase, attempt_name
from spoolrunner.runner import clock, launch
from spoolrunner.runner.diary import Diary
from spoolrunner.runner.meter import Meter
from spoolrunner.runner.quotas import CODES, Quotas
from spoolrunner.runner.results import End, Results
from spoolrunner.runner.surroundings import Surroundings
from spoolrunner.verdict import Cause


class Attempt:
    """The one that the job is at; `get_ready` begins another. By the line's thread, but `stop`."""

    def __init__(self, house: Surroundings, job: Job, results: Results, diary: Diary) -> None:
        self._house = house
        self._job = job
        self._results = results
        self._diary = diary
        self._cut_short = False

    @property
    def name(self) -> str:
        """The container's: the same for whoever restarts."""
        return self._name_of(self._job.attempt)

    @property
    def executor(self) -> Executor:
        return self._house.executor(self._job.executor or self._house.executor_name)

    @property
    def interrupted(self) -> bool:
        """For a hold (holds.py). Whoever cancels it meanwhile wants no other attempt."""
        return self._job.interrupted is not None and not self._job.cancel

    @property
    def ended_by_machine(self) -> bool:
        """By its reboot, or by the restart of what runs the containers."""
        return self._rebooted or self._cut_short

    @property
    def _rebooted(self) -> bool:
        return self._job.boot_id != clock.boot_id()

    def attempts_left(self) -> int:
        """An attempt that the machine's own end cut short is not the job's."""
        job = self._job
        counted = job.attempt - job.not_counted - self.ended_by_machine
        return self._house.config.max_attempts - counted

    def get_ready(self) -> None:
        """Lay out the next attempt and note that it starts. Raises Refused (kind "no_image")."""
        executor = self._house.executor(self._house.executor_name)
        image = launch.image_of(self._house.config, self._job)
        image_id = executor.image_id(launch.image_to_run(self._house.config, self._job))
        if not image_id:
            raise Refused(f"Waiting for the image {image} to be loaded.", kind="no_image")
        attempt = self._job.attempt + 1
        self._results.lay_out(self._name_of(attempt))
        start = Start(
            attempt=attempt,
            executor=self._house.executor_name,
            image=image,
            image_id=image_id,
            database=self._results.database,
            inputs=self._results.inputs(self._name_of(attempt)),
        )
        self._diary.starting(start)

    def see_through(self) -> End | None:
        """Start it unless that has been done, and wait for its end. None: it is lost."""
        look = self.executor.look(self.name)
        if isinstance(look, Absent):
            if self._job.phase is not Phase.STARTING or self.interrupted or self._job.cancel:
                return None
            self._results.lay_out(self.name)
            self.executor.start(self._results.launch(self.name))
            look = self.executor.look(self.name)
        self._diary.started(look)
        return self._wait()

    def stop(self, grace_s: float) -> None:
        """Raises Stopping if the mover has stopped."""
        if self._job.phase in (Phase.STARTING, Phase.STARTED):
            self._diary.to_be_stopped()
            self.executor.stop(self.name, grace_s)

    def clear(self) -> None:
        """No trace of it: neither container nor files."""
        self.executor.clear(self.name)
        self._results.clear(self.name)
        self._cut_short = False

    def _wait(self) -> End | None:
        """Stops it, too, if that has been asked for: `stop` may have come too early or in vain."""
        gauge, meter = self._results.gauge(self.name), Meter()
        quotas = Quotas(self._house.config, self.executor, self._job, self.name, gauge)
        while isinstance(look := self.executor.look(self.name), Running):
            told = self._job.cancel or self._job.interrupted or self.stopped_at_a_limit
            limit = None if told else quotas.passed()
            if limit:
                self._diary.takes_too_much(limit)
            elif told:
                self._diary.to_be_stopped()
            if told or limit:
                self.executor.stop(self.name, self._house.config.stop_grace_s)
            else:
                meter.look(self.executor, self.name)
                again_s = min(quotas.look_again_s(), meter.look_again_s)
                self.executor.wait(self.name, again_s)
        if isinstance(look, Absent) or look.reason == UNPREPARED or self.interrupted:
            return None
        self._cut_short = self._is_cut_short(look)
        return None if self._cut_short else End(look, self._cause(look), meter)

    def _is_cut_short(self, look: Exit) -> bool:
        """Whatever its exit code: a machine that goes down kills in many ways, and takes with it
        what a job that ended well had written: nobody flushes that before it is collected."""
        if self._job.cancel or self.stopped_at_a_limit:
            return False
        return self._rebooted or (look.reason == RESTARTED and look.status != 0)

    @property
    def stopped_at_a_limit(self) -> bool:
        """Or is being: that has been noted, and nothing that comes afterwards changes it."""
        return self._job.status_code in CODES

    def _cause(self, look: Exit) -> Cause:
        if self._job.cancel:
            return Cause(self._job.cancel)
        if self.stopped_at_a_limit:
            return Cause(self._job.status_code)
        return Cause.MEMORY if look.reason == Cause.MEMORY else Cause.OWN

    def _name_of(self, attempt: int) -> str:
        return attempt_name(self._house.spool8, self._job.identifier, attempt)
