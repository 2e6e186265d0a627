"""Said: a job's log, kept for ever and published with its workspace; at medium privacy without what
may not be seen there: tables of patients, names of highly sensitive files.

Knows: places, staging and storage (beside it), reflink, release, manifest, joblog, request.
"""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from spoolrunner import files, joblog, reflink
from spoolrunner.manifest import Journal
from spoolrunner.release import logs
from spoolrunner.release.names import Names
from spoolrunner.request import Level, Outcome
from spoolrunner.workspace import staging
from spoolrunner.workspace.places import Places, log_of
from spoolrunner.workspace.storage import SHARED_FILE, JobFolder


def keep(disk: files.Changes, places: Places, job: JobFolder, journal: Journal) -> None:
    folder = places.job_log(journal.made)
    files.make_folder(folder)
    summary = joblog.summary(journal.made, journal.outcome)
    _write_log(disk, job, folder / "logs.txt", files.PRIVATE_FILE, summary)
    disk.write(folder / "metadata.json", joblog.metadata(journal.made, journal.outcome))


def publish(disk: files.Changes, places: Places, job: JobFolder, journal: Journal) -> None:
    made, outcome = journal.made, journal.outcome
    high, medium = (log_of(root, made.action) for root in (places.high, places.medium))
    files.make_folder(high.parent)
    places.storage.share(medium.parent)
    _write_log(disk, job, high, files.PRIVATE_FILE, joblog.summary(made, outcome))
    said = _names(job, outcome).hidden(logs.without_tables(_said(job)))
    summary = joblog.medium_summary(made, outcome)
    disk.write_parts(medium, itertools.chain(said, [summary]), SHARED_FILE)


def _names(job: JobFolder, outcome: Outcome) -> Names:
    """Of what it read and of what it made; names that stand at medium privacy anyway may stay."""
    levels = {path: output.level for path, output in outcome.outputs.items()}
    with contextlib.suppress(FileNotFoundError):
        levels = staging.laid_out(job)[0].levels | levels
    private = (path for path, level in levels.items() if level is Level.HIGH)
    return Names(private, (path for path, level in levels.items() if level is not Level.HIGH))


def _said(job: JobFolder) -> Iterator[bytes]:
    """Its log; nothing if it never came to say anything."""
    with contextlib.suppress(FileNotFoundError):
        yield from files.pieces(job.log)


def _write_log(
    disk: files.Changes, job: JobFolder, target: Path, mode: int, summary: bytes
) -> None:
    try:
        source = os.open(job.log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:  # it never came to say anything
        disk.write(target, summary, mode)
        return
    try:
        reflink.publish_copy(disk, source, target, mode, tail=summary)
    finally:
        os.close(source)
