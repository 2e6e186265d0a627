"""The manifest: which files of a workspace are outputs, what made them, and who may see them.

The one at high privacy names everything; the one at medium privacy is a view of it that names only
what was released or kept back there (HEAD's named every file to reviewers: reference 4.10).
What lies at medium privacy follows from the manifest alone, so it can be put right at any time.
Knows: record, request, outputs. Keys: reference/opensafely.md 4.10.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from spoolrunner.outputs import Pattern
from spoolrunner.record import Frozen, Record, changed, from_json
from spoolrunner.request import Level, Outcome, Status

NOTE = ".txt"  # what the name of a note at medium privacy ends with


class Provenance(Frozen, frozen=True, kw_only=True):
    """Which job made an output, and of what. Times: ISO 8601 UTC with Z.

    actions: every action of the project at this commit; those no longer there are out of date.
    [] if they are not known. patterns: what the action says it makes. created_at: the job's, it
    names the month of its log.
    """

    action: str
    job: str
    request: str
    sequence: int
    workspace: str
    repo: str
    commit: str
    created_at: str
    patterns: list[Pattern] = []
    actions: list[str] = []
    branch: str = ""
    db: str = ""
    user: str = ""
    run_command: str = ""
    project: str | None = None
    orgs: list[str] = []


class Journal(Frozen, frozen=True, kw_only=True):
    """A publication that was begun. While it lies there, nobody reads what this action made.

    As it lies on disk it does not name all the actions of the project: each would name each.
    """

    format: int = 1
    made: Provenance
    outcome: Outcome
    job_folder: str


class Entry(Frozen, frozen=True, kw_only=True):
    """One output. timestamp: mtime in seconds since 1970. message: why it is kept back, or ""."""

    level: Level
    job_id: str | None = None
    job_request: str | None = None
    action: str | None = None
    user: str | None = None
    repo: str | None = None
    commit: str | None = None
    size: int | None = None
    timestamp: float | None = None
    content_hash: str | None = None
    excluded: bool = False
    message: str | None = None
    row_count: int | None = None
    col_count: int | None = None
    out_of_date_output: bool = False
    out_of_date_action: bool = False

    @property
    def reviewed(self) -> bool:
        """Is it named at medium privacy, released or not?"""
        return self.level is Level.MODERATE

    @property
    def released(self) -> bool:
        """Does it lie at medium privacy?"""
        return self.reviewed and not self.excluded


class Manifest(Record, kw_only=True):
    """outputs: path -> what is known of it. repo is null, as HEAD has it: entries tell theirs."""

    workspace: str
    repo: str | None = None
    project: str | None = None
    orgs: list[str] = []
    outputs: dict[str, Entry] = {}


class Noted(Frozen, frozen=True, kw_only=True):
    """A line of manifest.notes (notebook.py): entries as they are now."""

    project: str | None
    orgs: list[str]
    outputs: dict[str, Entry]


def read(whole: bytes, notes: Sequence[bytes], name: str) -> Manifest:
    """A manifest after what was noted. name: its path. Raises BadMachine."""
    manifest = from_json(whole, Manifest, name)
    for line in notes:
        noted = from_json(line, Noted, name)
        manifest.project, manifest.orgs = noted.project, noted.orgs
        manifest.outputs |= noted.outputs
    return manifest


@dataclass(frozen=True)
class End:
    """How a job ended. timestamps: mtime of its outputs."""

    made: Provenance
    outcome: Outcome
    timestamps: Mapping[str, float]


@dataclass(frozen=True)
class Change:
    """What some ends change. noted: in the manifest, None for nothing.

    gone: what lies at medium privacy no longer. told: notes there that are new or say otherwise.
    """

    noted: Noted | None
    gone: set[str]
    told: dict[str, str]


class Catalogue:
    """A manifest in memory, kept up end by end: each costs what that job made, not all there is.

    Only a job that succeeded has outputs in it; nothing is ever taken out, what is no longer made
    is marked (reference 4.10).
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self._paths: dict[str | None, set[str]] = defaultdict(set)
        for path, entry in manifest.outputs.items():
            self._paths[entry.action].add(path)
        self._gone: set[str | None] | None = None  # actions that are marked; not known at first
        self._notes = notes(manifest)

    def enter(self, ends: Iterable[End]) -> Change:
        """Enter what these jobs made, in this order."""
        outputs = self.manifest.outputs
        before: dict[str, Entry | None] = {}
        succeeded = [end for end in ends if end.outcome.status is Status.SUCCEEDED]
        for end in succeeded:
            self.manifest.project, self.manifest.orgs = end.made.project, end.made.orgs
            for path, entry in self._changes(end):
                before.setdefault(path, outputs.get(path))
                self._put(path, entry)
        old, self._notes = self._notes, self._notes_after(before)
        there = {path for path, entry in before.items() if entry and entry.released} | old.keys()
        return Change(
            noted=self._noted(before) if succeeded else None,
            gone={name for name in there - self._notes.keys() if not self._is_released(name)},
            told={name: text for name, text in self._notes.items() if old.get(name) != text},
        )

    def _is_released(self, name: str) -> bool:
        entry = self.manifest.outputs.get(name)
        return entry is not None and entry.released

    def _noted(self, paths: Iterable[str]) -> Noted:
        manifest = self.manifest
        entries = {path: manifest.outputs[path] for path in paths}
        return Noted(project=manifest.project, orgs=manifest.orgs, outputs=entries)

    def _put(self, path: str, entry: Entry) -> None:
        known = self.manifest.outputs.get(path)
        if known:
            self._paths[known.action].discard(path)
        self._paths[entry.action].add(path)
        self.manifest.outputs[path] = entry

    def _changes(self, end: End) -> Iterator[tuple[str, Entry]]:
        made, outcome = end.made, end.outcome
        for action in [made.action, *self._turned(made.actions)]:
            for path in sorted(self._paths[action] - outcome.outputs.keys()):
                entry = self.manifest.outputs[path]
                if (aged := _aged(entry, made)) != entry:
                    yield path, aged
        for path in sorted(outcome.outputs):
            yield path, _entry(path, made, outcome, end.timestamps.get(path))

    def _turned(self, actions: Sequence[str]) -> set[str | None]:
        """Actions that have left the project, or come back to it, since the last end."""
        if not actions:
            return set()
        gone = self._paths.keys() - set(actions)
        turned = set(self._paths) if self._gone is None else gone ^ self._gone
        self._gone = gone
        return turned

    def _notes_after(self, before: Mapping[str, Entry | None]) -> dict[str, str]:
        """All notes, thought through again only if these changes may concern one."""
        pairs = [(path, old, self.manifest.outputs[path]) for path, old in before.items()]
        kept = any(new.excluded or (old and old.excluded) for _, old, new in pairs)
        taken = any(_is_like_a_note(path) for path, _, _ in pairs)
        return notes(self.manifest) if kept or (self._notes and taken) else self._notes


