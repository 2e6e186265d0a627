"""Aside: room for an output where something else stands. Nothing is removed for it.

Knows: files.
"""

import os
import stat
from pathlib import Path

from spoolrunner import files


def make_room(disk: files.Changes, root: Path, path: str, aside: Path) -> None:
    """Set aside a file (or link) that stands where a folder has to be, or a folder for a file.

    Not removed: it may be a good output of another action.
    """
    names = path.split("/")
    for depth in range(1, len(names) + 1):
        part = "/".join(names[:depth])
        about = about_of(root / part)
        if about is None:
            return
        if stat.S_ISDIR(about.st_mode) == (depth == len(names)) or stat.S_ISLNK(about.st_mode):
            files.make_folder((aside / part).parent)
            disk.replace(root / part, aside / part)


def about_of(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
