"""Rejecting: what can't become a request goes to rejected/ with its reason, audited before."""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence

from spoolrunner import audit
from spoolrunner.audit import Event
from spoolrunner.errors import BadRequest, SpoolrunnerError
from spoolrunner.runner import clock
from spoolrunner.runner.book import Book
from spoolrunner.spool import claims
from spoolrunner.spool.claims import Claim
from spoolrunner.spool.inbox import Found, printable
from spoolrunner.spool.rooms import Rooms

log = logging.getLogger(__name__)


def from_inbox(rooms: Rooms, book: Book, found: Sequence[Found]) -> list[Found]:
    """Of what lies there, all that is refused. Returns those that can't be moved away."""
    book.audit(list(_events(found)))
    return [one for one in found if one.refuse and not _is_moved(rooms, one, one.refuse)]


def of_claim(rooms: Rooms, book: Book, claim: Claim, error: SpoolrunnerError) -> None:
    """Of what turned out to be no request when it was read."""
    book.audit([audit.reject(printable(claim.name), claim.token, claim.uid, error.kind)])
    kept = claims.reject(rooms, claim.path, claim.name, error, clock.now())
    log.warning("rejected=%s error=%s %s", kept, error.kind, error.message)


def _is_moved(rooms: Rooms, found: Found, error: BadRequest) -> bool:
    try:
        kept = claims.reject(rooms, found.path, found.path.name, error, clock.now())
    except FileNotFoundError:
        return True  # whoever dropped it took it away again
    if kept is not None:
        log.warning("rejected=%s error=%s %s", kept, error.kind, error.message)
    return kept is not None


def _events(found: Sequence[Found]) -> Iterator[Event]:
    for one in found:
        if one.refuse:
            with contextlib.suppress(FileNotFoundError):
                about = os.lstat(one.path)
                key = (about.st_ino, about.st_ctime_ns)
                yield audit.reject(printable(one.path.name), key, about.st_uid, one.refuse.kind)
