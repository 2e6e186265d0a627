"""Staging: the outputs a job needs are copied into its folder, and only what the index says.

Every input is checked to be what the needed job published, before and after it was copied.
Knows: storage (beside it), beneath, reflink, index, request, errors.
"""

import errno
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from spoolrunner import files, reflink
from spoolrunner.beneath import Tree
from spoolrunner.errors import BadInput
from spoolrunner.headway import UNHEARD, Headway
from spoolrunner.index import Mark
from spoolrunner.record import from_json, to_json
from spoolrunner.workspace.storage import JobFolder, Staged, Storage

_STAGED_BYTES = 1 << 30
INPUT_FILE = 0o644  # below a folder that only the job's user may enter


def copy_in(
    published: Path, job: Tree, outputs: Mapping[str, Mark], action: str, headway: Headway
) -> None:
    """Copy these outputs of an action; they win over files of the study that have their names.

    Raises BadInput ("missing_input") if one is gone or is not what was published.
    """
    for path, mark in outputs.items():
        source = _open(published, path, action)
        try:
            before = os.fstat(source)
            if not same(before, mark) and digest(source) != mark.sha256:
                raise missing(action, path, "was changed since")
            _copy(source, job, path, headway)
            if _identity(os.fstat(source)) != _identity(before):
                raise missing(action, path, "was changed while it was copied")
        finally:
            os.close(source)


def laid_out(job: JobFolder) -> tuple[Staged, int]:
    """What was laid out, and when, by the clock that also dates the job's files (ctime: a job can't
    forge it, as it can an mtime). Raises FileNotFoundError."""
    data, about = files.read_regular(job.staged, _STAGED_BYTES)
    return from_json(data, Staged, str(job.staged)), about.st_ctime_ns


def _open(published: Path, path: str, action: str) -> int:
    try:
        with Tree(published) as tree:
            return tree.open(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise missing(action, path, "is gone") from error
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise missing(action, path, "is no longer a file") from error
        raise


def _copy(source: int, job: Tree, path: str, headway: Headway) -> None:
    target = job.create(path, INPUT_FILE)
    try:
        reflink.copy(source, target, headway)
    finally:
        os.close(target)


def missing(action: str, path: str, what: str) -> BadInput:
    return BadInput(
        f"An output of {action} {what}.",
        kind="missing_input",
        hint=f"Run {action} again.",
        detail=path,
    )


def same(about: os.stat_result, mark: Mark) -> bool:
    """The same, untouched file, as far as can be told without reading it."""
    return _identity(about) == (mark.inode, mark.size, mark.ctime_ns)


def _identity(about: os.stat_result) -> tuple[int, int, int]:
    return about.st_ino, about.st_size, about.st_ctime_ns


def digest(descriptor: int, headway: Headway = UNHEARD) -> str:
    """sha256 in hex of all of an open file."""
    found, piece = hashlib.sha256(), bytearray(files.PIECE_BYTES)
    view = memoryview(piece)
    with open(descriptor, "rb", buffering=0, closefd=False) as stream:
        stream.seek(0)
        while read := stream.readinto(piece):
            found.update(view[:read])
            headway.add(read)
    return found.hexdigest()


def finish(storage: Storage, job: JobFolder, tree: Tree, inputs: Mapping[str, Mark]) -> None:
    """Give the folder to the job's user, then write down, last, what was laid out."""
    tree.hand_over(*storage.job_user)
    staged = Staged(
        boot_id=storage.boot_id,
        inputs={path: mark.sha256 for path, mark in inputs.items()},
        levels={path: mark.level for path, mark in inputs.items()},
    )
    with files.Changes() as disk:
        disk.write(job.staged, to_json(staged))
