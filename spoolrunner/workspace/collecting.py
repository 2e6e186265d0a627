"""Collecting: what a job left is looked through once, without following anything it made.

Outputs are the regular files that a pattern claims. Everything else that a pattern would claim is
refused with a reason for the job's private log. Files of the study and inputs are claimed like
any other (reference 4.7: the originals do so, and studies rely on it), but an input that the job
left as it was keeps at least the privacy it came with: a wide pattern must not lower it.
Knows: storage (beside it), beneath, outputs, release, request.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from spoolrunner import files, outputs, release
from spoolrunner.beneath import Found, Tree
from spoolrunner.headway import UNHEARD, Headway
from spoolrunner.outputs import Matcher, Pattern
from spoolrunner.request import Level, Output
from spoolrunner.workspace import staging
from spoolrunner.workspace.storage import JobFolder, Staged

MOST_LISTED = 1000


@dataclass(frozen=True)
class Collected:
    """outputs: what will be published. unmatched: patterns without an output.

    other_files: what the job made that no pattern claims. refused: path -> why it was not taken.
    Of both at most 1,000, the names made printable. clashes: path -> the levels asked for.
    """

    outputs: dict[str, Output] = field(default_factory=dict)
    unmatched: list[str] = field(default_factory=list)
    other_files: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    clashes: dict[str, list[Level]] = field(default_factory=dict)

    @property
    def kept_back(self) -> int:
        return sum(1 for output in self.outputs.values() if output.excluded)


def collect(
    job: JobFolder, patterns: Sequence[Pattern], rules: release.Rules, headway: Headway = UNHEARD
) -> Collected:
    """Look through a job's folder, after all of the job has stopped. Outputs are flushed.

    Moves nothing, so it may be repeated; but write down the result before the first file moves.
    Raises OSError if the disk fails.
    """
    staged, laid_ns = staging.laid_out(job)
    with Tree(job.workspace) as tree:
        tree.make_ours()
        sorting = _sort(tree, Matcher(patterns), laid_ns)
        claims = outputs.claim(sorting.claimed, patterns)
        headway.expect(sorting.size_bytes)
        taken = {}
        for path, level in claims.levels.items():
            try:
                taken[path] = _take(tree, path, level, staged, rules, headway)
            except PermissionError:
                sorting.refuse(path, "we have no permission to read it")
    return Collected(
        outputs=taken,
        unmatched=outputs.claim(taken, patterns).unmatched,
        other_files=sorted(sorting.others),
        refused=sorting.refused,
        clashes=claims.clashes,
    )


@dataclass
class _Sorting:
    claimed: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    size_bytes: int = 0

    def refuse(self, path: str, why: str) -> None:
        if len(self.refused) < MOST_LISTED:
            self.refused[outputs.shown(path)] = why

    def other(self, path: str) -> None:
        if len(self.others) < MOST_LISTED:
            self.others.append(outputs.shown(path))


def _sort(tree: Tree, matcher: Matcher, laid_ns: int) -> _Sorting:
    sorting = _Sorting()
    disk = os.statvfs(tree.folder)
    disk_bytes = disk.f_blocks * disk.f_frsize
    for found in tree.walk(outputs.MAX_PATH_BYTES):
        if found.regular and matcher.of(found.path):
            if sorting.size_bytes + found.about.st_size > disk_bytes:  # holes, to be read for days
                sorting.refuse(found.path, "it, or all outputs together, are larger than the disk")
            else:
                _consider(sorting, found)
        elif found.regular:
            if found.about.st_ctime_ns > laid_ns:
                sorting.other(found.path)
        elif why := _why_refused(found, matcher):
            sorting.refuse(found.path, why)
    for path, why in outputs.collisions(sorting.claimed).items():
        sorting.refuse(path, why)
        sorting.claimed.remove(path)
    return sorting


def _consider(sorting: _Sorting, found: Found) -> None:
    if why := outputs.name_problem(found.path):
        sorting.refuse(found.path, why)
    else:
        sorting.claimed.append(found.path)
        sorting.size_bytes += found.about.st_size


def _why_refused(found: Found, matcher: Matcher) -> str:
    """Only what stands where outputs would be is worth telling."""
    if found.shut:
        return found.shut
    if found.folder:
        return f"it is {found.kind}" if matcher.of(found.path) else ""
    return f"it is {found.kind}" if matcher.concerns(found.path) else ""


def _level(path: str, level: Level, sha256: str, before: Staged) -> Level:
    """What its pattern says; an input that is unchanged keeps its own level if more private."""
    if before.inputs.get(path) != sha256:
        return level
    return min(level, before.levels[path], key=outputs.privacy)


def _take(
    tree: Tree, path: str, level: Level, before: Staged, rules: release.Rules, headway: Headway
) -> Output:
    descriptor = tree.open(path)
    try:
        _make_ours(descriptor)
        size = os.fstat(descriptor).st_size
        sha256 = staging.digest(descriptor, headway)
        level = _level(path, level, sha256, before)
        finding = _finding(descriptor, path, size, rules) if level is Level.MODERATE else _FINE
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return Output(
        level=level,
        size=size,
        sha256=sha256,
        excluded=finding.reason,
        rows=finding.rows,
        columns=finding.columns,
    )


_FINE = release.Finding()


def _make_ours(descriptor: int) -> None:
    """So that it can be moved. What has other names is copied instead, and left as it is."""
    about = os.fstat(descriptor)
    if about.st_nlink > 1 or os.geteuid() not in (0, about.st_uid):
        return
    if about.st_uid != os.geteuid() or about.st_gid != os.getegid():
        os.fchown(descriptor, os.geteuid(), os.getegid())
    os.fchmod(descriptor, files.PRIVATE_FILE)


def _finding(descriptor: int, path: str, size: int, rules: release.Rules) -> release.Finding:
    finding = release.outside(path, size, rules)
    if finding.reasons:
        return finding
    with open(descriptor, "rb", closefd=False) as stream:
        return release.inside(path, stream, rules)
