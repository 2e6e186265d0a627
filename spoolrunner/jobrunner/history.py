"""History: what of job-runner's jobs counts, by its own rules (reference/opensafely.md 4.5).

    the newest run of an action   greatest created_at, in whole seconds; of equals the first stored
    not looked at                 what was cancelled, and `__error__`
    reused                        if the newest has succeeded

Pure.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spoolrunner.jobrunner.database import Old, OldJob
from spoolrunner.request import ERROR_ACTION, RUN_ALL

FIRST = -(1 << 31)  # before all that this spool has numbered, or will


@dataclass(frozen=True)
class Was:
    """A workspace as job-runner left it. jobs: all that have ended, oldest first.

    newest: action -> its newest run that has ended. branch, db: "" if nobody knows them.
    """

    name: str
    repo: str
    branch: str
    db: str
    newest: dict[str, OldJob]
    jobs: list[OldJob]

    def replaced(self, action: str) -> bool:
        """Has another run written one of its outputs since, as one that was cancelled later may?
        job-runner reuses it all the same."""
        mine = self.newest[action]
        others = (job for job in self.jobs if _moment(job) > _moment(mine))
        return any(not (mine.outputs or {}).keys().isdisjoint(job.outputs or ()) for job in others)


@dataclass(frozen=True)
class Asked:
    """A request. unfinished: actions of it that wait or run, and were not cancelled."""

    identifier: str
    jobs: list[OldJob]

    @property
    def unfinished(self) -> list[str]:
        return [job.action for job in self.jobs if not job.ended and job.counts]


def workspaces(old: Old) -> list[Was]:
    """By name. One in which nothing has ended is none yet."""
    found: dict[str, list[OldJob]] = defaultdict(list)
    for job in sorted(old.jobs, key=_moment):
        if job.ended:
            found[job.workspace].append(job)
    return [_workspace(name, found[name], old) for name in sorted(found)]


def _workspace(name: str, jobs: list[OldJob], old: Old) -> Was:
    newest = dict(_newest(jobs))
    latest = [job for job in reversed(jobs) if job.action != ERROR_ACTION]
    asked = next((old.originals[job.request] for job in latest if job.request in old.originals), {})
    workspace = asked.get("workspace")
    branch = workspace.get("branch") if isinstance(workspace, dict) else ""
    return Was(
        name=name,
        repo=next((job.repo for job in latest if job.repo), ""),
        branch=str(branch or ""),
        db=next((job.db for job in latest if job.db), ""),
        newest=newest,
        jobs=jobs,
    )


def _newest(jobs: Iterable[OldJob]) -> Iterator[tuple[str, OldJob]]:
    runs: dict[str, list[OldJob]] = defaultdict(list)
    for job in jobs:
        if job.counts and job.action not in (ERROR_ACTION, RUN_ALL):
            runs[job.action].append(job)
    for action, candidates in runs.items():
        yield action, min(candidates, key=lambda job: (-job.created_s, job.row))


def requests(old: Old) -> list[Asked]:
    """In the order in which they came."""
    found: dict[str, list[OldJob]] = defaultdict(list)
    for job in old.jobs:
        if job.request:
            found[job.request].append(job)
    return [Asked(identifier, jobs) for identifier, jobs in found.items()]


def sequences(old: Old) -> dict[str, int]:
    """Job -> its place in our order: of one action the newest has the highest. The same each time
    it is asked, also when job-runner has gone on meanwhile."""
    ordered = sorted(old.jobs, key=lambda job: (job.created_s, -job.row))
    return {job.identifier: FIRST + place for place, job in enumerate(ordered)}


def _moment(job: OldJob) -> tuple[int, int]:
    """When it wrote its outputs."""
    return (job.completed_s or job.created_s, job.row)
