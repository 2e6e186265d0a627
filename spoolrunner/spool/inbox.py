"""The inbox: what lies in it, and whether it is whole, for us, and safe to take.

The inbox is hostile: anybody may have put anything there, and may still be writing it. Nothing in
it is unlinked by its name, followed or believed; it is looked at, and what is whole is moved away
by one rename. What counts is what is read after that. Procedure: reference/spool.md 2.4, 2.7.
"""

import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from spoolrunner import drop, files
from spoolrunner.errors import BadRequest
from spoolrunner.record import parse_foreign

MAX_BYTES = 1 << 20
# Cut short, a request shows these; anything else that is wrong with it can't mend by more bytes.
INCOMPLETE = ("not_json", "not_utf8")

# Names that editors and copiers use for files they have not finished (reference/spool.md 2.4).
UNFINISHED = re.compile(
    r"^[.#~_]|~$|\.sw.$|\.(tmp|temp|part|partial|filepart|crdownload|download|bak|orig|rej|old|new"
    r"|lock|lck)$|^\._|conflicted copy|^(4913|thumbs\.db|desktop\.ini)$",
    re.IGNORECASE,
)

NOT_REGULAR = BadRequest("It is not a regular file; it was not followed.", kind="not_regular")
TOO_BIG = BadRequest(f"It is larger than {MAX_BYTES} bytes.", kind="too_big")
HARD_LINK = BadRequest("It has a second name elsewhere (a hard link).", kind="hard_link")
EMPTY = BadRequest("The file is empty.", kind="empty")
NO_PERMISSION = BadRequest(
    "The runner may not read it.", kind="no_permission", hint="Drop it again, readable (chmod a+r)."
)
NOT_A_FILE = (errno.ELOOP, errno.EINVAL, errno.ENXIO, errno.EISDIR, errno.ENODEV)

Mark = tuple[int, int, int]  # inode, size, ctime: while these stay, so does the content


class Why(StrEnum):
    """Why a file in the inbox is not taken (shown by `status`)."""

    NAME = "its name does not end in .json, or is one that editors use for unfinished files"
    WRITTEN = "somebody still has it open for writing"
    FRESH = "it changed within the last seconds"
    INCOMPLETE = "it is not complete JSON yet"
    EMPTY = "it is empty"
    BACKEND = "it is for another backend"
    PERMISSION = "the runner may not read it: chmod a+r, or drop it again as a user it may read"
    LEAVING = "jobs of a withdrawn request of that identifier are still being stopped"
    STUCK = "it can't be moved: immutable, a mount point, or a folder of another user"


@dataclass(frozen=True)
class Patience:
    """How long a file may settle, in seconds since its last change (ctime: cp -p keeps mtime)."""

    quiet_s: float = 2
    incomplete_s: float = 60
    empty_s: float = 600


@dataclass(frozen=True)
class Found:
    """One file of the inbox. Exactly one of take, refuse, wait says what to do with it.

    again_s: when to look again if nothing happens, None: only when it changes.
    """

    path: Path
    take: bool = False
    refuse: BadRequest | None = None
    wait: Why | None = None
    again_s: float | None = None


