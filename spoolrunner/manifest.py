"""The manifest: which files of a workspace are outputs, what made them, and who may see them.

The one at high privacy names everything; the one at medium privacy is a view of it that names only
what was released or kept back there (HEAD's named every file to reviewers: reference 4.10).
What lies at medium privacy follows from the manifest alone, so it can be put right at any time.
Knows: record, request, outputs. Keys: reference/opensafely.md 4.10.
"""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from spoolrunner.outputs import Pattern
from spoolrunner.record import Frozen, Record, changed
from spoolrunner.request import Level, Outcome, Status


class Provenance(Frozen, frozen=True, kw_only=True):
    """Which job made an output, and of what. Times: ISO 8601 UTC with Z.

    actions: every action of the project at this commit; those no longer there are out of date.
    patterns: what the action says it makes. created_at: the job's, it names the month of its log.
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
    """A publication that was begun. While it lies there, nobody reads what this action made."""

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


class Manifest(Record, kw_only=True):
    """outputs: path -> what is known of it. repo is null, as HEAD has it: entries tell theirs."""

    workspace: str
    repo: str | None = None
    project: str | None = None
    orgs: list[str] = []
    outputs: dict[str, Entry] = {}


def with_run(
    manifest: Manifest, made: Provenance, outcome: Outcome, timestamps: Mapping[str, float]
) -> Manifest:
    """The manifest after this job. Only a job that succeeded has outputs in it; nothing is ever
    taken out, what is no longer made is marked (reference 4.10)."""
    if outcome.status is not Status.SUCCEEDED:
        return manifest
    old = {path: _aged(path, entry, made, outcome) for path, entry in manifest.outputs.items()}
    new = {
        path: _entry(path, made, outcome, timestamps.get(path)) for path in sorted(outcome.outputs)
    }
    return changed(manifest, project=made.project, orgs=made.orgs, outputs=old | new)


def _aged(path: str, entry: Entry, made: Provenance, outcome: Outcome) -> Entry:
    gone_action = bool(made.actions) and entry.action not in made.actions
    gone_output = entry.out_of_date_output or (
        entry.action == made.action and path not in outcome.outputs
    )
    if (gone_action, gone_output) == (entry.out_of_date_action, entry.out_of_date_output):
        return entry
    return changed(entry, out_of_date_action=gone_action, out_of_date_output=gone_output)


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


def released(manifest: Manifest) -> set[str]:
    """The outputs that lie at medium privacy."""
    seen = medium_view(manifest).outputs
    return {path for path, entry in seen.items() if not entry.excluded}


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
    yield f"{path}.txt"
    yield f"{path}.kept-back.txt"
    number = 2
    while True:
        yield f"{path}.kept-back-{number}.txt"
        number += 1
