"""Trust: which image may run under a name, if the operator keeps a list of them (IMAGE_DIGESTS).

    python:v2  sha256:<64 hex digits>      its id, as `docker images --no-trunc` shows it

With a list, a name that is not in it never runs, and one that is runs as exactly that image,
wherever its tag has moved since. The list is read at each start, so an operator who loads an image
need not restart anything; one that is half understood opens nothing.
Knows: errors, files.
"""

import re
from pathlib import Path

from spoolrunner import files
from spoolrunner.errors import Refused

MOST_BYTES = 1 << 20
ID = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def trusted(path: Path, name: str) -> str:
    """The id of the image that may run as NAME:TAG.

    Raises Refused (kind "no_image", for which a job waits) if the list has no such name or is bad.
    """
    found = ids(path).get(name)
    if found is None:
        raise _no(f"The image {name} is not in the operators' list of images (IMAGE_DIGESTS).")
    return found


def ids(path: Path) -> dict[str, str]:
    """NAME:TAG -> id. Raises Refused (kind "no_image")."""
    try:
        text = files.read_regular(path, MOST_BYTES)[0].decode("utf-8")
    except (OSError, ValueError) as error:
        raise _no("The operators' list of images (IMAGE_DIGESTS) can't be read.", error) from error
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if words := line.partition("#")[0].split():
            name, image_id = _entry(words, number)
            if found.setdefault(name, image_id) != image_id:
                raise _no(f"Line {number} of IMAGE_DIGESTS gives {name} a second id.")
    return found


def _entry(words: list[str], number: int) -> tuple[str, str]:
    if len(words) != 2 or ":" not in words[0] or not ID.fullmatch(words[1]):
        raise _no(f"Line {number} of IMAGE_DIGESTS is not of the form NAME:TAG sha256:ID.")
    return words[0], words[1]


def _no(message: str, cause: object = "") -> Refused:
    return Refused(message, kind="no_image", detail=str(cause))
