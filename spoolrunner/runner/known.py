"""What is known of the actions in a workspace: what ran last, and what is scheduled."""

from collections.abc import Iterable

from spoolrunner import plan
from spoolrunner.index import ActionState, WorkspaceIndex
from spoolrunner.request import Request, Status
from spoolrunner.runner.reading import Reading
from spoolrunner.workspace import Published


def known(
    index: WorkspaceIndex | None, others: Iterable[Request], reading: Reading
) -> dict[str, plan.Known]:
    """The newest run of each action that was not cancelled.

    index: of the workspace; None for a new one. others: active requests in the same workspace.
    """
    found = {
        action: _ran(state, reading.files.get(action))
        for action, state in (index.actions if index else {}).items()
    }
    for other in others:
        for job in other.jobs:
            if job.active and not job.cancel and job.action in reading.needs:
                found[job.action] = plan.Known(
                    plan.State(job.status), other.identifier, job.identifier, other.sha or ""
                )
    return found


def _ran(state: ActionState, found: Published | None) -> plan.Known:
    """What the index says of an action; unread files count as intact until they are staged."""
    newest = state.newest
    succeeded = newest.status is Status.SUCCEEDED
    return plan.Known(
        plan.State.SUCCEEDED if succeeded else plan.State.FAILED,
        newest.request,
        newest.job,
        newest.sha,
        plan.Files(found or Published.INTACT),
    )
