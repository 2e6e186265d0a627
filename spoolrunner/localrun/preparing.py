"""Preparing a run: what an earlier one left is cleared away, the project read, the plan made.

All that can be known to be in the way is told here, before the first action starts.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spoolrunner import plan
from spoolrunner.config import Config
from spoolrunner.errors import BadInput, BadMachine
from spoolrunner.index import WorkspaceIndex
from spoolrunner.localrun import engine, study
from spoolrunner.localrun.home import Home
from spoolrunner.localrun.house import StudyHouse
from spoolrunner.localrun.told import ActionRun, Options, Planned, State
from spoolrunner.plan.notes import listed
from spoolrunner.project import Project
from spoolrunner.request import Job, Request, WorkspaceRef
from spoolrunner.runner import clock, jobs, launch
from spoolrunner.runner.known import known
from spoolrunner.runner.reading import Reading

RENEWED = (
    "What metadata/.spoolrunner told of earlier runs was made for another folder, so it was"
    " removed: every action counts as never run."
)


@dataclass(frozen=True)
class Prepared:
    """A request that is no file anywhere; its jobs may be none."""

    house: StudyHouse
    request: Request
    reused: tuple[ActionRun, ...]
    notes: tuple[str, ...]
    nothing_to_do: str
    warnings: int

    @property
    def folder(self) -> Path:
        return self.house.home.study

    def planned(self, concurrency: int) -> Planned:
        waiting = (ActionRun(action=j.action, state=State.WAITING) for j in self.request.jobs)
        return Planned(
            folder=self.folder,
            actions=(*self.reused, *waiting),
            notes=self.notes,
            executor=self.house.executor_name,
            concurrency=concurrency,
            warnings=self.warnings,
        )


def prepare(home: Home, config: Config, actions: Sequence[str], options: Options) -> Prepared:
    """Raises BadInput, BadMachine, and TryLater for a reusable action that can't be fetched."""
    renewed = RENEWED if home.renewed else ""
    house = StudyHouse(home, config, debug=options.debug)
    house.recover()
    request = _request(home.study, actions, options)
    project = house.reader.project(request.workspace.repo, "")
    if not actions:
        raise _none_named(project)
    house.studies.hide(project)
    reading = house.reader.read(request, house.workspace().look)
    index = house.workspace().index()
    made = _plan(request, reading, index)
    request.jobs = _jobs(request, made, reading, index)
    instead = _check(house, project, request.jobs) if request.jobs else ""
    return Prepared(
        house=house,
        request=request,
        reused=tuple(_reused(one.action, index) for one in made.reused),
        notes=tuple(note for note in (renewed, instead, *made.notes) if note),
        nothing_to_do=made.nothing_to_do,
        warnings=len(project.warnings),
    )


def _request(folder: Path, actions: Sequence[str], options: Options) -> Request:
    workspace = WorkspaceRef(name=folder.name or "study", repo=str(folder), branch="", db="dummy")
    return Request(
        identifier=f"local-{secrets.token_hex(5)}",
        sequence=0,
        backend="expectations",
        workspace=workspace,
        sha="",
        requested_actions=list(actions),
        force_run_dependencies=options.force_run_dependencies,
        expanded=True,
        created_at=clock.now(),
        source="submit",
    )


def _none_named(project: Project) -> BadInput:
    return BadInput(
        "No action was named.",
        kind="no_actions",
        hint=f"Name one or more of {listed([*project.actions])}, or run_all for all of them.",
    )


def _plan(request: Request, reading: Reading, index: WorkspaceIndex) -> plan.Plan:
    return plan.make(
        reading.needs,
        request.requested_actions,
        force=request.force_run_dependencies,
        cancelled=(),
        known=known(index, (), reading),
        request=request.identifier,
        sha=reading.sha,
    )


def _jobs(request: Request, made: plan.Plan, reading: Reading, index: WorkspaceIndex) -> list[Job]:
    """Younger than all that ran here before, whatever the clock says."""
    first = 1 + max((state.newest.sequence for state in index.actions.values()), default=0)
    return [
        jobs.planned(request, first + number, one, reading.commands[one.action])
        for number, one in enumerate(made.jobs)
    ]


def _check(house: StudyHouse, project: Project, wanted: Sequence[Job]) -> str:
    """And settle which executor is used; returns what there is to be said of it, or ""."""
    study.check_outputs(house.home.study, project, [job.action for job in wanted])
    licensed = [job.action for job in wanted if job.run_command.startswith("stata-mp:")]
    if licensed and not house.config.stata_license:
        raise BadMachine(
            f"Stata needs a licence, so these can't be run: {listed(licensed)}.",
            kind="no_stata_license",
            hint="Set STATA_LICENSE to its text, or STATA_LICENSE_FILE to the path of a file.",
        )
    images = [launch.image_of(house.config, job) for job in wanted]
    executor, note = engine.choose(house.config, house.home, images)
    house.use(executor)
    return note


def _reused(action: str, index: WorkspaceIndex) -> ActionRun:
    published = index.actions[action].published
    made_at = published.completed_at if published else ""
    return ActionRun(action=action, state=State.REUSED, made_at=made_at)
