"""Rights: what somebody who drops a file may do, by the uid that the file has.

Nothing in a file says who wrote it; the kernel does.
"""

import os

from spoolrunner import drop
from spoolrunner.errors import BadRequest
from spoolrunner.request import Request, WorkspaceRef
from spoolrunner.spool.claims import Claim

JOB_SERVER = "job-server"


def believed(claim: Claim, source: str) -> str:
    """Anybody may write into the inbox that job-server sent it."""
    if source == JOB_SERVER and claim.uid not in (0, os.geteuid()):
        return "inbox"
    return source


def check_is_operator(claim: Claim, message: str) -> None:
    if claim.uid not in (0, os.geteuid()):
        raise BadRequest(message, kind="not_allowed")


def check_same(asked: drop.Asked, known: Request, workspace: WorkspaceRef) -> None:
    if asked.identifier != known.identifier:
        raise BadRequest(
            f"The identifier differs only in case from {known.identifier}.", kind="identifier_taken"
        )
    same = (
        asked.backend == known.backend
        and asked.sha in (None, known.sha, known.original.get("sha"))
        and _same_actions(asked, known)
        and asked.force_run_dependencies == known.force_run_dependencies
        and workspace == known.workspace
    )
    if not same:
        raise BadRequest(
            f"The identifier {known.identifier} belongs to another request.",
            kind="identifier_taken",
            hint="Give it one of its own, or leave it out.",
        )


def _same_actions(asked: drop.Asked, known: Request) -> bool:
    """A drop that only cancels need not repeat the actions."""
    only_cancels = not asked.requested_actions and bool(asked.cancelled_actions)
    return only_cancels or asked.requested_actions == known.requested_actions
