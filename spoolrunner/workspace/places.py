"""Places: the paths of one workspace's files (contract, section 5)."""

from dataclasses import dataclass
from pathlib import Path

from spoolrunner.manifest import Provenance
from spoolrunner.workspace.storage import Storage


@dataclass(frozen=True)
class Places:
    """folder: the safe name of the workspace on disk."""

    storage: Storage
    folder: str

    @property
    def high(self) -> Path:
        return self.storage.published(self.folder)

    @property
    def medium(self) -> Path:
        return self.storage.medium / "workspaces" / self.folder

    def journal(self, action: str) -> Path:
        return self.storage.journals / self.folder / f"{action}.json"

    def job_log(self, made: Provenance) -> Path:
        """By the month the job was made: a retry across a month's end finds it (reference 6.31)."""
        return self.storage.high / "logs" / made.created_at[:7] / f"os-job-{made.job}"


def manifest_of(root: Path) -> Path:
    return root / "metadata" / "manifest.json"


def log_of(root: Path, action: str) -> Path:
    return root / "metadata" / f"{action}.log"


def failed_of(root: Path, action: str) -> Path:
    """What the newest run made, if it failed: it never replaces what an earlier one published."""
    return root / "metadata" / f"{action}.failed"


def aside_of(root: Path, job: str) -> Path:
    """Where this job put what stood in its way: a file where a folder has to be, or the reverse."""
    return root / "metadata" / "set-aside" / job
