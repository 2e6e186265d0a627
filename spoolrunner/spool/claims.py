"""Claims: files taken from the inbox and not yet dealt with; and rejected/, where the rest go.

    inbox/NAME -> .claims/TOKEN.json -> (running/ID.json is written) -> the claim is unlinked
                                     -> rejected/UTC-TOKEN-NAME + .error.json

A claim outlives every crash: each start reads what lies here. The token is the request's
identifier if it has none, so a claim that is read twice does not become two requests.
"""

import base64
import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from spoolrunner import files
from spoolrunner.errors import SpoolrunnerError
from spoolrunner.record import to_json
from spoolrunner.spool.inbox import Found, printable
from spoolrunner.spool.rooms import Rooms

NAME_BYTES = 100  # of a dropped file's name that are kept in rejected/

# Immutable or append-only (EPERM), another user's folder (EACCES), a mount point (EBUSY, EXDEV).
UNMOVABLE = (errno.EPERM, errno.EACCES, errno.EBUSY, errno.EXDEV)


@dataclass(frozen=True)
class Claim:
    """name: what the file was called in the inbox. uid: who dropped it."""

    token: str
    path: Path
    name: str
    uid: int


def new_token() -> str:
    return base64.b32encode(os.urandom(10)).decode().lower()


def take(rooms: Rooms, found: list[Found]) -> tuple[list[Claim], list[Found]]:
    """Claim whole files, all flushed together; and those that can't be moved away.

    One that vanished meanwhile is left out. Not flushed themselves: until the request is in
    running/, nobody was told that it was taken.
    """
    claims, stuck = [], []
    with files.Changes() as disk:
        for one in found:
            token = new_token()
            target = rooms.claims / f"{token}.json"
            try:
                disk.move(one.path, target)
                claims.append(_claim(token, target, one.path.name))
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno not in UNMOVABLE:
                    raise
                stuck.append(one)
    return claims, stuck


def left_over(rooms: Rooms) -> list[Claim]:
    """What an earlier runner claimed and did not finish with, each file once."""
    _claim_other_names(rooms)
    claims: dict[int, Claim] = {}
    with files.Changes() as disk:
        for path in sorted(rooms.claims.glob("*.json")):
            inode = os.lstat(path).st_ino
            if inode in claims:
                disk.remove(path)
            else:
                claims[inode] = _claim(path.stem, path, path.name)
    return list(claims.values())


def _claim_other_names(rooms: Rooms) -> None:
    """A power cut can leave a claim in the inbox too (reference/spool.md 2.1, row c1).

    That name is not unlinked there, where it may be another file by now, but claimed as well.
    """
    abouts = [os.lstat(path) for path in rooms.claims.glob("*.json")]
    doubled = {about.st_ino for about in abouts if about.st_nlink > 1}
    with os.scandir(rooms.inbox) as entries:
        names = [entry.name for entry in entries if doubled and entry.inode() in doubled]
    take(rooms, [Found(rooms.inbox / name, take=True) for name in names])


def drop_all(claims: list[Claim]) -> None:
    """Unlink claims whose requests are durably in running/."""
    with files.Changes() as disk:
        for claim in claims:
            disk.remove(claim.path)


def reject(rooms: Rooms, path: Path, name: str, error: SpoolrunnerError, now: str) -> str | None:
    """Move a file aside, untouched, with its reason beside it. Returns the name it has now.

    The reason is written first, so that nothing lies there without one. None: it can't be moved.
    Raises FileNotFoundError if it is gone.
    """
    stamp = "".join(letter for letter in now[:19] if letter.isdigit() or letter == "T")
    kept = f"{stamp}Z-{new_token()[:8]}-{printable(name)[:NAME_BYTES]}"
    why = rooms.rejected / f"{kept}.error.json"
    reason = {
        "error": error.kind,
        "message": error.public,
        "name": printable(name),
        "rejected_at": now,
    }
    with files.Changes() as disk:
        disk.write(why, to_json(reason))
        try:
            disk.move(path, rooms.rejected / kept)
        except OSError as failure:
            disk.remove(why)
            if failure.errno in UNMOVABLE:
                return None
            raise
    return kept


def _claim(token: str, path: Path, name: str) -> Claim:
    about = os.lstat(path)
    uid = about.st_uid if stat.S_ISREG(about.st_mode) else -1
    return Claim(token, path, name, uid)
