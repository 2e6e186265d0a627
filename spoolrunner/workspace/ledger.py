"""The ledger: a workspace's manifests and index, brought up to date for many jobs at once.

Rewriting both for each of 2,500 jobs costs bytes that grow with the square of their number, so jobs
that end together are written together: who comes first writes for all who wait.
Knows: places, publishing (beside it), manifest, index, record, files.
"""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from spoolrunner import files, manifest
from spoolrunner.index import ActionState, Mark, Run, WorkspaceIndex
from spoolrunner.manifest import Journal, Manifest
from spoolrunner.record import changed, from_json, to_json
from spoolrunner.request import Code, Outcome, Status
from spoolrunner.workspace import publishing
from spoolrunner.workspace.places import Places, manifest_of
from spoolrunner.workspace.storage import SHARED_FILE

T = TypeVar("T")
_MOST_BYTES = 1 << 30


class Ledger:
    """One for each workspace in a process: nobody else may write these files meanwhile."""

    def __init__(self, places: Places, index_path: Path) -> None:
        self._places = places
        self._index_path = index_path
        self._writing = threading.Lock()
        self._waiting: list[Journal] = []

    def index(self) -> WorkspaceIndex:
        """Raises FileNotFoundError if the workspace was never registered."""
        return _read(self._index_path, WorkspaceIndex)

    def settle(self, journal: Journal) -> None:
        """Enter what this job published. Its files are in place. On disk when this returns."""
        self._waiting.append(journal)
        with self._writing:
            if not any(journal is other for other in self._waiting):
                return  # whoever held the lock has written ours too
            batch, self._waiting = self._waiting, []
            try:
                self._write(batch)
            except BaseException:
                # The others try for themselves and learn of what failed.
                self._waiting += [other for other in batch if other is not journal]
                raise

    def mark(self, action: str, job: str, marks: dict[str, Mark]) -> None:
        """The same content under a new inode or ctime: remember these, not to hash it again."""
        with self._writing:
            index = self.index()
            state = index.actions.get(action)
            if state and state.published and state.published.job == job:
                index.actions[action] = changed(state, outputs=marks)
                with files.Changes() as disk:
                    disk.write(self._index_path, to_json(index))

    def note(self, action: str, run: Run) -> None:
        """A run that made nothing, such as one that failed before it could start."""
        with self._writing:
            index = self.index()
            index.actions[action] = _with_run(index.actions.get(action), run)
            with files.Changes() as disk:
                disk.write(self._index_path, to_json(index))

    def _write(self, journals: Sequence[Journal]) -> None:
        index = self.index()
        before = self._manifest(index.name)
        after = before
        for journal in journals:
            seen = self._look(journal.outcome)
            times = {path: about.st_mtime for path, about in seen.items()}
            after = manifest.with_run(after, journal.made, journal.outcome, times)
            _enter(index, journal, seen)
        self._tidy_medium(before, after)
        self._save(after, index)

    def _look(self, outcome: Outcome) -> dict[str, os.stat_result]:
        if outcome.status is not Status.SUCCEEDED:
            return {}
        return {path: os.lstat(self._places.high / path) for path in outcome.outputs}

    def _manifest(self, name: str) -> Manifest:
        """Ours; or what job-runner left at medium privacy; or a new one."""
        for root in (self._places.high, self._places.medium):
            try:
                return _read(manifest_of(root), Manifest)
            except FileNotFoundError:
                continue
        return Manifest(workspace=name)

    def _tidy_medium(self, before: Manifest, after: Manifest) -> None:
        """Flushed before the manifest is written: from then on the difference is forgotten."""
        medium = self._places.medium
        old, new = manifest.notes(before), manifest.notes(after)
        gone = (manifest.released(before) | set(old)) - manifest.released(after) - set(new)
        with files.Changes() as disk:
            for path in sorted(gone):
                if os.path.lexists(medium / path):
                    disk.remove(medium / path)
            for path, text in new.items():
                if old.get(path) != text:
                    publishing.write_note(disk, self._places, medium / path, text)

    def _save(self, after: Manifest, index: WorkspaceIndex) -> None:
        high, medium = manifest_of(self._places.high), manifest_of(self._places.medium)
        files.make_folder(high.parent)
        self._places.storage.share(medium.parent)
        with files.Changes() as disk:
            disk.write(high, to_json(after))
            disk.write(medium, to_json(manifest.medium_view(after)), SHARED_FILE)
            disk.write(self._index_path, to_json(index))


def _read(path: Path, kind: type[T]) -> T:
    data, _ = files.read_regular(path, _MOST_BYTES)
    return from_json(data, kind, str(path))


def _enter(index: WorkspaceIndex, journal: Journal, seen: dict[str, os.stat_result]) -> None:
    made, outcome = journal.made, journal.outcome
    if outcome.status_code is Code.CANCELLED_BY_USER:
        return
    run = Run(
        request=made.request,
        job=made.job,
        sequence=made.sequence,
        status=outcome.status,
        sha=made.commit,
        completed_at=outcome.completed_at or "",
    )
    state = _with_run(index.actions.get(made.action), run)
    if outcome.status is Status.SUCCEEDED:
        marks = {path: _mark(outcome, path, about) for path, about in seen.items()}
        state = changed(state, published=run, outputs=marks)
    index.actions[made.action] = state


def _with_run(state: ActionState | None, run: Run) -> ActionState:
    return changed(state, newest=run) if state else ActionState(newest=run)


def _mark(outcome: Outcome, path: str, about: os.stat_result) -> Mark:
    output = outcome.outputs[path]
    return Mark(
        level=output.level,
        size=output.size,
        sha256=output.sha256,
        inode=about.st_ino,
        ctime_ns=about.st_ctime_ns,
        excluded=output.excluded,
    )
