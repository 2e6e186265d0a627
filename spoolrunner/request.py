"""What a request file says: a job request, its jobs, and what became of them.

Plain records without behaviour that touches the world; the mover alone writes them.
Format and field names: contract, section 3. Status codes: reference/opensafely.md 4.1.
Knows: record, errors.
"""

import base64
import hashlib
import re
from enum import StrEnum
from typing import Any

from spoolrunner.record import Frozen, Record

FORMAT = 1
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
ACTION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\- ()]{0,127}", re.ASCII)
ERROR_ACTION = "__error__"
RUN_ALL = "run_all"


class Status(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        return self in (Status.SUCCEEDED, Status.FAILED)


class Code(StrEnum):
    """Why a job is where it is. The value is in request files and reports; never change one."""

    CREATED = "created"
    PAUSED = "paused"
    WAITING_DB_MAINTENANCE = "waiting_db_maintenance"
    WAITING_ON_DEPENDENCIES = "waiting_on_dependencies"
    WAITING_ON_WORKERS = "waiting_on_workers"
    WAITING_ON_DB_WORKERS = "waiting_on_db_workers"
    WAITING_ON_REBOOT = "waiting_on_reboot"
    WAITING_ON_NEW_TASK = "waiting_on_new_task"
    WAITING_ON_DISK = "waiting_on_disk"
    WAITING_ON_IMAGE = "waiting_on_image"
    WAITING_ON_OPERATOR = "waiting_on_operator"
    PREPARING = "preparing"
    EXECUTING = "executing"
    FINALIZING = "finalizing"
    SUCCEEDED = "succeeded"
    DEPENDENCY_FAILED = "dependency_failed"
    NONZERO_EXIT = "nonzero_exit"
    UNMATCHED_PATTERNS = "unmatched_patterns"
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"
    DISK_LIMIT = "disk_limit"
    PIDS_LIMIT = "pids_limit"
    LOG_LIMIT = "log_limit"
    CANCELLED_BY_USER = "cancelled_by_user"
    KILLED_BY_ADMIN = "killed_by_admin"
    STALE_CODELISTS = "stale_codelists"
    JOB_ERROR = "job_error"
    INTERNAL_ERROR = "internal_error"


class Phase(StrEnum):
    """How far the job's line has got; written before the step it names is begun."""

    WAITING = "waiting"
    STARTING = "starting"
    STARTED = "started"
    PUBLISHING = "publishing"
    ENDED = "ended"


EXECUTING = (Phase.WAITING, Phase.STARTING, Phase.STARTED)


class Level(StrEnum):
    """How private an output is, most private first (project.yaml; reference 2.3)."""

    HIGH = "highly_sensitive"
    MODERATE = "moderately_sensitive"
    MINIMAL = "minimally_sensitive"


class WorkspaceRef(Frozen, frozen=True, kw_only=True):
    """As the request names it. name may hold spaces; db: full, slice, dummy or default."""

    name: str
    repo: str
    branch: str
    db: str = "default"


class Need(Frozen, frozen=True, kw_only=True):
    """The very job whose outputs are read: never "the newest"."""

    action: str
    request: str
    job: str


class Output(Frozen, frozen=True, kw_only=True, omit_defaults=True):
    """size in bytes; sha256 in hex; excluded: why it was kept back from medium privacy, or "".

    rows, columns: of a table that was checked for medium privacy.
    """

    level: Level
    size: int
    sha256: str
    excluded: str = ""
    rows: int | None = None
    columns: int | None = None


class Metrics(Frozen, frozen=True, kw_only=True):
    """What a job used, and how long it took. None: that could not be known.

    cpu_s: processor time. memory_*: with the files that the kernel kept in memory for it; the mean
    of some looks while it ran. read_bytes, written_bytes: from and to disks.
    *_s: by the wall clock. queue_s: until it was taken up; prepare_s: until its container ran;
    collect_s: what it left was looked through; publish_s: known only when metadata.json is written.
    """

    cpu_s: float | None = None
    memory_peak_bytes: int | None = None
    memory_mean_bytes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    queue_s: float | None = None
    prepare_s: float | None = None
    run_s: float | None = None
    collect_s: float | None = None
    publish_s: float | None = None


class Job(Record, kw_only=True):
    """One action of one request. Times: ISO 8601 UTC with Z, or None.

    sequence: order over the whole spool. reference: short, for the telephone.
    attempt: 0 before the first start. not_counted: attempts ended by maintenance or a reboot.
    interrupted: why its attempt is being stopped, to be made again when its turn comes.
    boot_id, started_monotonic_s: of the machine, when the attempt was started (times out by it).
    action_repo, action_commit: of a reusable action, whose files it runs on instead of the study's.
    declared: pattern -> level, as project.yaml says what it makes. cancel: "", "user" or "admin".
    taken_at: when it last left the queue.
    """

    identifier: str
    sequence: int
    action: str
    status: Status = Status.PENDING
    status_code: Code = Code.CREATED
    status_message: str = ""
    run_command: str = ""
    requires_db: bool = False
    needs: list[Need] = []
    declared: dict[str, Level] = {}
    attempt: int = 0
    not_counted: int = 0
    interrupted: Code | None = None
    executor: str | None = None
    phase: Phase = Phase.WAITING
    boot_id: str | None = None
    started_monotonic_s: float | None = None
    action_repo: str | None = None
    action_commit: str | None = None
    cancel: str = ""
    created_at: str = ""
    updated_at: str = ""
    taken_at: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    exit_code: int | None = None
    image_id: str | None = None
    outputs: dict[str, Output] = {}
    unmatched_patterns: list[str] = []
    reference: str | None = None
    metrics: Metrics | None = None

    @property
    def active(self) -> bool:
        return not self.status.final

    @property
    def executing(self) -> bool:
        """Has it a turn, and still needs it?"""
        return self.status is Status.RUNNING and self.phase in EXECUTING


class Request(Record, kw_only=True):
    """A job request and its jobs. original: what was dropped, word for word.

    jobs is empty until the commit has been fetched and the plan made (expanded is False).
    source: inbox, job-server, bundle, submit, retry. notes: what the plan told the person.
    message: why it is not expanded yet. cancel: "" or "user", for all of it. uid: who dropped it.
    """

    format: int = FORMAT
    identifier: str
    sequence: int
    backend: str
    workspace: WorkspaceRef
    sha: str | None = None
    requested_actions: list[str]
    cancelled_actions: list[str] = []
    force_run_dependencies: bool = False
    status: Status = Status.PENDING
    expanded: bool = False
    created_at: str
    completed_at: str | None = None
    source: str = "inbox"
    uid: int = -1
    message: str = ""
    cancel: str = ""
    retry_of: str | None = None
    codelists_ok: bool = True
    notes: list[str] = []
    original: dict[str, Any] = {}
    jobs: list[Job] = []

    def job(self, identifier: str) -> Job | None:
        return next((job for job in self.jobs if job.identifier == identifier), None)


class Outcome(Record, kw_only=True):
    """What an attempt came to, written before the first of its files moves; collected once.

    exit_code is None if it never ran to an end of its own. other_files: what the job made that no
    pattern claims (private). excluded: output -> why it was kept back from medium privacy.
    """

    format: int = FORMAT
    attempt: int
    status: Status
    status_code: Code
    status_message: str
    exit_code: int | None = None
    image_id: str = ""
    started_at: str | None = None
    completed_at: str | None = None
    outputs: dict[str, Output] = {}
    unmatched_patterns: list[str] = []
    other_files: list[str] = []
    refused: dict[str, str] = {}
    detail: str = ""
    reference: str | None = None
    metrics: Metrics | None = None


def job_identifier(request: str, action: str) -> str:
    """Always the same for a request and an action (reference 4.4): containers are found again."""
    digest = hashlib.sha1(f"{request}\n{action}".encode()).digest()
    return base64.b32encode(digest[:10]).decode().lower()


def attempt_name(spool8: str, job: str, attempt: int) -> str:
    """What the container and the folder of an attempt are called. job: its identifier."""
    return f"{attempt_prefix(spool8)}{job}-{attempt}"


def attempt_prefix(spool8: str) -> str:
    """How the names of all of a spool's attempts begin."""
    return f"sr-{spool8}-"


def job_of(name: str) -> str:
    """The job's identifier in sr-SPOOL8-JOBID-ATTEMPT[.part][.swept], or "" if it is none."""
    return next(iter(name.split("-")[2:]), "")


def reference_of(request: str, action: str, attempt: int) -> str:
    """Six letters and digits that survive a telephone: no 0 o 1 l i u."""
    alphabet = "23456789abcdefghjkmnpqrstvwxyz"
    number = int.from_bytes(
        hashlib.sha1(f"{request}\n{action}\n{attempt}".encode()).digest(), "big"
    )
    letters = []
    for _ in range(6):
        number, index = divmod(number, len(alphabet))
        letters.append(alphabet[index])
    return "".join(letters)


def overall_status(jobs: list[Job]) -> Status:
    """The request's status from its jobs' (reference/jobserver.md 2)."""
    statuses = {job.status for job in jobs}
    if not statuses or statuses == {Status.PENDING}:
        return Status.PENDING
    if statuses & {Status.PENDING, Status.RUNNING}:
        return Status.RUNNING
    return Status.FAILED if Status.FAILED in statuses else Status.SUCCEEDED
