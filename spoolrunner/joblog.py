"""The job's log: what it said, and below the marker line what became of it.

The marker is where reviewers' tools cut (reference/opensafely.md 3.8 and 4.9). At high privacy the
summary tells everything that helps to mend a study; at medium privacy it names nothing but outputs
that were released or kept back there.
Knows: request, manifest, outputs, verdict, record.
"""

from collections.abc import Iterable, Iterator

from spoolrunner import outputs
from spoolrunner.manifest import Provenance
from spoolrunner.record import to_json
from spoolrunner.request import Code, Level, Outcome, Output
from spoolrunner.verdict import neutral

MARKER = "=============JOB SUMMARY============="


def summary(made: Provenance, outcome: Outcome) -> bytes:
    """What follows the log at high privacy."""
    facts = _facts(made, outcome, outcome.status_message)
    return _text(facts, outcome.outputs, _private(made, outcome))


def medium_summary(made: Provenance, outcome: Outcome) -> bytes:
    """What follows the log at medium privacy."""
    message = neutral(outcome.status_code, outcome.status_message)
    seen = {path: out for path, out in outcome.outputs.items() if out.level is Level.MODERATE}
    return _text(_facts(made, outcome, message), seen, [_kept_back(outcome)])


def _text(facts: str, found: dict[str, Output], lists: Iterable[tuple[str, list[str]]]) -> bytes:
    parts = [f"{MARKER}\n{facts}", _table(found)]
    parts += [_list(title, lines) for title, lines in lists if lines]
    return ("\n\n" + "\n\n".join(parts) + "\n").encode(errors="backslashreplace")


def _facts(made: Provenance, outcome: Outcome, message: str) -> str:
    facts = {
        "job_id": made.job,
        "job_request_id": made.request,
        "commit": made.commit,
        "docker_image_id": outcome.image_id,
        "exit_code": outcome.exit_code,
        "created_at": made.created_at,
        "started_at": outcome.started_at,
        "completed_at": outcome.completed_at,
        "database_name": made.db,
        "status": outcome.status.value,
        "status_message": message,
        "reference": outcome.reference,
    }
    return "\n".join(f"{key}: {value}" for key, value in facts.items() if value not in (None, ""))


def _table(found: dict[str, Output]) -> str:
    if not found:
        return "outputs:\n  (none at this level)"
    width = max(len(path) for path in found)
    rows = [f"  {path:<{width}}  - {found[path].level.value}" for path in sorted(found)]
    return "\n".join(["outputs:", *rows])


def _list(title: str, lines: list[str]) -> str:
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines)])


def _excluded(outcome: Outcome) -> dict[str, str]:
    return {path: out.excluded for path, out in outcome.outputs.items() if out.excluded}


def _kept_back(outcome: Outcome) -> tuple[str, list[str]]:
    lines = [f"{path}  - {why}" for path, why in _excluded(outcome).items()]
    return "Invalid moderately_sensitive outputs", lines


def _private(made: Provenance, outcome: Outcome) -> Iterator[tuple[str, list[str]]]:
    """What only high privacy may read."""
    yield _kept_back(outcome)
    yield "patterns that matched nothing", outcome.unmatched_patterns
    yield "not taken over", [f"{path}  - {why}" for path, why in outcome.refused.items()]
    yield "kept at a more private level than one of its patterns says", _raised(made, outcome)
    shown = [outputs.shown(path) for path in outcome.other_files]
    yield "other files it made, which no pattern claims", shown
    yield "detail", outcome.detail.splitlines()


def _raised(made: Provenance, outcome: Outcome) -> list[str]:
    claims = outputs.claim(outcome.outputs, made.patterns)
    least = {path: levels[-1] for path, levels in claims.clashes.items()}
    return [
        f"{path}  - {out.level.value}"
        for path, out in outcome.outputs.items()
        if out.level is not least.get(path, claims.levels.get(path, out.level))
    ]


def metadata(made: Provenance, outcome: Outcome) -> bytes:
    """metadata.json: the keys of job-runner that we know, and all of the outcome."""
    return to_json(
        {
            "job_id": made.job,
            "job_request_id": made.request,
            "action": made.action,
            "workspace": made.workspace,
            "repo": made.repo,
            "commit": made.commit,
            "database_name": made.db,
            "user": made.user,
            "run_command": made.run_command,
            "created_at": made.created_at,
            "started_at": outcome.started_at,
            "completed_at": outcome.completed_at,
            "docker_image_id": outcome.image_id,
            "exit_code": "" if outcome.exit_code is None else str(outcome.exit_code),
            "oom_killed": outcome.status_code is Code.OUT_OF_MEMORY,
            "cancelled": outcome.status_code is Code.CANCELLED_BY_USER,
            "status": outcome.status,
            "status_code": outcome.status_code,
            "status_message": outcome.status_message,
            "outputs": {path: out.level for path, out in outcome.outputs.items()},
            "unmatched_patterns": outcome.unmatched_patterns,
            "unmatched_outputs": outcome.other_files,
            "level4_excluded_files": _excluded(outcome),
            "job_metrics": outcome.metrics,
            "outcome": outcome,
        }
    )
