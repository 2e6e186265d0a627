"""Deeds: what an operator does by a command stands in the audit before it is done, or is not done.

What is dropped into the inbox (submit, retry, workspace add) is noted by the runner, when it takes
it, with the uid of the file: anybody may do that, and only the runner may write in the audit.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spoolrunner.audit import COMMAND, Event
from spoolrunner.errors import BadMachine
from spoolrunner.runner import clock
from spoolrunner.spool.audit import Trail
from spoolrunner.spool.rooms import Rooms

FULL = (errno.ENOSPC, errno.EDQUOT)
NEVER_SET = 2**32 - 1


def note(place: Rooms, *words: str, request: str = "", workspace: str = "", **details: Any) -> None:
    """words: the command, its verb first. Raises OSError, BadMachine ("missing_room"): then it must
    not be done."""
    event = Event(
        event=words[0],
        id=os.urandom(8).hex(),
        uid=os.getuid(),
        source=COMMAND,
        request=request,
        workspace=workspace,
        details=_login() | {"words": list(map(_text, words))} | details,
    )
    try:
        Trail(place).append([event], clock.now())
    except FileNotFoundError as error:
        raise BadMachine(
            f"{place.audit} is not there, and nothing is done that can't be noted in it.",
            kind="missing_room",
            hint="An older version may have made the spool: run `spoolrunner init` as its user.",
        ) from error


@contextlib.contextmanager
def making_room(place: Rooms, *words: str, **details: Any) -> Iterator[None]:
    """The same of what makes room on a disk: where that is full, it is noted when there is some."""
    try:
        note(place, *words, **details)
    except OSError as error:
        if error.errno not in FULL:
            raise
        yield
        note(place, *words, **details)
    else:
        yield


def _login() -> dict[str, int]:
    """Who logged in, where that is another: sudo and su don't change it (proc(5), loginuid)."""
    with contextlib.suppress(OSError, ValueError):
        login = int(Path("/proc/self/loginuid").read_text(encoding="ascii"))
        if login not in (NEVER_SET, os.getuid()):
            return {"login_uid": login}
    return {}


def _text(word: str) -> str:
    """A file's name may be no UTF-8, and JSON must be."""
    return word.encode(errors="backslashreplace").decode()
