"""Authority: what is believed of a dropped file, by whose file it is.

Anybody may write into the inbox; the operator is the runner's own user, or root.
"""

import os

from spoolrunner.errors import BadRequest
from spoolrunner.spool.claims import Claim

JOB_SERVER = "job-server"


def source(claim: Claim, said: str) -> str:
    """Where it comes from. Only the operator's word counts that job-server sent it."""
    return "inbox" if said == JOB_SERVER and not is_operators(claim) else said


def check_is_operators(claim: Claim, message: str) -> None:
    """Raises BadRequest with this message."""
    if not is_operators(claim):
        raise BadRequest(message, kind="not_allowed")


def is_operators(claim: Claim) -> bool:
    return claim.uid in (0, os.geteuid())