class Inbox:
    """Looks at the inbox; remembers what it read, by inode, size and ctime."""

    def __init__(self, folder: Path, backend: str, patience: Patience) -> None:
        self._folder = folder
        self._backend = backend
        self._patience = patience
        self._known: dict[str, tuple[Mark, Found]] = {}
        self._from_the_future: dict[Mark, float] = {}

    def look(self) -> list[Found]:
        """Everything in the inbox, in the order of names. Costs one stat a file."""
        seen = {name: self._remembered(name) for name in sorted(os.listdir(self._folder))}
        found = {name: one for name, one in seen.items() if one is not None}
        self._known = {name: self._known[name] for name in found if name in self._known}
        if self._from_the_future:
            marks = {mark for mark, _ in self._known.values()}
            self._from_the_future = {
                mark: since for mark, since in self._from_the_future.items() if mark in marks
            }
        return list(found.values())

    def content(self, path: Path, *, quiet_s: float) -> dict[str, Any] | Found:
        """What a whole file holds, or why it is refused or has to wait. Also asked of a claim.

        quiet_s: how long it must not have changed where the kernel won't say who writes it.
        """
        about = os.lstat(path)
        if refusal := _unfit(about):
            return Found(path, refuse=refusal)
        age_s = self._age_s(about)
        try:
            return self._unsettled(path, about, age_s, quiet_s) or self._read(path, age_s)
        except PermissionError:
            return self._overdue(path, age_s, Why.PERMISSION, NO_PERMISSION)
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno not in NOT_A_FILE:
                raise
            # Something else was put in its place since the lstat above: look again.
            return Found(path, wait=Why.FRESH, again_s=self._patience.quiet_s)

    def stuck(self, found: Found) -> Found:
        """It could not be moved away; let it be until it changes."""
        left = Found(found.path, wait=Why.STUCK)
        if known := self._known.get(found.path.name):
            self._known[found.path.name] = (known[0], left)
        return left

    def _remembered(self, name: str) -> Found | None:
        path = self._folder / name
        try:
            about = os.lstat(path)
            mark = _mark(about)
            known = self._known.get(name)
            if known and known[0] == mark and known[1].again_s is None:
                return known[1]
            found = self._judge(path, about)
        except FileNotFoundError:
            return None
        self._known[name] = (mark, found)
        return found

    def _judge(self, path: Path, about: os.stat_result) -> Found:
        if UNFINISHED.search(path.name) or not path.name.lower().endswith(".json"):
            return Found(path, wait=Why.NAME)
        if stat.S_ISREG(about.st_mode) and about.st_nlink > 1:
            return self._linked(path, self._age_s(about))
        whole = self.content(path, quiet_s=self._patience.quiet_s)
        if isinstance(whole, Found):
            return whole
        backend = drop.backend_of(whole)
        if backend is not None and backend != self._backend:
            return Found(path, wait=Why.BACKEND)
        return Found(path, take=True)

    def _linked(self, path: Path, age_s: float) -> Found:
        """Time for the `rm` after `ln`; whatever has two names for longer could be anybody's."""
        quiet_s = self._patience.quiet_s
        if age_s < quiet_s:
            return Found(path, wait=Why.FRESH, again_s=quiet_s - age_s)
        return Found(path, refuse=HARD_LINK)

    def _age_s(self, about: os.stat_result) -> float:
        """Since its last change; by our own watch if that lies in the future (a clock set back)."""
        age_s = time.time() - about.st_ctime
        if age_s >= 0:
            return age_s
        now_s = time.monotonic()
        return now_s - self._from_the_future.setdefault(_mark(about), now_s)

    def _unsettled(
        self, path: Path, about: os.stat_result, age_s: float, quiet_s: float
    ) -> Found | None:
        written = files.being_written(path)
        if written:
            return Found(path, wait=Why.WRITTEN, again_s=1)
        if written is None and age_s < quiet_s:
            return Found(path, wait=Why.FRESH, again_s=quiet_s - age_s)
        if about.st_size == 0:
            return self._overdue(path, age_s, Why.EMPTY, EMPTY)
        return None

    def _read(self, path: Path, age_s: float) -> dict[str, Any] | Found:
        data, _ = files.read_regular(path, MAX_BYTES)
        if len(data) > MAX_BYTES:
            return Found(path, refuse=TOO_BIG)
        try:
            return parse_foreign(data)
        except BadRequest as error:
            if error.kind in INCOMPLETE:
                return self._overdue(path, age_s, Why.INCOMPLETE, error)
            return Found(path, refuse=error)

    def _overdue(self, path: Path, age_s: float, why: Why, refusal: BadRequest) -> Found:
        """Wait until its time is over, then refuse."""
        limit_s = self._patience.empty_s if why is Why.EMPTY else self._patience.incomplete_s
        if age_s < limit_s:
            return Found(path, wait=why, again_s=limit_s - age_s)
        return Found(path, refuse=refusal)


def waiting(found: list[Found]) -> Iterator[tuple[str, Why]]:
    """Names (escaped, safe to print) and reasons of what is left lying."""
    for one in found:
        if one.wait is not None:
            yield printable(one.path.name), one.wait


def printable(name: str) -> str:
    """A file name that a terminal and JSON can take: what is not plain is percent-escaped."""
    raw = os.fsencode(name)
    return "".join(
        chr(byte) if 0x20 < byte < 0x7F and byte not in b"%/\\" else f"%{byte:02X}" for byte in raw
    )


def _mark(about: os.stat_result) -> Mark:
    return (about.st_ino, about.st_size, about.st_ctime_ns)


def _unfit(about: os.stat_result) -> BadRequest | None:
    if not stat.S_ISREG(about.st_mode):
        return NOT_REGULAR
    return TOO_BIG if about.st_size > MAX_BYTES else None
