"""The site: job requests, the jobs reported for them, and what its users see and press.

The rules were taken from the real job-server, of June 2022 and of August 2026, as it answered on
loopback. Its defects are kept on purpose: a runner has to live with them.
Knows nothing of HTTP.
"""

import base64
import enum
import itertools
import secrets
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter, itemgetter
from typing import Any

from tests.rig.jobserver.exchange import Crash

FINAL = ("failed", "succeeded")
LISTED = ("pending", "running", "unknown", "unknown_error_creating_jobs")
LISTED_FOR = timedelta(days=365)
STALE_AFTER = timedelta(minutes=30)
UNSEEN_AFTER = timedelta(minutes=5)
ALARMING = ("internal error", "something went wrong with the database", "ran out of memory")
DELETED = "deleted"


class Era(enum.StrEnum):
    FIRST = "2020"  # speaks the first API alone
    OLD = "2022-06"
    TODAY = "2026"


def now() -> datetime:
    return datetime.now(UTC)


def new_identifier() -> str:
    return base64.b32encode(secrets.token_bytes(10)).decode().lower()


@dataclass(frozen=True)
class Job:
    """A row as it was last posted. pk: a job that was deleted and posted again has a new one."""

    pk: int
    identifier: str
    job_request_id: str
    action: str
    status: str
    status_code: str
    status_message: str
    created_at: datetime
    updated_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    run_command: str | None = None
    trace_context: Any = None
    metrics: Any = None

    @property
    def duration(self) -> timedelta:
        if self.started_at is None or self.completed_at is None:
            return timedelta()
        return self.completed_at - self.started_at

    def is_stale(self, at: datetime) -> bool:
        """The site's page warns that this job could be stale."""
        waits = self.status in ("pending", "running")
        return waits and self.updated_at is not None and at - self.updated_at > STALE_AFTER


@dataclass
class Request:
    """stored_status is today's alone: no controller is there to be called, so a request begins as
    one whose jobs could not be created, the only way in which today's server lists any."""

    requested_actions: list[str]
    backend: str = "test"
    workspace: str = "ca"
    repo: str = "https://github.com/opensafely/study"
    branch: str = "main"
    sha: str = "3f" * 20
    db: str = "full"
    force_run_dependencies: bool = False
    cancelled_actions: list[str] = field(default_factory=list)
    created_by: str = "researcher"
    created_at: datetime = field(default_factory=now)
    project: str = "test-project"
    orgs: list[str] = field(default_factory=lambda: ["test-org"])
    codelists_ok: bool = True
    will_notify: bool = False
    identifier: str = field(default_factory=new_identifier)
    jobs: dict[str, Job] = field(default_factory=dict)
    stored_status: str = "unknown_error_creating_jobs"

    @property
    def computed_status(self) -> str:
        found = {job.status for job in self.jobs.values()}
        if len(found) == 1:
            return found.pop()
        if found & {"running", "pending"}:
            return "running"
        return "failed" if "failed" in found else "unknown"

    @property
    def completed_at(self) -> datetime | None:
        ends = [job.completed_at for job in self.jobs.values() if job.completed_at]
        return max(ends) if ends and self.computed_status in FINAL else None

    @property
    def is_invalid(self) -> bool:
        return any(job.action == "__error__" for job in self.jobs.values())

    @property
    def succeeded_count(self) -> int:
        return sum(job.status == "succeeded" for job in self.jobs.values())

    @property
    def duration(self) -> timedelta:
        return sum((job.duration for job in self.jobs.values()), timedelta())


@dataclass(frozen=True)
class Mail:
    user: str
    job: Job


class NotStarted(Exception):
    """Today's site refuses to cancel what no job is known of."""


