"""Published: does what lies in the workspaces agree with what their index and manifests tell?

    done/ -> workspaces/NAME.json -> files at high privacy -> manifest -> files at medium privacy

Each is compared with the one before it. A file counts as untouched by inode, size and ctime; one
that was touched is read, and with --hash all are. What a journal is open for is left to its line.
"""

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from spoolrunner import manifest
from spoolrunner.beneath import Tree
from spoolrunner.check import rebuilt
from spoolrunner.check.ground import Ground, draft, is_draft, names, said
from spoolrunner.check.kinds import Finding
from spoolrunner.errors import BadInput, BadMachine, TryLater
from spoolrunner.index import ActionState, Mark, WorkspaceIndex
from spoolrunner.manifest import Manifest
from spoolrunner.record import NEWER
from spoolrunner.request import Request, Status
from spoolrunner.spool import registry, requests
from spoolrunner.workspace import Storage, medium, staging
from spoolrunner.workspace.places import Places, manifest_of


def published(ground: Ground) -> Iterator[Finding]:
    for name in names(ground.rooms.workspaces):
        if name.endswith(".json") and not name.startswith("."):
            ground.count("workspaces")
            yield from _workspace(ground, ground.rooms.workspaces / name)


def _workspace(ground: Ground, path: Path) -> Iterator[Finding]:
    try:
        index = registry.find(ground.rooms, path.stem)
    except BadMachine as error:
        if error.kind == NEWER:
            yield Finding(NEWER, str(path), said(path, error))
        else:
            mend = partial(rebuilt.index, ground, path, None)
            yield Finding("index_disagrees", str(path), said(path, error), mend)
        return
    if index is None:
        return
    if wrong := list(_told(ground, path, index)):
        yield from wrong  # and nothing is compared with an index that is wrong itself
        return
    if not _archived(ground.storage, index.folder):
        places = Places(ground.storage, index.folder)
        settled = _settled(places, index)
        yield from _files(ground, places, settled)
        yield from _manifests(ground, places, index, settled)


def _archived(storage: Storage, folder: str) -> bool:
    """Or on its way there or back: then its files are neither here nor there."""
    try:
        storage.refuse_archived(folder)
    except (BadInput, TryLater):
        return True
    return False


def _settled(places: Places, index: WorkspaceIndex) -> dict[str, ActionState]:
    """Actions that have published and are not just publishing."""
    return {
        action: state
        for action, state in index.actions.items()
        if state.published and not os.path.lexists(places.journal(action))
    }


# --- the index and done/


def _told(ground: Ground, path: Path, index: WorkspaceIndex) -> Iterator[Finding]:
    known: dict[str, Request | None] = {}
    for action, state in index.actions.items():
        if state.published is None:
            continue
        asked = state.published.request
        if asked not in known:
            known[asked] = _request(ground, asked)
        if what := _difference(known[asked], action, state):
            yield Finding(
                "index_disagrees", str(path), what, partial(rebuilt.index, ground, path, index)
            )
            return


def _request(ground: Ground, identifier: str) -> Request | None:
    """None if it is gone, by retention, or if it can't be read, which is told elsewhere."""
    try:
        return requests.read_done(ground.rooms, identifier)
    except (BadMachine, OSError):
        return None


def _difference(request: Request | None, action: str, state: ActionState) -> str:
    job = request.job(state.published.job) if request and state.published else None
    if job is None or request is None:
        return ""
    if job.status is not Status.SUCCEEDED:
        return f"It says that the job of {action!r} in {request.identifier} succeeded."
    told = {path: (output.level, output.sha256) for path, output in job.outputs.items()}
    here = {path: (mark.level, mark.sha256) for path, mark in state.outputs.items()}
    if told == here or (job.declared and not told):  # too many to stand in the request file
        return ""
    return f"The outputs of {action!r} are not those that {request.identifier} tells of."


# --- the files


def _files(ground: Ground, places: Places, settled: dict[str, ActionState]) -> Iterator[Finding]:
    folders = {places.high / "metadata", places.medium / "metadata"}
    for action, state in settled.items():
        ground.count("published outputs", len(state.outputs))
        ground.files_headway.expect(len(state.outputs))
        ground.bytes_headway.expect(sum(mark.size for mark in state.outputs.values()))
        for path, mark in state.outputs.items():
            folders |= {(places.high / path).parent, (places.medium / path).parent}
            yield from _output(ground, places.high, path, mark, action)
            ground.files_headway.add()
    for folder in sorted(folders):
        for name in names(folder):
            if is_draft(name):
                yield from draft(folder / name)


