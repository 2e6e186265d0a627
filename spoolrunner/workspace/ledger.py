"""The ledger: a workspace's manifests and index, brought up to date for many jobs at once.

Jobs that end together are entered together: who comes first writes for all who wait. And what was
written is remembered, and only noted while it is large (notebook.py): to read and rewrite all of it
for each of 2,500 jobs would cost time and bytes that grow with the square of their number.
The manifest at medium privacy is written whenever the one at high privacy is written whole; while
that has notes it lags behind, until `fold`.
Knows: places, publishing (beside it), manifest, index, notebook, record, files.
"""

import contextlib
import os
import stat
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spoolrunner import files, index, manifest, notebook
from spoolrunner.index import ActionState, Mark, Run, WorkspaceIndex
from spoolrunner.manifest import Catalogue, End, Journal, Manifest
from spoolrunner.notebook import Notebook
from spoolrunner.record import changed, to_json
from spoolrunner.request import Code, Outcome, Status
from spoolrunner.workspace import publishing
from spoolrunner.workspace.places import Places, manifest_of
from spoolrunner.workspace.storage import SHARED_FILE


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
        self._index_book = Notebook(index_path)
        self._manifest_book = Notebook(manifest_of(places.high))
        self._writing = notebook.writing(index_path)
        self._unsettled: list[Placed] = []
        self._index: WorkspaceIndex | None = None
        self._owners: dict[str, set[str]] = {}
        self._catalogue: Catalogue | None = None

    def index(self) -> WorkspaceIndex:
        """As it is on disk; not to be changed. Raises FileNotFoundError if the workspace was never
        registered, BadMachine."""
        with self._writing:
            return self._read_index()

    def known(self, paths: Iterable[str]) -> Mapping[str, list[Mark]]:
        """What is known of files of these names, whichever action published them."""
        with self._writing:
            actions = self._read_index().actions
            return {
                path: [actions[action].outputs[path] for action in self._owners.get(path, ())]
                for path in paths
            }

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
        with self._all_or_forgotten():
            self._enter_in_manifest(batch)
            self._enter_in_index(batch)  # last: what the index tells need not be done again
        for placed in batch:  # one by one: others are added meanwhile
            self._unsettled.remove(placed)

    @property
    def lags(self) -> bool:
        """Is there a file that does not tell all by itself?"""
        return self._index_book.has_notes or self._manifest_book.has_notes

    def fold(self) -> None:
        """Write what was only noted into the files themselves."""
        with self._writing, self._all_or_forgotten():
            if self._manifest_book.has_notes:
                write_manifests(self._places, self._manifest_book, self._read_manifest().manifest)
            if self._index_book.has_notes:
                self._write_index(self._read_index())
            self._catalogue = None  # large, and not needed until the next job ends

    def note(self, runs: Mapping[str, Run]) -> None:
        """Enter runs that failed before they could make anything: they are the newest all the same,
        but for what has run since (this is done again after a crash)."""
        with self._writing, self._all_or_forgotten():
            actions = self._read_index().actions
            self._put(
                {
                    action: _with_run(state, run)
                    for action, run in runs.items()
                    if (state := actions.get(action)) is None
                    or state.newest.sequence <= run.sequence
                }
            )

    def mark(self, action: str, job: str, marks: dict[str, Mark]) -> None:
        """The same content under a new inode or ctime: remember these, not to hash it again."""
        with self._writing, self._all_or_forgotten():
            state = self._read_index().actions.get(action)
            if state and state.published and state.published.job == job:
                self._put({action: changed(state, outputs=marks)})

    @contextlib.contextmanager
    def _all_or_forgotten(self) -> Iterator[None]:
        """What could not be written must not be remembered: it is read again from the disk."""
        try:
            yield
        except BaseException:
            self._index = self._catalogue = None
            for book in (self._index_book, self._manifest_book):
                book.distrust()
            raise

    def _read_index(self) -> WorkspaceIndex:
        if self._index is None or not self._index_book.current:
            written = self._index_book.read()
            self._index = index.read(written.whole, written.notes, str(self._index_book.path))
            self._owners = defaultdict(set)
            for action, state in self._index.actions.items():
                for path in state.outputs:
                    self._owners[path].add(action)
        return self._index

    def _enter_in_index(self, batch: Sequence[Placed]) -> None:
        actions = self._read_index().actions
        states: dict[str, ActionState] = {}
        for placed in batch:
            made, outcome = placed.journal.made, placed.journal.outcome
            if outcome.status_code is not Code.CANCELLED_BY_USER:
                before = states.get(made.action) or actions.get(made.action)
                states[made.action] = _after(before, placed)
        self._put(states)

    def _put(self, states: Mapping[str, ActionState]) -> None:
        if not states:
            return
        known = self._read_index()
        for action, state in states.items():
            before = known.actions.get(action)
            for path in before.outputs.keys() - state.outputs.keys() if before else ():
                self._owners[path].discard(action)
            for path in state.outputs:
                self._owners[path].add(action)
            known.actions[action] = state
        if not self._index_book.note(index.Noted(actions=dict(states))):
            self._write_index(known)

    def _write_index(self, whole: WorkspaceIndex) -> None:
        with files.Changes() as disk:
            self._index_book.write(disk, to_json(whole))

    def _read_manifest(self) -> Catalogue:
        """Ours; or what job-runner left at medium privacy; or a new one."""
        if self._catalogue is None or not self._manifest_book.current:
            name = self._read_index().name
            self._catalogue = Catalogue(self._found() or Manifest(workspace=name))
        return self._catalogue

    def _found(self) -> Manifest | None:
        for book in (self._manifest_book, Notebook(manifest_of(self._places.medium))):
            with contextlib.suppress(FileNotFoundError):
                written = book.read()
                return manifest.read(written.whole, written.notes, str(book.path))
        return None

    def _enter_in_manifest(self, batch: Sequence[Placed]) -> None:
        catalogue = self._read_manifest()
        change = catalogue.enter(_end(placed) for placed in batch)
        self._tidy_medium(change)
        if change.noted is None and os.path.lexists(self._manifest_book.path):
            return
        if change.noted is None or not self._manifest_book.note(change.noted):
            write_manifests(self._places, self._manifest_book, catalogue.manifest)

    def _tidy_medium(self, change: manifest.Change) -> None:
        """Flushed before the manifest is written: from then on the difference is forgotten."""
        medium = self._places.medium
        with files.Changes() as disk:
            for path in sorted(change.gone):
                if _is_file(medium / path):
                    disk.remove(medium / path)
            for path, text in change.told.items():
                publishing.write_note(disk, self._places, medium / path, text)


