"""A workspace's long-term files: lay inputs out, collect what a job made, publish it by level.

    workspace.stage(job, needs)            copies of what other jobs published, for this one
    found = workspace.collect(job, ...)    after all of it has stopped; write the outcome down
    workspace.publish(job, made, outcome)  journal, files, manifests, index; same when repeated
    ... the caller saves the request ...
    workspace.finish(action, job)          removes the journal

While an action's journal lies there, nobody reads what the action published. Every method may be
called from any thread, but one process has at most one Workspace for each folder.
Knows: files, beneath, reflink and the words. Never projects' text, executors or the spool's rooms.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from spoolrunner import files, release
from spoolrunner.beneath import Tree
from spoolrunner.errors import BadMachine, TryLater
from spoolrunner.headway import UNHEARD, Headway
from spoolrunner.index import ActionState, Mark, Run, WorkspaceIndex
from spoolrunner.manifest import Journal, Provenance
from spoolrunner.outputs import Pattern
from spoolrunner.record import changed, from_json, to_json
from spoolrunner.request import Need, Outcome
from spoolrunner.workspace import collecting, publishing, staging
from spoolrunner.workspace.collecting import Collected
from spoolrunner.workspace.gauge import Gauge
from spoolrunner.workspace.ledger import Ledger, Placed
from spoolrunner.workspace.places import Places
from spoolrunner.workspace.storage import JobFolder, Storage

__all__ = [
    "Collected",
    "Gauge",
    "JobFolder",
    "Published",
    "Storage",
    "Workspace",
    "read_journal",
    "unfinished",
]

_JOURNAL_BYTES = 1 << 30


class Published(StrEnum):
    """What has become of the outputs an action published. GONE also: it never published any."""

    INTACT = "intact"
    GONE = "gone"
    CHANGED = "changed"


class Workspace:
    """folder: its safe name on disk. index_path: of its WorkspaceIndex, which must exist."""

    def __init__(self, storage: Storage, folder: str, index_path: Path) -> None:
        self._storage = storage
        self._places = Places(storage, folder)
        self._ledger = Ledger(self._places, index_path)
        # One job after the other: two may have outputs of one name, and the last must win whole.
        self._placing = threading.Lock()

    def index(self) -> WorkspaceIndex:
        """As it is on disk; not to be changed. Raises FileNotFoundError, BadMachine."""
        return self._ledger.index()

    def note(self, runs: Mapping[str, Run]) -> None:
        """Enter runs that failed before they could start, by action, in the index alone."""
        self._ledger.note(runs)

    def look(self, action: str) -> Published:
        """Are its published outputs still what they were? Reads only files that were touched."""
        published, renewed = self._examine(action)
        if renewed:
            self._ledger.mark(action, *renewed)
        return published

    def peek(self, action: str) -> Published:
        """As `look`, but remembers nothing: for those who are not the mover."""
        return self._examine(action)[0]

    def _examine(self, action: str) -> tuple[Published, tuple[str, dict[str, Mark]] | None]:
        """And, if files were touched but not changed: whose they are and their new marks."""
        state = self.index().actions.get(action)
        if state is None or state.published is None:
            return Published.GONE, None
        marks = {}
        try:
            with Tree(self._places.high) as tree:
                for path, mark in state.outputs.items():
                    marks[path] = _look_again(tree, path, mark)
        except (FileNotFoundError, NotADirectoryError):
            return (Published.GONE if state.outputs else Published.INTACT), None
        except OSError as error:
            if error.errno == errno.EINVAL:  # no longer a regular file
                return Published.CHANGED, None
            raise
        if any(found is None for found in marks.values()):
            return Published.CHANGED, None
        renewed = {path: mark for path, mark in marks.items() if mark}
        if renewed != state.outputs:
            return Published.INTACT, (state.published.job, renewed)
        return Published.INTACT, None

    def stage(self, job: JobFolder, needs: Sequence[Need], headway: Headway = UNHEARD) -> None:
        """Copy the outputs of the needed jobs into a laid-out job folder and hand it to the job.

        Newer ones last, where two published one name. Nothing in the study's tree is followed.
        Raises BadInput ("missing_input", "workspace_archived"), TryLater ("being_published").
        """
        self._storage.refuse_archived(self._places.folder)
        inputs: dict[str, Mark] = {}
        states = self._published(needs)
        headway.expect(sum(one.size for _, state in states for one in state.outputs.values()))
        with Tree(job.workspace) as tree:
            for need, state in states:
                staging.copy_in(self._places.high, tree, state.outputs, need.action, headway)
                inputs |= state.outputs
            self._published(needs)  # still: no journal came, and no newer run took their place
            staging.finish(self._storage, job, tree, inputs)

    def collect(
        self,
        job: JobFolder,
        patterns: Sequence[Pattern],
        rules: release.Rules,
        headway: Headway = UNHEARD,
    ) -> Collected:
        """What a job left, after all of it has stopped. Moves nothing. Raises OSError."""
        return collecting.collect(job, patterns, rules, headway)

    def publish(
        self, job: JobFolder, made: Provenance, outcome: Outcome, headway: Headway = UNHEARD
    ) -> None:
        """Publish what was collected. Safe to repeat, after any interruption, until `finish`.

        Raises TryLater ("being_published") if another job of the same action has not finished,
        BadMachine ("output_lost"), OSError.
        """
        journal = Journal(made=made, outcome=outcome, job_folder=str(job.home))
        self._begin(journal)
        with self._placing:
            if self._newest(made.action) == made.job:
                return  # done before we were interrupted; another may have replaced files since
            self._ledger.make_way(outcome.outputs)
            known = self._ledger.known(outcome.outputs)
            seen = publishing.place(self._places, job, journal, known, headway)
            placed = Placed(journal, seen)
            self._ledger.add(placed)
        self._ledger.settle(placed)

    def finish(self, action: str, job: str) -> None:
        """The request file tells of it now: the job's journal may go."""
        path = self._places.journal(action)
        begun = read_journal(path)
        if begun is not None and begun.made.job == job:
            with files.Changes() as disk:
                disk.remove(path)

    def resume(self, journal: Journal) -> None:
        """Finish a publication that was begun by a runner that is gone. Raises as publish does."""
        self.publish(JobFolder(Path(journal.job_folder)), journal.made, journal.outcome)
        self.finish(journal.made.action, journal.made.job)

    @property
    def lags(self) -> bool:
        """Has what was published only been noted yet, beside the manifest or the index?"""
        return self._ledger.lags

    def fold(self) -> None:
        """Bring manifests and index up to date; to be done when no job of it runs any more."""
        self._ledger.fold()

    def _newest(self, action: str) -> str:
        state = self.index().actions.get(action)
        return state.newest.job if state else ""

    def _begin(self, journal: Journal) -> None:
        path = self._places.journal(journal.made.action)
        begun = read_journal(path)
        if begun is not None and begun.made.job != journal.made.job:
            raise _being_published(journal.made.action)
        files.make_folder(path.parent)
        # Without the names of all actions: for each of 2,500 jobs they would be 2,500 names.
        brief = changed(journal, made=changed(journal.made, actions=[]))
        with files.Changes() as disk:
            disk.write(path, to_json(brief))

    def _published(self, needs: Sequence[Need]) -> list[tuple[Need, ActionState]]:
        """What these very jobs published, the newest last."""
        index = self.index()
        found = []
        for need in needs:
            if os.path.lexists(self._places.journal(need.action)):
                raise _being_published(need.action)
            state = index.actions.get(need.action)
            if state is None or state.published is None or state.published.job != need.job:
                raise staging.missing(need.action, need.job, "is no longer there")
            found.append((state.published.sequence, need, state))
        found.sort(key=lambda each: each[0])
        return [(need, state) for _, need, state in found]


