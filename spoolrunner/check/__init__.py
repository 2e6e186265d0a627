"""Check: is everything fit to run, and does the spool hold together?

A look goes from the disk to findings; each finding names one of the kinds of the table (kinds.py)
and, if it can be mended without a person, brings the deed that mends it. Nothing that is not
understood is deleted: it is moved aside with its reason. Mending twice is the same as once.

    fit  whether a runner could start
    rooms, history, jobs, published, mail, audit  whether the spool holds together

Knows: runner's clock, and the world. Looking is safe beside a runner; mending needs the mover's
lock and the uploader's, which the caller holds.
"""

import logging
from collections.abc import Callable, Iterator

from spoolrunner.check.audit import audit
from spoolrunner.check.fit import fit
from spoolrunner.check.ground import Ground
from spoolrunner.check.history import history
from spoolrunner.check.jobs import jobs
from spoolrunner.check.kinds import KINDS, Finding, Grade, Kind
from spoolrunner.check.mail import mail
from spoolrunner.check.published import published
from spoolrunner.check.rooms import rooms
from spoolrunner.errors import SpoolrunnerError
from spoolrunner.record import NEWER

__all__ = ["KINDS", "Finding", "Grade", "Ground", "Kind", "look", "mend"]

log = logging.getLogger(__name__)

# In this order things are mended: who is active decides what of the rest is left over.
LOOKS: tuple[Callable[[Ground], Iterator[Finding]], ...] = (
    *(fit, rooms, history, jobs, published, mail, audit),
)


def look(ground: Ground) -> list[Finding]:
    """Everything that is found, in the order in which it would be mended."""
    return [finding for each in LOOKS for finding in each(ground)]


def mend(ground: Ground) -> Iterator[Finding]:
    """Mend what can be mended, yielding it, until a whole round finds nothing new to mend: behind
    an index that is torn lies a manifest that nobody could compare.

    Nothing at all while a file of a later version lies here: what seems left over may be its.
    """
    if any(finding.kind == NEWER for finding in look(ground)):
        return
    mended: set[Finding] = set()
    while new := list(_mended(ground, mended)):
        yield from new


def _mended(ground: Ground, before: set[Finding]) -> Iterator[Finding]:
    """One round. before: all that was mended so far, added to; a deed that is in vain ends here."""
    for each in LOOKS:
        for finding in list(each(ground)):
            if finding.mend and finding not in before:
                before.add(finding)
                if _is_mended(finding.mend, finding):
                    yield finding


def _is_mended(mend: Callable[[], object], finding: Finding) -> bool:
    """What can't be mended is still there at the next look; the others are mended all the same."""
    try:
        mend()
    except (SpoolrunnerError, OSError) as error:
        log.warning("not repaired: %s %s: %s", finding.kind, finding.where, error)
        return False
    return True