def _is_like_a_note(path: str) -> bool:
    return any(name.endswith(NOTE) for name in path.split("/"))


def _aged(entry: Entry, made: Provenance) -> Entry:
    """An older entry that this job did not make anew. Without its project's actions nothing is
    known of others'."""
    gone = entry.action not in made.actions if made.actions else entry.out_of_date_action
    old = entry.out_of_date_output or entry.action == made.action
    return changed(entry, out_of_date_action=gone, out_of_date_output=old)


def _entry(path: str, made: Provenance, outcome: Outcome, timestamp: float | None) -> Entry:
    output = outcome.outputs[path]
    return Entry(
        level=output.level,
        job_id=made.job,
        job_request=made.request,
        action=made.action,
        user=made.user or None,
        repo=made.repo,
        commit=made.commit,
        size=output.size,
        timestamp=timestamp,
        content_hash=output.sha256,
        excluded=bool(output.excluded),
        message=output.excluded or None,
        row_count=output.rows,
        col_count=output.columns,
    )


def medium_view(manifest: Manifest) -> Manifest:
    """What the manifest at medium privacy says."""
    seen = {path: entry for path, entry in manifest.outputs.items() if entry.reviewed}
    return changed(manifest, outputs=seen)


def notes(manifest: Manifest) -> dict[str, str]:
    """Where at medium privacy it is told why an output is not there: name of the note -> text."""
    taken = {path for path, entry in manifest.outputs.items() if entry.reviewed}
    kept = {path: entry.message or "" for path, entry in manifest.outputs.items() if entry.excluded}
    return notes_beside(kept, taken)


def notes_beside(kept: Mapping[str, str], taken: Iterable[str]) -> dict[str, str]:
    """kept: output -> why it was kept back. taken: names a note may never have: all the reviewed.

    `NAME.txt` is where reviewers' tools look (reference 3.8), but a study may make that very file.
    """
    used = {str(name) for path in taken for name in (path, *PurePosixPath(path).parents)}
    written = {}
    for path in sorted(kept):
        name = next(name for name in _note_names(path) if name not in used)
        used.add(name)
        written[name] = f"{path} is not shown here. {kept[path]}\n"
    return written


def _note_names(path: str) -> Iterable[str]:
    yield f"{path}{NOTE}"
    yield f"{path}.kept-back{NOTE}"
    number = 2
    while True:
        yield f"{path}.kept-back-{number}{NOTE}"
        number += 1
