"""Publishing: a job's outputs become its workspace's, each at its level; the same when done again.

Files are renamed where that is safe and copied where it is not. Each step first looks whether it
has been done, so after a crash the whole is simply walked again (design, rule 7).
Knows: places, said, staging and storage (beside it), beneath, reflink, manifest, request, errors.
"""

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from spoolrunner import beneath, files, reflink
from spoolrunner.beneath import Tree
from spoolrunner.errors import BadMachine
from spoolrunner.headway import Headway
from spoolrunner.index import Mark
from spoolrunner.manifest import Journal, notes_beside
from spoolrunner.request import Code, Level, Outcome, Output, Status
from spoolrunner.workspace import said, staging
from spoolrunner.workspace.aside import about_of, make_room
from spoolrunner.workspace.places import Places, aside_of, failed_of
from spoolrunner.workspace.storage import SHARED_FILE, JobFolder

# A label of the system's, not of the job's: SELinux puts it on every file.
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_HARMLESS_XATTRS = {"security.selinux"}


Known = Mapping[str, Sequence[Mark]]


def place(
    places: Places, job: JobFolder, journal: Journal, known: Known, headway: Headway
) -> dict[str, os.stat_result]:
    """Bring all files of a job to where they belong, except for notes, manifests and the index.

    Of a cancelled job nothing but its log is kept: nobody asked for its outputs any more.
    known: what was published under its outputs' names. Returns how each of them lies there now,
    nothing if the job failed.
    Raises BadMachine ("output_lost") if a file is neither in the job's folder nor published.
    """
    made, outcome = journal.made, journal.outcome
    with files.Changes() as disk:
        said.keep(disk, places, job, journal)
        if outcome.status_code is Code.CANCELLED_BY_USER:
            return {}
        said.publish(disk, places, job, journal)
        if outcome.status is not Status.SUCCEEDED:
            _set_failed_beside(disk, places, job, journal, headway)
            return {}
        aside = aside_of(places.high, made.job)
        _to_high(disk, job, outcome, places.high, aside, known, headway)
        _to_medium(disk, places, outcome, places.high, places.medium, made.job)
        beneath.remove_tree(failed_of(places.high, made.action))
        beneath.remove_tree(failed_of(places.medium, made.action))
    return {path: os.lstat(places.high / path) for path in outcome.outputs}


def _set_failed_beside(
    disk: files.Changes, places: Places, job: JobFolder, journal: Journal, headway: Headway
) -> None:
    made, outcome = journal.made, journal.outcome
    high, medium = (failed_of(root, made.action) for root in (places.high, places.medium))
    kept_back = {path: out.excluded for path, out in outcome.outputs.items() if out.excluded}
    told = notes_beside(kept_back, (path for path, out in outcome.outputs.items() if _seen(out)))
    _keep_only(high, outcome.outputs)
    _keep_only(medium, [*told, *(path for path, out in outcome.outputs.items() if _shown(out))])
    _to_high(disk, job, outcome, high, aside_of(high, made.job), {}, headway)
    _to_medium(disk, places, outcome, high, medium, made.job)
    for name, text in told.items():
        write_note(disk, places, medium / name, text)


def _keep_only(root: Path, wanted: Iterable[str]) -> None:
    """Remove what an earlier failed run left, but nothing that this one has placed already."""
    keep = set(wanted)
    folders = {str(parent) for path in keep for parent in PurePosixPath(path).parents}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), Tree(root) as tree:
        for found in list(tree.walk(sys.maxsize)):
            if found.path not in (folders if found.folder else keep):
                tree.remove(found.path)


def _seen(output: Output) -> bool:
    return output.level is Level.MODERATE


def _shown(output: Output) -> bool:
    return _seen(output) and not output.excluded


