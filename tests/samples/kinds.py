"""Which files there are samples of, what they are in our code, and where a spool has them."""

from dataclasses import dataclass
from pathlib import Path

from spoolrunner import audit, manifest, request
from spoolrunner.executor import kept
from spoolrunner.index import WorkspaceIndex
from spoolrunner.localrun import home
from spoolrunner.spool import board, outbox, requests, rooms
from spoolrunner.workspace import storage


@dataclass(frozen=True)
class Kind:
    """where: a pattern below the spool."""

    type: type
    where: str

    @property
    def format(self) -> int:
        """The one we write, 0 if it has none."""
        names, defaults = self.type.__struct_fields__, self.type.__struct_defaults__
        return int(dict(zip(names[::-1], defaults[::-1], strict=False)).get("format", 0))


HIGH = "storage/high_privacy"
KINDS = {
    "spool": Kind(rooms.Marker, "SPOOL.json"),
    "active-request": Kind(request.Request, "running/active.json"),
    "finished-request": Kind(request.Request, "done/*/finished.json"),
    "index-entry": Kind(requests.Whereabouts, "index/*/finished"),
    "workspace": Kind(WorkspaceIndex, "workspaces/ws.json"),
    "report": Kind(outbox.Report, "outbox/active.*.json"),
    "refusal": Kind(outbox.Refusal, "outbox/refused/active.error.json"),
    "board": Kind(board.Board, "board/board.json"),
    "storage": Kind(storage.Marker, f"{HIGH}/SPOOLRUNNER-STORAGE.json"),
    "staged": Kind(storage.Staged, f"{HIGH}/volumes/sr-*/staged.json"),
    "outcome": Kind(request.Outcome, f"{HIGH}/volumes/sr-*/outcome.json"),
    "journal": Kind(manifest.Journal, f"{HIGH}/publishing/ws/*.json"),
    "manifest": Kind(manifest.Manifest, f"{HIGH}/workspaces/ws/metadata/manifest.json"),
    "audit": Kind(audit.Event, "audit/*.jsonl"),
    "keeper-started": Kind(kept.Started, "processes/*/started"),
    "keeper-status": Kind(kept.Ended, "processes/*/status"),
    "local-run": Kind(home.Identity, "../study/metadata/.spoolrunner/identity.json"),
}


def folder(kind: Kind) -> Path:
    return Path(__file__).parent / f"format-{kind.format}"