def write_manifests(places: Places, book: Notebook, whole: Manifest) -> None:
    """Both, whole. book: of the one at high privacy. The view first: with the notes on that one
    goes all that says that the view lags."""
    medium = manifest_of(places.medium)
    files.make_folder(book.path.parent)
    places.storage.share(medium.parent)
    with files.Changes() as disk:
        disk.write(medium, to_json(manifest.medium_view(whole)), SHARED_FILE)
    with files.Changes() as disk:
        book.write(disk, to_json(whole))


def _is_file(path: Path) -> bool:
    """A folder may have come where a file was: it holds other outputs."""
    try:
        return not stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _end(placed: Placed) -> End:
    times = {path: about.st_mtime for path, about in placed.seen.items()}
    return End(placed.journal.made, placed.journal.outcome, times)


def _after(state: ActionState | None, placed: Placed) -> ActionState:
    """What is known of an action after this run of it."""
    made, outcome = placed.journal.made, placed.journal.outcome
    run = Run(
        request=made.request,
        job=made.job,
        sequence=made.sequence,
        status=outcome.status,
        sha=made.commit,
        completed_at=outcome.completed_at or "",
        ran_s=outcome.metrics.run_s if outcome.metrics else None,
    )
    after = _with_run(state, run)
    if outcome.status is not Status.SUCCEEDED:
        return after
    marks = {path: _mark(outcome, path, about) for path, about in placed.seen.items()}
    return changed(after, published=run, outputs=marks)


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