def _look_again(tree: Tree, path: str, mark: Mark) -> Mark | None:
    """The mark as it is now, or None if the content is another."""
    descriptor = tree.open(path)
    try:
        about = os.fstat(descriptor)
        if staging.same(about, mark):
            return mark
        if about.st_size != mark.size or staging.digest(descriptor) != mark.sha256:
            return None
        return changed(mark, inode=about.st_ino, ctime_ns=about.st_ctime_ns)
    finally:
        os.close(descriptor)


def _being_published(action: str) -> TryLater:
    return TryLater(f"The outputs of {action} are just being published.", kind="being_published")


def read_journal(path: Path) -> Journal | None:
    """None if there is none. Raises BadMachine if it is torn or of a later version."""
    try:
        data, _ = files.read_regular(path, _JOURNAL_BYTES)
    except FileNotFoundError:
        return None
    return from_json(data, Journal, str(path))


def unfinished(storage: Storage) -> list[tuple[str, Journal]]:
    """Every publication that was begun: (workspace folder, journal). Each is to be finished.

    A torn one is left for `check`: its action stays unread, the others are finished.
    """
    found = []
    for path in sorted(storage.journals.glob("*/[!.]*.json")):
        with contextlib.suppress(BadMachine):
            if journal := read_journal(path):
                found.append((path.parent.name, journal))
    return found
