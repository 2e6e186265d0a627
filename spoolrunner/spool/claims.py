"""Claims: files taken from the inbox and not yet dealt with; and rejected/, where the rest go.

    inbox/NAME -> .claims/TOKEN.json -> (running/ID.json is written) -> the claim is unlinked
                                     -> rejected/UTC-TOKEN-NAME + .error.json

A claim outlives every crash: each start reads what lies here. The token is the request's
identifier if it has none, so a claim that is read twice does not become two requests.
"""

import base64
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from spoolrunner import files
from spoolrunner.errors import BadRequest
from spoolrunner.record import to_json
from spoolrunner.spool.inbox import MAX_BYTES, printable
from spoolrunner.spool.rooms import Rooms

NAME_BYTES = 100  # of a dropped file's name that are kept in rejected/


@dataclass(frozen=True)
class Claim:
    """name: what the file was called in the inbox. uid: who dropped it."""

    token: str
    path: Path
    name: str
    uid: int


def new_token() -> str:
    return base64.b32encode(secrets.token_bytes(10)).decode().lower()


def take(rooms: Rooms, paths: list[Path]) -> list[Claim]:
    """Claim whole files, all flushed together. One that vanished meanwhile is left out."""
    claims = []
    with files.Changes() as disk:
        for path in paths:
            token = new_token()
            target = rooms.claims / f"{token}.json"
            try:
                disk.move(path, target)
            except FileNotFoundError:
                continue
            claims.append(_claim(token, target, path.name))
    return claims


def left_over(rooms: Rooms) -> list[Claim]:
    """What an earlier runner claimed and did not finish with."""
    paths = sorted(rooms.claims.glob("*.json"))
    return [_claim(path.stem, path, path.name) for path in paths]


def read(claim: Claim) -> bytes:
    """The claimed file's bytes, flushed: whoever dropped it did not.

    Raises BadRequest if it is not what we looked at any more, OSError if the disk fails.
    """
    try:
        data, _ = files.read_regular(claim.path, MAX_BYTES)
    except OSError as error:
        raise BadRequest("It is not a readable regular file.", kind="not_regular") from error
    if len(data) > MAX_BYTES:
        raise BadRequest(f"It is larger than {MAX_BYTES} bytes.", kind="too_big")
    return data


def drop_all(claims: list[Claim]) -> None:
    """Unlink claims whose requests are durably in running/."""
    with files.Changes() as disk:
        for claim in claims:
            disk.remove(claim.path)


def reject(rooms: Rooms, path: Path, name: str, error: BadRequest, now: str) -> str:
    """Move a file aside, untouched, with its reason beside it. Returns the name it has now."""
    stamp = "".join(letter for letter in now[:19] if letter.isdigit() or letter == "T")
    kept = f"{stamp}Z-{new_token()[:8]}-{printable(name)[:NAME_BYTES]}"
    reason = {
        "error": error.kind,
        "message": error.public,
        "name": printable(name),
        "rejected_at": now,
    }
    with files.Changes() as disk:
        disk.write(rooms.rejected / f"{kept}.error.json", to_json(reason))
        disk.move(path, rooms.rejected / kept)
    return kept


def _claim(token: str, path: Path, name: str) -> Claim:
    about = os.lstat(path)
    uid = about.st_uid if stat.S_ISREG(about.st_mode) else -1
    return Claim(token, path, name, uid)
