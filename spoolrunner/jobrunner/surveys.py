"""Surveys: what of a workspace of job-runner's can be taken over, and why not; no file is read."""

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from spoolrunner.beneath import Tree
from spoolrunner.drop import WORKSPACE_NAME
from spoolrunner.errors import BadInput, TryLater
from spoolrunner.jobrunner.database import OldJob
from spoolrunner.jobrunner.history import Was
from spoolrunner.request import ACTION_NAME
from spoolrunner.spool import registry
from spoolrunner.spool.rooms import Rooms
from spoolrunner.workspace import Storage

KNOWN = "it is known here"


@dataclass(frozen=True)
class Survey:
    """What was found of a workspace. left: why it is left alone, or "".

    lacking: actions that succeeded and whose outputs are not there any more -> why. nameless:
    actions that can't be called so here. size_bytes: of what has to be read.
    """

    was: Was
    left: str = ""
    lacking: dict[str, str] = field(default_factory=dict)
    nameless: tuple[str, ...] = ()
    size_bytes: int = 0


def survey(was: Was, rooms: Rooms | None, storage: Storage, folded: set[str]) -> Survey:
    """folded: names of workspaces in lower case that more than one bears. rooms: None before init.

    Raises BadMachine if the spool's own index of it is torn.
    """
    if left := _why_left(was, rooms, storage, folded):
        return Survey(was, left)
    lacking, size_bytes = {}, 0
    for action, job in was.newest.items():
        if job.succeeded:
            here = _sizes(storage.published(was.name), job)
            size_bytes += sum(here.values())
            if job.outputs is None or here.keys() != job.outputs.keys():
                lacking[action] = _lack(job, len(here))
    nameless = tuple(action for action in was.newest if not ACTION_NAME.fullmatch(action))
    return Survey(was, "", lacking, nameless, size_bytes)


def _why_left(was: Was, rooms: Rooms | None, storage: Storage, folded: set[str]) -> str:
    if not WORKSPACE_NAME.fullmatch(was.name):
        return "its name begins or ends as none may here"
    if was.name.casefold() in folded:
        return "another one's name differs from it only in case"
    if not was.repo:
        return "job-runner does not say to which repository it belongs"
    known = registry.find(rooms, was.name) if rooms else None
    if known and known.actions:
        return KNOWN
    if known and (known.name, known.repo) != (was.name, was.repo):
        return f"here it belongs to {known.repo}, with job-runner to {was.repo}"
    try:
        storage.refuse_archived(was.name)
    except BadInput:
        return "it is archived: unpack it at both levels, and do this again"
    except TryLater as error:
        return error.message
    return ""


def _lack(job: OldJob, here: int) -> str:
    if job.outputs is None:
        return "what it made can't be read in the database"
    return f"{len(job.outputs) - here} of its {len(job.outputs)} outputs are not there"


def _sizes(root: Path, job: OldJob) -> dict[str, int]:
    """Of those of its outputs that are there, as files, and may have such a name."""
    found = {}
    try:
        tree = Tree(root)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    with tree:
        for path in job.outputs or ():
            if (descriptor := open_output(tree, path)) is not None:
                found[path] = os.fstat(descriptor).st_size
                os.close(descriptor)
    return found


def open_output(tree: Tree, path: str) -> int | None:
    """A descriptor for reading; None if it is not there, is no file, or would lead elsewhere."""
    parts = PurePosixPath(path).parts
    if str(PurePosixPath(*parts)) != path or {"..", "/"} & {*parts} or parts[0] == "metadata":
        return None
    try:
        return tree.open(path)
    except (OSError, ValueError):  # a NUL is in no name of a file
        return None
