"""What is done with the files of one job: laid out, collected, published, cleared away.

Each deed can be done again: it finds on disk what has been done. The job line (line.py) says when.
"""

import contextlib
import os
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spoolrunner import files, release
from spoolrunner.config import Config
from spoolrunner.errors import BadInput, SpoolrunnerError
from spoolrunner.executor import Executor, Exit, Launch
from spoolrunner.headway import Headway
from spoolrunner.manifest import Provenance
from spoolrunner.outputs import Pattern
from spoolrunner.project import Project
from spoolrunner.record import from_json, to_json
from spoolrunner.request import Code, Job, Outcome, Request, Status, reference_of
from spoolrunner.runner import clock, launch
from spoolrunner.runner.meter import Meter
from spoolrunner.runner.quotas import TIMES_THE_LOG
from spoolrunner.runner.surroundings import Surroundings
from spoolrunner.verdict import Cause, Ending, verdict
from spoolrunner.workspace import Collected, Gauge, JobFolder, Workspace

OUTCOME_BYTES = 1 << 30
STOPPED_BY_PEOPLE = (Cause.USER, Cause.ADMIN)
STOPPED_AT_A_LIMIT = (Cause.TIME, Cause.DISK, Cause.PIDS, Cause.LOG)
UNITS_S = ((3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True)
class End:
    """How an attempt ended, who ended it, and what was seen of it until then."""

    exit: Exit
    cause: Cause
    meter: Meter


class Results:
    """name: of the attempt's container and folder, see `Line.name`."""

    def __init__(self, house: Surroundings, request: Request, job: Job) -> None:
        self._house = house
        self._request = request
        self._job = job

    @property
    def _workspace(self) -> Workspace:
        return self._house.workspace(self._request.workspace.name)

    def stored(self, name: str) -> Outcome | None:
        """What an attempt came to, if it has been collected."""
        path = self._house.storage.job(name).outcome
        try:
            data, _ = files.read_regular(path, OUTCOME_BYTES)
        except FileNotFoundError:
            return None
        return from_json(data, Outcome, str(path))

    def lay_out(self, name: str) -> None:
        """The study (or the reusable action) at its commit, and the outputs it needs.

        Raises BadInput if an input is gone, TryLater if one is just being published.
        """
        storage = self._house.storage
        if storage.is_laid_out(name):
            return
        part = storage.lay_out(name)
        repo = self._job.action_repo or self._request.workspace.repo
        commit = self._job.action_commit or self._request.sha or ""
        self._house.studies.tree(repo, commit, part.workspace)
        with self._headway("copying what it needs") as headway:
            self._workspace.stage(part, self._job.needs, headway)
        storage.laid_out(name)

    def inputs(self, name: str) -> Mapping[str, str]:
        """path -> sha256 of what was laid out for it beside the study."""
        return self._house.storage.staged(name).inputs

    @property
    def database(self) -> str:
        """Which it may use, or ""."""
        uses_db = launch.uses_database(self._house.config, self._job)
        return self._request.workspace.db if uses_db else ""

    def launch(self, name: str) -> Launch:
        folder = self._house.storage.job(name)
        return launch.launch(
            self._house.config, self._request, self._job, name, folder.workspace, folder.log
        )

    def gauge(self, name: str) -> Gauge:
        limit_bytes = self._house.config.job_disk_limit_bytes
        return Gauge(self._house.storage.job(name).workspace, limit_bytes)

    def collect(self, name: str, executor: Executor, end: End) -> Outcome:
        """Everything of the job has stopped: what did it leave? Written before a file moves."""
        folder = self._folder(name)
        executor.save_log(name, folder.log, self._house.config.job_log_limit_bytes)
        found = Collected()
        if self._has_left_something(end, folder):
            with self._headway("looking through its outputs") as headway:
                found = self._workspace.collect(folder, self._patterns(), self._rules(), headway)
        return self._write(name, self._outcome(end, found))

    def _has_left_something(self, end: End, folder: JobFolder) -> bool:
        """Of one that was stopped a power cut may have taken the folder: nothing had flushed it."""
        if end.cause in STOPPED_AT_A_LIMIT:
            return folder.workspace.exists()
        return end.cause not in STOPPED_BY_PEOPLE

    def publish(self, name: str, outcome: Outcome) -> None:
        """Raises TryLater, BadMachine, OSError; safe to repeat."""
        folder = self._house.storage.job(name)
        self._mask(folder.log)
        with self._headway("copying its outputs") as headway:
            self._workspace.publish(folder, self._provenance(), outcome, headway)

    def _headway(self, doing: str) -> contextlib.AbstractContextManager[Headway]:
        return self._house.headways.of(self._request, self._job, doing)

    def _mask(self, log: Path) -> None:
        """Before any of it is shown. Rewritten only if a secret is in it, so once."""
        masks = launch.masks(self._house.config)
        with contextlib.suppress(FileNotFoundError):
            if masks.are_in(files.pieces(log)):
                with files.Changes() as disk:
                    disk.write_parts(log, masks.over(files.pieces(log)))

    def finish(self) -> None:
        """The request file tells of the end now: the journal may go."""
        self._workspace.finish(self._job.action, self._job.identifier)

    def clear(self, name: str) -> None:
        self._house.storage.clear(name)

    def put_away(self, name: str) -> None:
        """Clear its folder; that of a job which failed through no fault of its own is kept."""
        if is_kept(self._house.config, self._job):
            self._house.storage.keep(name)
        self._house.storage.clear(name)

    def refused(self, name: str, error: SpoolrunnerError) -> Outcome:
        """It could not be started, and trying again would not help."""
        code = Code.JOB_ERROR if error.kind == "cannot_start" else Code.INTERNAL_ERROR
        if isinstance(error, BadInput):
            code = Code.DEPENDENCY_FAILED if error.kind == "missing_input" else Code.JOB_ERROR
        return self._write(name, self._failed(code, error.public, error.detail))

    def no_image(self, name: str, image: str) -> Outcome:
        """It never came. The operator's to mend, so it says which."""
        message = f"The image {image} was not on this server in all the time it was waited for."
        return self._write(name, self._failed(Code.JOB_ERROR, message, ""))

    def given_up(self, name: str) -> Outcome:
        """Lost too often: neither the study's fault nor something waiting would mend."""
        message = f"Internal error: the job was lost {self._job.attempt} times while it ran."
        return self._write(name, self._failed(Code.INTERNAL_ERROR, message, ""))

    def cancelled(self) -> Outcome:
        """Before it was started."""
        by_user = self._job.cancel != "admin"
        code = Code.CANCELLED_BY_USER if by_user else Code.KILLED_BY_ADMIN
        return self._failed(
            code, verdict(Ending(None, Cause(self._job.cancel)), [], 0, 0).message, ""
        )

    def cancelled_at_start(self, name: str) -> Outcome:
        """When its folder lay there already."""
        return self._write(name, self.cancelled())

    def broken(self, error: Exception) -> Outcome:
        """Our bug, or the machine's: nothing of it is said outside but how to find its story."""
        message = "Internal error: this is not the study's fault; the operators have been told."
        story = "".join(traceback.format_exception(error))
        return self._failed(Code.INTERNAL_ERROR, message, story)

    def _failed(self, code: Code, message: str, detail: str) -> Outcome:
        return Outcome(
            attempt=self._job.attempt,
            status=Status.FAILED,
            status_code=code,
            status_message=message,
            completed_at=clock.now(),
            detail=detail,
            reference=self._reference(),
        )

    def _outcome(self, end: End, found: Collected) -> Outcome:
        result = verdict(self._ending(end), found.unmatched, found.kept_back, len(found.refused))
        failed = result.status is Status.FAILED
        collected_at = clock.now()
        return Outcome(
            attempt=self._job.attempt,
            status=result.status,
            status_code=result.code,
            status_message=result.message,
            exit_code=end.exit.status,
            image_id=end.exit.image_id,
            started_at=end.exit.started_at,
            completed_at=collected_at,
            outputs=found.outputs,
            unmatched_patterns=found.unmatched,
            other_files=found.other_files,
            refused=found.refused,
            reference=self._reference() if failed else None,
            metrics=end.meter.metrics(self._job, end.exit, collected_at),
        )

    def _ending(self, end: End) -> Ending:
        config = self._house.config
        limits = {
            Cause.MEMORY: f"{config.default_job_memory_limit_bytes / 2**30:.2f}GB",
            Cause.TIME: _duration(config.job_timeout_s),
            Cause.DISK: f"{config.job_disk_limit_bytes / 2**30:.2f}GB",
            Cause.PIDS: str(config.job_pids_limit),
            Cause.LOG: f"{TIMES_THE_LOG * config.job_log_limit_bytes / 2**30:.2f}GB",
        }
        uses_db = launch.uses_database(config, self._job)
        return Ending(end.exit.status, end.cause, limits.get(end.cause, ""), uses_db)

    def _folder(self, name: str) -> JobFolder:
        """Made again if a power cut took it; but never where the disk below it is not mounted.
        Raises OSError."""
        folder = self._house.storage.job(name)
        os.stat(self._house.storage.jobs)
        files.make_folder(folder.home)
        return folder

    def _write(self, name: str, outcome: Outcome) -> Outcome:
        """Keep it, so that it is published like any other end."""
        folder = self._folder(name)
        with files.Changes() as disk:
            disk.write(folder.outcome, to_json(outcome))
        return outcome

    def _reference(self) -> str:
        return reference_of(self._request.identifier, self._job.action, self._job.attempt)

    def _patterns(self) -> list[Pattern]:
        action = self._project().actions[self._job.action]
        return [Pattern(level, text) for level, text in action.outputs]

    def _project(self) -> Project:
        workspace = self._request.workspace
        return self._house.reader.project(workspace.repo, self._request.sha or "")

    def _rules(self) -> release.Rules:
        config = self._house.config
        return release.Rules(
            max_size_bytes=config.level4_max_filesize_bytes,
            max_rows=config.level4_max_csv_rows,
            file_types=frozenset(config.level4_file_types),
        )

    def _provenance(self) -> Provenance:
        request, job = self._request, self._job
        about = request.original
        return Provenance(
            action=job.action,
            job=job.identifier,
            request=request.identifier,
            sequence=job.sequence,
            workspace=request.workspace.name,
            repo=request.workspace.repo,
            commit=request.sha or "",
            created_at=job.created_at,
            patterns=self._patterns(),
            actions=list(self._project().actions),
            branch=request.workspace.branch,
            db=request.workspace.db,
            user=str(about.get("created_by") or ""),
            run_command=job.run_command,
            project=str(about["project"]) if about.get("project") else None,
            orgs=[str(one) for one in about.get("orgs") or [] if isinstance(one, str)],
        )


def is_kept(config: Config, job: Job) -> bool:
    """Is the folder of this job, which has ended, kept for whoever looks into it?"""
    return config.keep_failed_days > 0 and job.status_code is Code.INTERNAL_ERROR


def _duration(seconds: float) -> str:
    for size, unit in UNITS_S:
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