def _output(ground: Ground, root: Path, path: str, mark: Mark, action: str) -> Iterator[Finding]:
    try:
        with Tree(root) as tree:
            descriptor = tree.open(path)
    except (FileNotFoundError, NotADirectoryError):
        yield Finding("output_gone", str(root / path), f"An output of {action}.")
        return
    except OSError:
        yield Finding("output_changed", str(root / path), f"It is no file. An output of {action}.")
        return
    try:
        about = os.fstat(descriptor)
        touched = not staging.same(about, mark)
        if about.st_size != mark.size or (
            (touched or ground.hashes)
            and staging.digest(descriptor, ground.bytes_headway) != mark.sha256
        ):
            yield Finding("output_changed", str(root / path), f"An output of {action}.")
    finally:
        os.close(descriptor)


# --- the manifests and medium privacy


def _manifests(
    ground: Ground, places: Places, index: WorkspaceIndex, settled: dict[str, ActionState]
) -> Iterator[Finding]:
    path = manifest_of(places.high)
    mend = partial(rebuilt.manifests, ground, places, index)
    try:
        told = rebuilt.read_manifest(path)
    except FileNotFoundError:
        if any(state.outputs for state in settled.values()):
            yield Finding("manifest_disagrees", str(path), "It is not there.", mend)
        return
    except BadMachine as error:
        yield Finding("manifest_disagrees", str(path), said(path, error), mend)
        return
    if what := _untold(told, settled):
        yield Finding("manifest_disagrees", str(path), what, mend)
        return
    if _view(places) != manifest.medium_view(told) and not rebuilt.is_noted(path):
        what = "It is not what the one at high privacy tells of medium privacy."
        yield Finding("manifest_disagrees", str(manifest_of(places.medium)), what, mend)
    yield from _medium(ground, places, told, settled)


def _untold(told: Manifest, settled: dict[str, ActionState]) -> str:
    """Without a journal, an action's outputs are exactly those its entries name, by hash."""
    for action, state in settled.items():
        job = state.published.job if state.published else ""
        named = {
            path: entry.content_hash
            for path, entry in told.outputs.items()
            if entry.job_id == job and not entry.out_of_date_output
        }
        if named != {path: mark.sha256 for path, mark in state.outputs.items()}:
            return f"It does not name the outputs of {action!r} as they are."
    return ""


def _view(places: Places) -> Manifest | None:
    try:
        return rebuilt.read_manifest(manifest_of(places.medium))
    except (FileNotFoundError, BadMachine):
        return None


def _medium(
    ground: Ground, places: Places, told: Manifest, settled: dict[str, ActionState]
) -> Iterator[Finding]:
    marks = {path: mark for state in settled.values() for path, mark in state.outputs.items()}
    released = {path for path, entry in told.outputs.items() if entry.released}
    notes = manifest.notes(told)
    for path in sorted(released & marks.keys()):
        yield from _released(ground, places, path, marks[path])
    for path, text in sorted(notes.items()):
        if not (places.medium / path).exists():
            mend = partial(medium.write_note, places, path, text)
            yield Finding("medium_missing", str(places.medium / path), "A note.", mend)
    yield from _unreleased(places.medium, released | notes.keys())


def _released(ground: Ground, places: Places, path: str, mark: Mark) -> Iterator[Finding]:
    """It is a copy, so only its size tells something without reading it."""
    target = places.medium / path
    release = partial(medium.release, places, path, mark)
    mend = release if _may_be_copied(places, path, mark) else None
    try:
        with Tree(places.medium) as tree:
            descriptor = tree.open(path)
    except OSError:
        yield Finding("medium_missing", str(target), "A released output.", mend)
        return
    try:
        if os.fstat(descriptor).st_size != mark.size or (
            ground.hashes and staging.digest(descriptor) != mark.sha256
        ):
            yield Finding("medium_differs", str(target), "A released output.", mend)
    finally:
        os.close(descriptor)


def _may_be_copied(places: Places, path: str, mark: Mark) -> bool:
    """As far as can be told without reading; what is copied is read first."""
    try:
        about = os.lstat(places.high / path)
    except OSError:
        return False
    return stat.S_ISREG(about.st_mode) and about.st_size == mark.size


def _unreleased(root: Path, released: set[str]) -> Iterator[Finding]:
    try:
        tree = Tree(root)
    except FileNotFoundError:
        return
    with tree:
        for found in tree.walk(os.pathconf("/", "PC_PATH_MAX")):
            top = PurePosixPath(found.path).parts[0]
            known = found.folder or top == "metadata" or found.path in released
            if not known and not is_draft(PurePosixPath(found.path).name):
                yield Finding("not_released", str(root / found.path), "No manifest releases it.")
