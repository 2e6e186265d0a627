"""Rebuilt: a workspace's index and manifests, made again from what is still known for sure.

The index is made from done/ and running/, the manifests from the index. What nobody knows any more
is left out: then the action runs again, which is never wrong.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from spoolrunner import files, manifest, notebook
from spoolrunner.check.ground import Ground, days, names
from spoolrunner.drop import folder_name
from spoolrunner.errors import BadMachine
from spoolrunner.index import ActionState, Mark, Run, WorkspaceIndex
from spoolrunner.manifest import Entry, Manifest
from spoolrunner.notebook import Notebook
from spoolrunner.record import NEWER, changed, to_json
from spoolrunner.request import Code, Job, Output, Request, Status
from spoolrunner.runner import clock
from spoolrunner.spool import registry, requestfile
from spoolrunner.workspace import ledger
from spoolrunner.workspace.places import Places, manifest_of

# Of these a job's end leaves no trace in the index: nobody asked any more, or it was not its fault.
UNTOLD = (Code.CANCELLED_BY_USER, Code.INTERNAL_ERROR)


def index(ground: Ground, path: Path, before: WorkspaceIndex | None) -> None:
    """Write workspaces/NAME.json again; before: as it is, None if it can't be read.

    A torn one of which no request is left stays: whoever came next could take the workspace over.
    """
    about, actions = before, dict(before.actions) if before else {}
    for request in _of_workspace(ground, path):
        about = about or _identity(request)
        for job in request.jobs:
            if _is_told(job):
                actions[job.action] = _after(actions.get(job.action), request, job)
    if about is None:
        return
    if before is None:
        _keep_torn(ground, path)
    with files.Changes() as disk:
        Notebook(path).write(disk, to_json(changed(about, actions=actions)))


def _keep_torn(ground: Ground, path: Path) -> None:
    """A copy goes to rejected/: without a file the workspace would be anybody's for a moment."""
    for each in notebook.lying(path):
        copy = each.with_name(f"{each.name}.torn")
        with files.Changes() as disk:
            disk.write(copy, each.read_bytes())
        ground.aside(copy, "torn_file", "It was torn; it was made again from done/.")()


def _of_workspace(ground: Ground, path: Path) -> list[Request]:
    """All that are left, in order of acceptance. Reads all of done/."""
    every = (*_finished(ground), *ground.active())
    ours = [one for one in every if registry.path_of(ground.rooms, one.workspace.name) == path]
    return sorted(ours, key=lambda one: one.sequence)


def _finished(ground: Ground) -> Iterator[Request]:
    for folder in days(ground.rooms):
        for name in names(folder):
            with contextlib.suppress(BadMachine, FileNotFoundError):  # told by the look at done/
                yield requestfile.read(folder / name)


def _identity(request: Request) -> WorkspaceIndex:
    """Its number, if it had one, is lost: it can be registered again."""
    about = request.workspace
    return WorkspaceIndex(
        name=about.name,
        folder=folder_name(about.name),
        repo=about.repo,
        branch=about.branch,
        db=about.db,
    )


def _is_told(job: Job) -> bool:
    ran = job.attempt > 0 or job.status_code is Code.DEPENDENCY_FAILED
    return job.status.final and ran and job.status_code not in UNTOLD


def _after(state: ActionState | None, request: Request, job: Job) -> ActionState:
    run = Run(
        request=request.identifier,
        job=job.identifier,
        sequence=job.sequence,
        status=job.status,
        sha=request.sha or "",
        completed_at=job.completed_at or "",
    )
    before = state or ActionState(newest=run)
    newest = run if before.newest.sequence <= job.sequence else before.newest
    older = before.published is None or before.published.sequence <= job.sequence
    if job.status is not Status.SUCCEEDED or not older:
        return changed(before, newest=newest)
    if job.declared and not job.outputs:  # too many to stand in the request file
        known = before.published is not None and before.published.job == job.identifier
        return changed(before, newest=newest) if known else ActionState(newest=newest)
    marks = {path: _mark(out, before.outputs.get(path)) for path, out in job.outputs.items()}
    return ActionState(newest=newest, published=run, outputs=marks)


def _mark(output: Output, before: Mark | None) -> Mark:
    """An inode that no file has: whoever reads it next compares its hash."""
    same = before is not None and before.sha256 == output.sha256
    return Mark(
        level=output.level,
        size=output.size,
        sha256=output.sha256,
        inode=before.inode if before and same else 0,
        ctime_ns=before.ctime_ns if before and same else 0,
        excluded=output.excluded,
    )


def read_manifest(path: Path) -> Manifest:
    """Raises FileNotFoundError, BadMachine."""
    written = notebook.read(path)
    return manifest.read(written.whole, written.notes, str(path))


def is_noted(path: Path) -> bool:
    """Are there notes on this manifest? Then the one at medium privacy lags behind, as it may."""
    return bool(notebook.read(path).notes)


def manifests(ground: Ground, places: Places, about: WorkspaceIndex) -> None:
    """Write both manifests again. Of a torn one what was only told there is kept beside it."""
    high = manifest_of(places.high)
    before = _kept(ground, high) or Manifest(workspace=about.name)
    entries = dict(before.outputs)
    for action, state in about.actions.items():
        if state.published:
            entries = _without(entries, action, state) | _entries(about, action, state, entries)
    after = changed(before, outputs=entries)
    ledger.write_manifests(places, Notebook(high), after)


def _kept(ground: Ground, path: Path) -> Manifest | None:
    try:
        return read_manifest(path)
    except FileNotFoundError:
        return None
    except BadMachine as error:
        if error.kind != NEWER:
            for each in notebook.lying(path):
                ground.storage.set_aside(each, clock.now())
        return None


def _without(entries: dict[str, Entry], action: str, state: ActionState) -> dict[str, Entry]:
    """What the action no longer makes is marked, as when it had run."""
    return {
        path: changed(entry, out_of_date_output=True)
        if entry.action == action and path not in state.outputs
        else entry
        for path, entry in entries.items()
    }


def _entries(
    about: WorkspaceIndex, action: str, state: ActionState, before: dict[str, Entry]
) -> dict[str, Entry]:
    run = state.published
    found = {}
    for path, mark in state.outputs.items():
        old = before.get(path)
        if run and old and (old.job_id, old.content_hash) == (run.job, mark.sha256):
            found[path] = changed(old, out_of_date_output=False)
        elif run:
            found[path] = Entry(
                level=mark.level,
                job_id=run.job,
                job_request=run.request,
                action=action,
                repo=about.repo,
                commit=run.sha,
                size=mark.size,
                content_hash=mark.sha256,
                excluded=bool(mark.excluded),
                message=mark.excluded or None,
            )
    return found
