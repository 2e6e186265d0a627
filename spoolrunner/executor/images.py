"""Local images: which command of this machine stands for an image's name.

`python:v2` is this Python, `r:latest` is Rscript, as the table says. Entry points behave like those
of the real images (reference/opensafely.md 5.5): if the first argument is itself a program it is
run, otherwise it is handed to the image's command.
Knows: executor (the contract), errors, files.
"""

import errno
import fnmatch
import functools
import hashlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from spoolrunner import files
from spoolrunner.errors import Refused
from spoolrunner.executor import Image

Commands = Mapping[str, Sequence[str]]

NOT_A_FILE = (errno.ENOENT, errno.ELOOP, errno.EINVAL, errno.EACCES)

# An empty command is an image without an entry point: the first argument must be a program.
DEFAULT_COMMANDS: Commands = MappingProxyType(
    {"python:*": (sys.executable,), "r:*": ("Rscript",), "busybox:*": ()}
)
PATH = os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"])


class LocalImages:
    """The table of image patterns (`name:tag`, without a registry) and their commands."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def image_id(self, image: str) -> str:
        """The hash of the program that stands for it, or "" if there is none here."""
        command = self._command(image)
        return (
            f"local:{_digest(command[0] if command else '/bin/sh')}" if command is not None else ""
        )

    def find(self, image: str) -> Image | None:
        found = self.image_id(image)
        return Image(found) if found else None

    def argv(self, image: str, arguments: Sequence[str], folder: Path) -> list[str]:
        """The whole command line. A program of the study's own is given relative to folder.

        Raises Refused "no_image". A program that is not there is no error here: as under docker
        (its init runs first) the job begins and ends with 127.
        """
        command = self._command(image)
        if command is None:
            raise Refused(
                f"No program of this machine stands for the image {image}.",
                kind="no_image",
                hint="Install it, or add IMAGE=COMMAND to the table of local images.",
            )
        first, rest = (arguments[0], arguments[1:]) if arguments else ("", ())
        # Many machines have a python3 and no python, so the image's own name is its command.
        if command and first in (_name(image).partition(":")[0], Path(command[0]).name):
            return [*command, *rest]
        if program := _program(first, folder):
            return [program, *rest]
        return [*command, *arguments]

    def programs(self) -> list[str]:
        """Absolute paths of every program in the table that is installed."""
        found = [_installed(command) for command in self._commands.values()]
        return [command[0] for command in found if command]

    def runtimes(self) -> set[str]:
        """Names, without tags, of the images that a program stands for."""
        return {
            name.partition(":")[0]
            for name, command in self._commands.items()
            if _installed(command) is not None
        }

    def _command(self, image: str) -> list[str] | None:
        """None: unknown, or its program is not installed."""
        for pattern, command in self._commands.items():
            if fnmatch.fnmatchcase(_name(image), pattern):
                return _installed(command)
        return None


def _name(image: str) -> str:
    """`ghcr.io/opensafely-core/python:v2` -> `python:v2`; without a tag it is `:latest`."""
    name = image.rpartition("/")[2].partition("@")[0]
    return name if ":" in name else f"{name}:latest"


def _installed(command: Sequence[str]) -> list[str] | None:
    if not command:
        return []
    program = shutil.which(command[0], path=PATH)
    return [program, *command[1:]] if program else None


def _program(word: str, folder: Path) -> str:
    """The word as something that can be run, or "". Scripts need their first line, as in images."""
    if "/" not in word:
        return shutil.which(word, path=PATH) or ""
    path = folder / word
    return word if os.access(path, os.X_OK) and _begins_as_program(path) else ""


def _begins_as_program(path: Path) -> bool:
    try:
        start, _ = files.read_regular(path, 4)
    except OSError as error:
        if error.errno not in NOT_A_FILE:
            raise
        return False
    return start.startswith((b"#!", b"\x7fELF"))


def _digest(program: str) -> str:
    path = os.path.realpath(program)
    return _digest_once(path, os.stat(path).st_mtime_ns)


@functools.cache
def _digest_once(path: str, mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