class Site:
    """lock is held by whoever reads or changes anything here."""

    def __init__(self, era: Era) -> None:
        self.era = era
        self.lock = threading.RLock()
        self.requests: dict[str, Request] = {}
        self.jobs: dict[str, Job] = {}
        self.tokens: dict[str, str] = {}
        self.mails: list[Mail] = []
        self.alerts: list[Job] = []
        self.histories: defaultdict[str, list[str]] = defaultdict(list)
        self.last_seen: dict[tuple[str, str], datetime] = {}
        self._pks = itertools.count(1)

    def token(self, backend: str) -> str:
        return self.tokens.setdefault(backend, f"{backend}-{secrets.token_hex(8)}")

    def backend(self, token: str) -> str | None:
        return next((name for name, known in self.tokens.items() if known == token), None)

    def listed(self, backend: str | None) -> list[Request]:
        """Newest first; None lists every backend's."""
        newest = sorted(self.requests.values(), key=attrgetter("created_at"))[::-1]
        return [
            request
            for request in newest
            if backend in (None, request.backend) and self._is_listed(request)
        ]

    def _is_listed(self, request: Request) -> bool:
        jobs = request.jobs.values()
        if self.era is Era.OLD:
            return not jobs or any(job.completed_at is None for job in jobs)
        young = now() - request.created_at < LISTED_FOR
        active = any(job.status in ("pending", "running") for job in jobs)
        return active or (young and request.stored_status in LISTED)

    def status(self, request: Request) -> str:
        return request.computed_status if self.era is Era.OLD else request.stored_status

    def report(self, posted: Sequence[Mapping[str, Any]]) -> None:
        """Take a validated post. Whatever was written when it crashes stays written.

        posted: fields of Job without pk. Raises Crash where the real server does.
        """
        if self.era is Era.OLD and not posted:
            raise Crash("created_job_ids is read before anything was assigned to it")
        for identifier, items in self._groups(posted):
            self._set_jobs(self.requests[identifier], items)

    def _groups(
        self, posted: Sequence[Mapping[str, Any]]
    ) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
        """Items of each request. The old server groups only those that stand side by side, so a
        request met again is taken for its whole list anew."""
        whose = itemgetter("job_request_id")
        if self.era is Era.TODAY:
            posted = sorted((each for each in posted if whose(each) in self.requests), key=whose)
        for identifier, items in itertools.groupby(posted, whose):
            yield identifier, list(items)

    def _set_jobs(self, request: Request, items: list[Mapping[str, Any]]) -> None:
        for identifier in request.jobs.keys() - {item["identifier"] for item in items}:
            del request.jobs[identifier], self.jobs[identifier]
            self._remember(identifier, DELETED)
        for item in items:
            self._set_job(request, item)
        if request.stored_status not in FINAL:
            request.stored_status = request.computed_status

    def _set_job(self, request: Request, item: Mapping[str, Any]) -> None:
        identifier = item["identifier"]
        old = request.jobs.get(identifier)
        if old is None and identifier in self.jobs:
            raise Crash("the identifier of a job is unique over the whole table")
        new = replace(old, **item) if old else Job(next(self._pks), **item)
        request.jobs[identifier] = self.jobs[identifier] = new
        self._remember(identifier, new.status)
        if new.status in FINAL and self._was_open(old):
            self._tell(request, new)

    def _was_open(self, old: Job | None) -> bool:
        """The old server has nothing to compare a job's first post with, and tells nobody."""
        return self.era is Era.TODAY if old is None else old.status not in FINAL

    def _tell(self, request: Request, job: Job) -> None:
        if request.will_notify:
            self.mails.append(Mail(request.created_by, job))
        if any(words in job.status_message.lower() for words in ALARMING):
            self.alerts.append(job)

    def _remember(self, identifier: str, status: str) -> None:
        history = self.histories[identifier]
        if history[-1:] != [status]:
            history.append(status)

    def cancel(self, request: Request, action: str | None = None) -> None:
        """The button of the request, or with an action the one of its job.

        Raises NotStarted (today's), LookupError where the site would show no such button.
        """
        if self.era is Era.TODAY and not request.jobs:
            raise NotStarted(request.identifier)
        unfinished = {job.action for job in request.jobs.values() if job.status not in FINAL}
        if action is None:
            # It replaces the list. The old site does so even before any job is known: with nothing.
            request.cancelled_actions = sorted(unfinished)
            return
        if all(job.action != action for job in request.jobs.values()):
            raise LookupError(f"{request.identifier} has no job {action}")
        if action in unfinished and action not in request.cancelled_actions:
            request.cancelled_actions.append(action)

    def saw(self, backend: str, path: str) -> None:
        self.last_seen[backend, path] = now()

    def seen_at(self, backend: str) -> datetime | None:
        return max((at for (who, _), at in self.last_seen.items() if who == backend), default=None)
