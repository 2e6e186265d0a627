"""What is told of an action that has ended: its outputs, what is missing, the end of its log.

Read from its job folder, before that is cleared away. Names that a job chose are made printable.
"""

import difflib
import re
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from spoolrunner import outputs
from spoolrunner.localrun.home import METADATA
from spoolrunner.localrun.house import StudyHouse
from spoolrunner.localrun.told import ActionRun, Missing, State
from spoolrunner.request import Code, Job, Outcome, Status
from spoolrunner.runner.line import Line
from spoolrunner.runner.results import Results

OWN_FAULT = "spoolrunner could not run it; that is not the study's fault."
TAIL_LINES = 32
_TAIL_BYTES = 1 << 16
_MOST_ALIKE = 3
ALIKE = 0.6
_ENGINES_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z ")
_STYLES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


def told(house: StudyHouse, line: Line) -> ActionRun:
    """From the line's thread."""
    job = line.job
    outcome = Results(house, line.request, job).stored(line.name)
    folder = house.storage.job(line.name)
    kept = job.attempt and house.debug
    return ActionRun(
        action=job.action,
        state=_state(job),
        message=OWN_FAULT if job.status_code is Code.INTERNAL_ERROR else job.status_message,
        code=job.status_code,
        started_s=job.started_monotonic_s,
        ended_s=time.monotonic(),
        outputs=job.outputs,
        missing=missing(outcome),
        other_files=_other_files(outcome),
        refused=outcome.refused if outcome else {},
        log=_log(house, job),
        tail=() if job.status is Status.SUCCEEDED else tail(folder.log),
        container=line.name if kept else "",
        folder=folder.home if kept else None,
    )


def _state(job: Job) -> State:
    if job.status_code is Code.CANCELLED_BY_USER:
        return State.STOPPED if job.attempt else State.NOT_RUN
    return State.SUCCEEDED if job.status is Status.SUCCEEDED else State.FAILED


def _log(house: StudyHouse, job: Job) -> Path | None:
    """Of what was stopped the log of an earlier run still lies there."""
    if job.status_code is Code.CANCELLED_BY_USER:
        return None
    path = house.home.study / METADATA / f"{job.action}.log"
    return path if path.exists() else None


def _other_files(outcome: Outcome | None) -> tuple[str, ...]:
    """Without what Python leaves beside each module: nobody means that."""
    made = outcome.other_files if outcome else ()
    return tuple(path for path in made if not path.endswith(".pyc"))


def missing(outcome: Outcome | None) -> tuple[Missing, ...]:
    if outcome is None:
        return ()
    return tuple(
        Missing(pattern, alike(pattern, _other_files(outcome)))
        for pattern in outcome.unmatched_patterns
    )


def alike(pattern: str, paths: Sequence[str]) -> tuple[str, ...]:
    """What may have been meant: the same name elsewhere, or nearly the same, whatever its type."""
    scores = {
        path: _likeness(PurePosixPath(pattern).name, PurePosixPath(path).name) for path in paths
    }
    near = sorted((path for path in paths if scores[path] >= ALIKE), key=lambda path: -scores[path])
    return tuple(near[:_MOST_ALIKE])


def _likeness(pattern: str, name: str) -> float:
    """From 0 to 1."""
    if fnmatchcase(name, pattern):
        return 1.0
    meant, made = (text.partition(".")[0].replace("*", "") for text in (pattern, name))
    return difflib.SequenceMatcher(None, meant, made).ratio()


def tail(log: Path) -> tuple[str, ...]:
    """The last lines of what a job said, without the times that an engine puts before them."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = stream.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ()
    return tuple(printable(_ENGINES_TIME.sub("", line, count=1)) for line in lines[-TAIL_LINES:])


def printable(line: str) -> str:
    """What a job says must not move the cursor or hide a line; tabs stay."""
    plain = _STYLES.sub("", line).rstrip()
    return "\t".join(outputs.shown(part) for part in plain.split("\t"))
