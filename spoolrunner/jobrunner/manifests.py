"""job-runner's manifests, of three generations (reference/opensafely.md 4.10).

    high privacy, until 2021     {"workspace", "repo", "actions": {...}, "files": {...}}
    medium privacy, from then on {"workspace", "repo"}
    medium privacy, from 2023    {"workspace", "repo": null, "outputs": {path: {...}}}

The first was its only memory before it had a database; its own migration made jobs of it, and so
does this, of workspaces that it never came to. The last says what was kept back, and why.
"""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from spoolrunner import files
from spoolrunner.errors import BadRequest
from spoolrunner.jobrunner.database import OldJob
from spoolrunner.manifest import Entry
from spoolrunner.record import convert, parse_foreign
from spoolrunner.request import Level
from spoolrunner.workspace.places import manifest_of

KEPT = "manifest.job-runner.json"  # what job-runner's is called once ours is in its place
_MOST_BYTES = 256 << 20


def kept_of(root: Path) -> Path:
    return manifest_of(root).with_name(KEPT)


def read(root: Path) -> dict[str, Any]:
    """What job-runner's manifest in this folder of a workspace says; {} if there is none that can
    be read. Ours may have taken its place already."""
    for path in (kept_of(root), manifest_of(root)):
        with contextlib.suppress(OSError, BadRequest):
            return parse_foreign(files.read_regular(path, _MOST_BYTES)[0])
    return {}


def entries(told: dict[str, Any]) -> dict[str, Entry]:
    """What the newest generation tells of outputs; what we don't understand is left out."""
    found = {}
    outputs = told.get("outputs")
    for path, about in (outputs if isinstance(outputs, dict) else {}).items():
        with contextlib.suppress(BadRequest):
            known = {name: about[name] for name in Entry.__struct_fields__ if name in about}
            found[path] = convert(known, Entry)
    return found


def jobs(high: Path, known: set[str], row: int) -> Iterator[OldJob]:
    """Jobs that only the oldest generation knows. high: the folder of all workspaces.

    known: identifiers of those in the database. row: these count as stored from here on.
    """
    for root in sorted(high.glob("*")):
        told = read(root)
        actions = told.get("actions")
        for action, about in (actions if isinstance(actions, dict) else {}).items():
            with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
                job = _job(told, action, about, row + 1)
                if job.identifier not in known:
                    row += 1
                    yield job


def _job(told: dict[str, Any], action: str, about: dict[str, Any], row: int) -> OldJob:
    """Raises KeyError, TypeError, ValueError, AttributeError for what is none of job-runner's."""
    made = {
        path: Level(file["privacy_level"])
        for path, file in told["files"].items()
        if file["created_by_action"] == action
    }
    return OldJob(
        row=row,
        identifier=about["job_id"],
        state=about["state"].lower(),
        repo=told.get("repo") or "",
        commit=about.get("commit") or "",
        workspace=told["workspace"],
        action=action,
        image_id=about.get("docker_image_id") or "",
        outputs=made,
        created_s=_seconds(about.get("created_at")),
        completed_s=_seconds(about.get("completed_at")),
    )


def _seconds(moment: object) -> int:
    """0 if it does not say, as job-runner's migration has it."""
    try:
        return int(datetime.fromisoformat(f"{str(moment).rstrip('Z')}+00:00").timestamp())
    except ValueError:
        return 0
