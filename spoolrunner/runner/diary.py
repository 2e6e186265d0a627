"""The diary of a job: what its line tells of it, in the request file and in the private log.

From the line's thread, through the mover; each note is flushed when the call returns.
"""

import errno
import logging
import traceback
from typing import TypeGuard

from spoolrunner import audit
from spoolrunner.audit import Event, Start
from spoolrunner.errors import SpoolrunnerError, TryLater
from spoolrunner.executor import Exit, Look, Running
from spoolrunner.record import NEWER
from spoolrunner.request import Code, Job, Outcome, Phase, Request, Status, reference_of
from spoolrunner.runner import clock, meter
from spoolrunner.runner.surroundings import Notes

log = logging.getLogger(__name__)

# A disk's errors that are told in words of their own: none is the fault of a job.
DISK = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "The server's disk is full."),
    errno.EROFS: "The server's disk can't be written to.",
    errno.EIO: "The server's disk fails.",
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "The server has too many files open."),
}
STOPPED = {
    Code.TIMED_OUT: "Stopped: it took too long.",
    Code.DISK_LIMIT: "Stopped: it wrote too much to disk.",
    Code.PIDS_LIMIT: "Stopped: it ran too many processes.",
    Code.LOG_LIMIT: "Stopped: it said too much.",
}


class Diary:
    """Every method that notes raises Stopping if the mover has stopped.

    meets_bad_disk: was the last that was tried stopped by the disk?
    """

    def __init__(self, book: Notes, request: Request, job: Job) -> None:
        self._book = book
        self._request = request
        self._job = job
        self.meets_bad_disk = False

    def note(self, event: Event | None = None, /, **fields: object) -> None:
        """Another step was done."""
        self.meets_bad_disk = False
        self._put(event, **fields)

    def _put(self, event: Event | None = None, /, **fields: object) -> None:
        self._book.note(self._request, self._job, event, **fields)

    def starting(self, start: Start) -> None:
        """It may be started once this is on disk, and in the audit."""
        self.note(
            audit.start(self._request, self._job, start),
            phase=Phase.STARTING,
            attempt=start.attempt,
            executor=start.executor,
            boot_id=clock.boot_id(),
            started_monotonic_s=clock.monotonic_s(),
            status_code=Code.PREPARING,
            status_message="Starting.",
        )

    def waits_again(self, code: Code, message: str, **fields: object) -> None:
        """Back to where it waits for its turn."""
        again: dict[str, object] = {
            "status": Status.PENDING if code is Code.WAITING_ON_IMAGE else Status.RUNNING,
            "phase": Phase.WAITING,
            "status_code": code,
            "status_message": message,
            "started_at": None,
        }
        self.note(**again | fields)

    def started(self, look: Look) -> None:
        if self._job.phase is Phase.STARTED:
            return
        self.note(
            phase=Phase.STARTED,
            started_at=look.started_at if isinstance(look, Running | Exit) else clock.now(),
            image_id=look.image_id if isinstance(look, Running | Exit) else None,
            status_code=Code.EXECUTING,
            status_message="Running.",
        )

    def to_be_stopped(self) -> None:
        """Returns when that is on disk, as its flags say: a runner killed between the two would
        leave an end that looks like the job's own."""
        self.note()

    def takes_too_much(self, limit: Code) -> None:
        """Before it is stopped: a runner killed in between must not take that for its own end."""
        self.note(status_code=limit, status_message=STOPPED[limit])

    def publishing(self, outcome: Outcome) -> None:
        """Nothing is published before what it is has been audited, once."""
        is_noted = self._job.phase is Phase.PUBLISHING
        self.note(
            None if is_noted else audit.end(self._request, self._job, outcome),
            phase=Phase.PUBLISHING,
            status_code=Code.FINALIZING,
            status_message="Publishing its outputs.",
        )

    def ended_without_outputs(self, outcome: Outcome) -> None:
        """It did not come to be published, or not to the end."""
        self.ended(outcome, audit.end(self._request, self._job, outcome))

    def ended(self, outcome: Outcome, event: Event | None = None) -> None:
        self.note(
            event,
            phase=Phase.ENDED,
            interrupted=None,
            status=outcome.status,
            status_code=outcome.status_code,
            status_message=outcome.status_message,
            exit_code=outcome.exit_code,
            image_id=outcome.image_id or self._job.image_id,
            started_at=outcome.started_at or self._job.started_at,
            completed_at=outcome.completed_at,
            outputs=outcome.outputs,
            unmatched_patterns=outcome.unmatched_patterns,
            reference=outcome.reference,
            metrics=meter.with_publishing(outcome),
        )

    def trouble(self, error: Exception, wait_s: float, *, stuck: bool) -> None:
        """The outside does not answer, or the disk fails: it is tried again in wait_s.

        stuck: it was tried so often that somebody has to look.
        """
        detail = error.detail if isinstance(error, SpoolrunnerError) else ""
        self._log(logging.WARNING, "tried again in %g s: %s %s", wait_s, error, detail)
        self.meets_bad_disk = is_of_disk(error)
        if not self._job.active:
            return
        message = f"{_reason(error)} It is tried again in {wait_s:g} s."
        later = isinstance(error, SpoolrunnerError) and error.kind == NEWER
        if later or (stuck and self._job.phase is Phase.PUBLISHING):
            self._put(status_code=Code.WAITING_ON_OPERATOR, status_message=message)
        elif self.meets_bad_disk and self._job.phase is Phase.WAITING:
            self._put(status_code=Code.WAITING_ON_DISK, status_message=message)
        else:
            self._put(status_message=message)

    def failure(self, error: Exception) -> None:
        """The full story, under the reference that people are given."""
        job = self._job
        reference = reference_of(self._request.identifier, job.action, job.attempt)
        story = "".join(traceback.format_exception(error))
        self._log(logging.ERROR, "reference=%s failed: %s", reference, story)

    def not_cleared(self, error: Exception) -> None:
        self._log(logging.ERROR, "not cleared away: %s", error)

    def not_stopped(self, error: Exception) -> None:
        self._log(logging.WARNING, "can't be stopped yet: %s", error)

    def _log(self, level: int, message: str, *values: object) -> None:
        request, job = self._request, self._job
        who = (request.identifier, job.identifier, request.workspace.name, job.action)
        log.log(level, f"request=%s job=%s workspace=%s action=%s {message}", *who, *values)


def _reason(error: Exception) -> str:
    """In words that may be read outside."""
    if is_of_disk(error):
        return DISK[error.errno or 0]
    if isinstance(error, SpoolrunnerError) and error.kind == NEWER:
        return "A later version of spoolrunner has been at it and has to finish it."
    return error.message if isinstance(error, TryLater) else "The server has trouble."


def is_of_disk(error: Exception) -> TypeGuard[OSError]:
    return isinstance(error, OSError) and error.errno in DISK


def is_passing(error: Exception) -> bool:
    """Of all that share the disk or the process, and nothing is damaged: it can be waited for,
    however long. One place that can't be read (EIO) may stay so for ever."""
    return is_of_disk(error) and error.errno != errno.EIO