def _to_high(
    disk: files.Changes,
    job: JobFolder,
    outcome: Outcome,
    root: Path,
    aside: Path,
    known: Known,
    headway: Headway,
) -> None:
    emptied = set()
    with _left_by(job) as tree:
        for path, output in outcome.outputs.items():
            target = root / path
            if _is_there(target, output, known.get(path, ())):
                continue
            make_room(disk, root, path, aside)
            files.make_folder(target.parent)
            if _take_over(disk, tree, path, output, target, headway):
                emptied.add((job.workspace / path).parent)
    for folder in emptied:  # after all the destinations: reference/spool.md 2.1, rule 2
        disk.touched(folder)


def _is_there(target: Path, output: Output, marks: Sequence[Mark]) -> bool:
    """Is this very content published already, as when a wide pattern claims an unchanged input?

    Then it stays untouched, or every job that stages it meanwhile would find it changed.
    """
    about = about_of(target)
    return about is not None and any(
        mark.sha256 == output.sha256 and staging.same(about, mark) for mark in marks
    )


@contextlib.contextmanager
def _left_by(job: JobFolder) -> Iterator[Tree | None]:
    try:
        tree = Tree(job.workspace)
    except FileNotFoundError:
        yield None
    else:
        with tree:
            yield tree


def _take_over(
    disk: files.Changes,
    tree: Tree | None,
    path: str,
    output: Output,
    target: Path,
    headway: Headway,
) -> bool:
    """Publish one output. True if its name in the job's folder is gone by this call."""
    source = _open(tree, path)
    if tree is None or source is None:
        _must_be(target, output, headway)
        return False
    try:
        if _is(source, target):  # both names: what a power cut can leave of a rename
            tree.remove(path)
        elif not _movable(source) or not _moved(tree, path, target):
            reflink.publish_copy(disk, source, target, files.PRIVATE_FILE, headway=headway)
            return False
    finally:
        os.close(source)
    disk.touched(target.parent)
    return True


def _open(tree: Tree | None, path: str) -> int | None:
    try:
        return tree.open(path) if tree else None
    except FileNotFoundError:
        return None


def _is(source: int, target: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(source), os.lstat(target))
    except FileNotFoundError:
        return False


def _movable(source: int) -> bool:
    """Ours alone: no other name leads to it, and no ACL or attribute of the job's comes with it."""
    about = os.fstat(source)
    if about.st_nlink != 1 or about.st_uid != os.geteuid():
        return False
    if set(os.listxattr(source)) - _HARMLESS_XATTRS:
        return False
    if stat.S_IMODE(about.st_mode) != files.PRIVATE_FILE:
        os.fchmod(source, files.PRIVATE_FILE)
    return True


def _moved(tree: Tree, path: str, target: Path) -> bool:
    try:
        tree.move_out(path, target)
    except OSError as error:
        if error.errno == errno.EXDEV:
            return False
        raise
    return True


def _must_be(target: Path, output: Output, headway: Headway) -> None:
    """It was moved before we were interrupted; be sure that it is there, by its hash."""
    try:
        descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
        raise _lost(target) from error
    try:
        headway.expect(output.size)
        if staging.digest(descriptor, headway) != output.sha256:
            raise _lost(target)
    finally:
        os.close(descriptor)


def _lost(target: Path) -> BadMachine:
    return BadMachine(
        "An output of the job is neither in the job's folder nor in the workspace.",
        kind="output_lost",
        hint="Run the action again.",
        detail=str(target),
    )


def _to_medium(
    disk: files.Changes, places: Places, outcome: Outcome, high: Path, medium: Path, job: str
) -> None:
    for path, output in outcome.outputs.items():
        if _seen(output):  # also for the note beside it
            make_room(disk, medium, path, aside_of(medium, job))
        if not _shown(output):
            continue
        places.storage.share((medium / path).parent)
        source = os.open(high / path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            reflink.publish_copy(disk, source, medium / path, SHARED_FILE)
        finally:
            os.close(source)


def write_note(disk: files.Changes, places: Places, path: Path, text: str) -> None:
    places.storage.share(path.parent)
    disk.write(path, text.encode(), SHARED_FILE)
