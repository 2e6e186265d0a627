"""The ledger: a workspace's manifests and index, brought up to date for many jobs at once.

Rewriting both for each of 2,500 jobs costs bytes that grow with the square of their number, so jobs
that end together are written together: who comes first writes for all who wait.
Knows: places, publishing (beside it), manifest, index, record, files.
"""

import os
import stat
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class Placed:
    """A job whose files are in place. seen: each as it was just then, so that one which another
    job replaces before it is entered is found to be changed, not taken for its own."""

    journal: Journal
    seen: Mapping[str, os.stat_result]


class Ledger:
    """One for each workspace in a process: nobody else may write these files meanwhile."""

    def __init__(self, places: Places, index_path: Path) -> None:
        self._places = places
        self._index_path = index_path
        self._writing = threading.Lock()
        self._unsettled: list[Placed] = []

    def index(self) -> WorkspaceIndex:
        """Raises FileNotFoundError if the workspace was never registered."""
        return _read(self._index_path, WorkspaceIndex)

    def make_way(self, paths: Collection[str]) -> None:
        """Enter now who placed one of these: after a crash it would be found replaced, so lost."""
        if any(not placed.seen.keys().isdisjoint(paths) for placed in list(self._unsettled)):
            with self._writing:
                self._settle_all()

    def add(self, placed: Placed) -> None:
        """In the order in which files were placed, so that the last one wins here too."""
        self._unsettled.append(placed)

    def settle(self, placed: Placed) -> None:
        """On disk when this returns. Whoever holds the lock writes for all who wait."""
        with self._writing:
            if placed in self._unsettled:
                try:
                    self._settle_all()
                except BaseException:
                    self._unsettled.remove(placed)  # its job will try again
                    raise

    def _settle_all(self) -> None:
        batch = list(self._unsettled)
        self._write(batch)
        for placed in batch:  # one by one: others are added meanwhile
            self._unsettled.remove(placed)

    def note(self, runs: Mapping[str, Run]) -> None:
        """Enter runs that failed before they could make anything: they are the newest all the same,
        but for what has run since (this is done again after a crash)."""
        with self._writing:
            index = self.index()
            for action, run in runs.items():
                state = index.actions.get(action)
                if state is None or state.newest.sequence <= run.sequence:
                    index.actions[action] = _with_run(state, run)
            with files.Changes() as disk:
                disk.write(self._index_path, to_json(index))

    def mark(self, action: str, job: str, marks: dict[str, Mark]) -> None:
        """The same content under a new inode or ctime: remember these, not to hash it again."""
        with self._writing:
            index = self.index()
            state = index.actions.get(action)
            if state and state.published and state.published.job == job:
                index.actions[action] = changed(state, outputs=marks)
                with files.Changes() as disk:
                    disk.write(self._index_path, to_json(index))

    def _write(self, batch: Sequence[Placed]) -> None:
        index = self.index()
        before = self._manifest(index.name)
        after = before
        for placed in batch:
            made, outcome = placed.journal.made, placed.journal.outcome
            times = {path: about.st_mtime for path, about in placed.seen.items()}
            after = manifest.with_run(after, made, outcome, times)
            _enter(index, placed)
        self._tidy_medium(before, after)
        self._save(after, index)

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
                if _is_file(medium / path):
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
        with files.Changes() as disk:  # last: what the index tells need not be done again
            disk.write(self._index_path, to_json(index))


def _read(path: Path, kind: type[T]) -> T:
    data, _ = files.read_regular(path, _MOST_BYTES)
    return from_json(data, kind, str(path))


def _is_file(path: Path) -> bool:
    """A folder may have come where a file was: it holds other outputs."""
    try:
        return not stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _enter(index: WorkspaceIndex, placed: Placed) -> None:
    made, outcome = placed.journal.made, placed.journal.outcome
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
        marks = {path: _mark(outcome, path, about) for path, about in placed.seen.items()}
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
