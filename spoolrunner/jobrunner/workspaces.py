"""Workspaces: what lies in job-runner's storage becomes ours where it is.

Each current output is read once, for its hash; then is written, in this order: job-runner's
manifests under a second name, notes, our manifests, the index. Until its index is written nothing
of a workspace counts, so after a kill it is simply done again.
"""

import hashlib
import os
from collections.abc import Callable

from spoolrunner import files, manifest
from spoolrunner.beneath import Tree
from spoolrunner.errors import TryLater
from spoolrunner.index import ActionState, Mark, Run, WorkspaceIndex
from spoolrunner.jobrunner import manifests
from spoolrunner.jobrunner.database import OldJob
from spoolrunner.jobrunner.history import Was
from spoolrunner.jobrunner.moments import moment
from spoolrunner.jobrunner.surveys import Survey, open_output
from spoolrunner.manifest import Entry, Manifest
from spoolrunner.notebook import Notebook
from spoolrunner.record import changed, to_json
from spoolrunner.request import Level, Status
from spoolrunner.spool import registry
from spoolrunner.spool.rooms import Rooms
from spoolrunner.workspace import Storage, ledger, publishing
from spoolrunner.workspace.places import Places, manifest_of

NOBODYS = "job-runner"  # the request of jobs that are older than its database
NOT_SHOWN = "It was not at medium privacy when spoolrunner took the workspace over from job-runner."

Read = Callable[[int], None]


def take(
    found: Survey, rooms: Rooms, storage: Storage, numbers: dict[str, int], db: str, read: Read
) -> None:
    """numbers: job -> sequence. db: if job-runner does not say. read: told of bytes read.

    Raises TryLater ("still_written"), OSError.
    """
    was, places = found.was, Places(storage, found.was.name)
    told = manifests.read(places.medium)
    actions = _states(found, places, numbers, manifests.entries(told), read)
    repo = told.get("repo")
    whole = Manifest(
        workspace=was.name,
        repo=repo if isinstance(repo, str) else None,
        outputs=_entries(was, actions, manifests.entries(told)),
    )
    _keep_theirs(places, whole)
    _write_notes(places, whole)
    ledger.write_manifests(places, Notebook(manifest_of(places.high)), whole)
    known = registry.find(rooms, was.name)
    index = WorkspaceIndex(
        name=was.name,
        folder=was.name,
        repo=was.repo,
        branch=was.branch or "main",
        db=was.db or db,
        number=known.number if known else 0,
        actions=actions,
    )
    registry.enter(rooms, index)


def _states(
    found: Survey, places: Places, numbers: dict[str, int], told: dict[str, Entry], read: Read
) -> dict[str, ActionState]:
    states = {}
    for action, job in found.was.newest.items():
        if action in found.nameless:
            continue
        run = _run(job, numbers[job.identifier])
        states[action] = ActionState(newest=run)
        if job.succeeded and (marks := _marks(places, job, told, read)) is not None:
            states[action] = ActionState(newest=run, published=run, outputs=marks)
    return states


def _run(job: OldJob, number: int) -> Run:
    return Run(
        request=job.request or NOBODYS,
        job=job.identifier,
        sequence=number,
        status=Status(job.state),
        sha=job.commit,
        completed_at=moment(job.completed_s) or "",
    )


def _marks(
    places: Places, job: OldJob, told: dict[str, Entry], read: Read
) -> dict[str, Mark] | None:
    """None if one of its outputs is not there any more: then it has published none."""
    marks: dict[str, Mark] = {}
    if not job.outputs:
        return None if job.outputs is None else marks
    try:
        tree = Tree(places.high)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with tree:
        for path, level in job.outputs.items():
            descriptor = open_output(tree, path)
            if descriptor is None:
                return None
            try:
                excluded = _why_excluded(places, job, path, level, told.get(path))
                marks[path] = _mark(descriptor, level, excluded, read)
            finally:
                os.close(descriptor)
    return marks


def _mark(descriptor: int, level: Level, excluded: str, read: Read) -> Mark:
    before = os.fstat(descriptor)
    digest = hashlib.sha256()
    while piece := os.read(descriptor, files.PIECE_BYTES):
        digest.update(piece)
        read(len(piece))
    after = os.fstat(descriptor)
    if (before.st_size, before.st_ctime_ns) != (after.st_size, after.st_ctime_ns):
        raise TryLater(
            "An output was written while it was read.",
            kind="still_written",
            hint="Stop job-runner, and do this again.",
        )
    return Mark(
        level=level,
        size=after.st_size,
        sha256=digest.hexdigest(),
        inode=after.st_ino,
        ctime_ns=after.st_ctime_ns,
        excluded=excluded,
    )


def _why_excluded(places: Places, job: OldJob, path: str, level: Level, told: Entry | None) -> str:
    """Why it is not at medium privacy; what is there job-runner has released, and stays."""
    if level is not Level.MODERATE or (places.medium / path).is_file():
        return ""
    said = told.message if told and told.job_id == job.identifier else ""
    return said or job.kept_back.get(path) or NOT_SHOWN


def _entries(was: Was, actions: dict[str, ActionState], told: dict[str, Entry]) -> dict[str, Entry]:
    """All that was ever made, the newest last, so that what lies there has its name; what is
    current is told as we tell it."""
    found = {path: _aged(entry) for path, entry in told.items()}
    for job in was.jobs:
        for path, level in (job.outputs or {}).items():
            found[path] = _aged(_entry(was, job, level))
    for action, state in actions.items():
        for path, mark in state.outputs.items():
            found[path] = _current(
                _entry(was, was.newest[action], mark.level), mark, told.get(path)
            )
    return found


def _entry(was: Was, job: OldJob, level: Level) -> Entry:
    return Entry(
        level=level,
        job_id=job.identifier,
        job_request=job.request or NOBODYS,
        action=job.action,
        repo=job.repo or was.repo,
        commit=job.commit or None,
    )


def _aged(entry: Entry) -> Entry:
    return changed(entry, out_of_date_output=True)


def _current(entry: Entry, mark: Mark, told: Entry | None) -> Entry:
    """With what job-runner counted of that very output."""
    same = told if told and told.content_hash == mark.sha256 else Entry(level=mark.level)
    return changed(
        entry,
        size=mark.size,
        content_hash=mark.sha256,
        excluded=bool(mark.excluded),
        message=mark.excluded or None,
        timestamp=same.timestamp,
        user=same.user,
        row_count=same.row_count,
        col_count=same.col_count,
    )


def _keep_theirs(places: Places, whole: Manifest) -> None:
    """A second name for the very file; whoever goes back gives it its first one again. Not of one
    that this very deed, done before, has put in its place."""
    new = {places.high: to_json(whole), places.medium: to_json(manifest.medium_view(whole))}
    for root, data in new.items():
        there, kept = manifest_of(root), manifests.kept_of(root)
        if os.path.lexists(there) and not os.path.lexists(kept) and there.read_bytes() != data:
            with files.Changes() as disk:
                disk.link(there, kept)


def _write_notes(places: Places, whole: Manifest) -> None:
    """Of what job-runner has told by a note of its own, that one stays."""
    with files.Changes() as disk:
        for name, text in manifest.notes(whole).items():
            if not os.path.lexists(places.medium / name):
                publishing.write_note(disk, places, places.medium / name, text)
