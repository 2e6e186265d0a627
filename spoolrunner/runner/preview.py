"""The preview: what the planner would make of a request at this moment, found out by looking only.

Nothing is written but git's cache. What the mover does meanwhile is seen or not, as it comes; a job
that ends between two looks counts as still running, never as one that never ran.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spoolrunner import drop, plan
from spoolrunner.config import Config
from spoolrunner.errors import Bug
from spoolrunner.plan import Plan
from spoolrunner.request import Request, WorkspaceRef
from spoolrunner.runner import admission
from spoolrunner.runner.known import known
from spoolrunner.runner.reading import Reader, Reading
from spoolrunner.spool import find, registry
from spoolrunner.spool.rooms import Rooms
from spoolrunner.workspace import Published, Storage, Workspace


@dataclass(frozen=True)
class Preview:
    """before: requests in the same workspace that are planned first, and may change this."""

    request: Request
    reading: Reading
    plan: Plan
    before: tuple[str, ...]


def requested(asked: dict[str, Any]) -> Request:
    """The request that the intake would make of this drop. Raises BadRequest.

    It has no identifier: it will never be one of the spool's.
    """
    read = drop.read(asked)
    if not isinstance(read, drop.Asked) or not isinstance(read.workspace, WorkspaceRef):
        raise Bug("What was asked for is not a request with a workspace.")
    return Request(
        identifier="",
        sequence=0,
        backend=read.backend,
        workspace=read.workspace,
        sha=read.sha,
        requested_actions=read.requested_actions,
        force_run_dependencies=read.force_run_dependencies,
        created_at="",
    )


def preview(
    request: Request, reader: Reader, config: Config, rooms: Rooms, storage: Storage
) -> Preview:
    """Raises what would refuse the request: BadRequest, CannotExpand; and TryLater, BadMachine."""
    reading = reader.read(request, _look(request, rooms, storage))
    name = request.workspace.name
    others = [other for other in find.all_active(rooms) if other.workspace.name == name]
    made = plan.make(
        reading.needs,
        request.requested_actions,
        force=request.force_run_dependencies,
        cancelled=(),
        known=known(registry.find(rooms, name), others, reading),
        request=request.identifier,
        sha=reading.sha,
    )
    admission.check(
        config, request, {job.action: reading.commands[job.action] for job in made.jobs}
    )
    before = tuple(other.identifier for other in others if not other.expanded)
    return Preview(request, reading, made, before)


def _look(request: Request, rooms: Rooms, storage: Storage) -> Callable[[str], Published]:
    """Raises BadRequest if the workspace belongs to another repository or database."""
    index = registry.check(rooms, request.workspace)
    if index is None:
        return lambda action: Published.GONE
    return Workspace(storage, index.folder, registry.path_of(rooms, index.name)).peek
