"""job-runner's log of a job: its metadata.json says what the job made (reference 4.9).

Today's database does not: what a job made stays with the agent that ran it. 2.52.3 files the log
under the month in which a job ended, today's under that in which it was made.
"""

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from spoolrunner import files
from spoolrunner.errors import BadRequest
from spoolrunner.jobrunner.database import OldJob, level
from spoolrunner.jobrunner.moments import moment
from spoolrunner.record import parse_foreign

_MOST_BYTES = 64 << 20


def completed(job: OldJob, logs: Path) -> OldJob:
    """The job with its outputs, if its database does not tell them and its log does."""
    if not job.succeeded or job.outputs is not None:
        return job
    for said in (job.created_s, job.completed_s):
        month = (moment(said) or "")[:7]
        told = _read(logs / month / f"os-job-{job.identifier}" / "metadata.json")
        if isinstance(outputs := told.get("outputs"), dict):
            made = {path: level(name) for path, name in outputs.items()}
            return replace(job, outputs=made, kept_back=job.kept_back | _kept_back(told))
    return job


def _kept_back(told: dict[str, Any]) -> dict[str, str]:
    kept = told.get("level4_excluded_files")
    return {path: str(why) for path, why in kept.items()} if isinstance(kept, dict) else {}


def _read(path: Path) -> dict[str, Any]:
    """{} if there is none, or it is torn: job-runner writes it in place."""
    with contextlib.suppress(OSError, BadRequest):
        return parse_foreign(files.read_regular(path, _MOST_BYTES)[0])
    return {}
