"""A storage on real disks, and a job that is walked through it as the runner does."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from spoolrunner import files
from spoolrunner.index import WorkspaceIndex
from spoolrunner.manifest import Provenance
from spoolrunner.outputs import Pattern
from spoolrunner.record import to_json
from spoolrunner.release import Rules
from spoolrunner.request import Level, Need, Outcome
from spoolrunner.verdict import Cause, Ending, verdict
from spoolrunner.workspace import Collected, JobFolder, Storage, Workspace

JOB_USER = (10000, 10000) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
REVIEWERS = 4321
RULES = Rules()
Make = Callable[[Path], None] | Mapping[str, str]
NOTHING: Make = {}


def storage_below(base: Path) -> Storage:
    storage = Storage(
        high=base / "high",
        medium=base / "medium",
        jobs=base / "high" / "jobs",
        archives=base / "high" / "archives",
        job_user=JOB_USER,
        boot_id="this-boot",
        medium_group=REVIEWERS if os.geteuid() == 0 else None,
    )
    storage.prepare()
    return storage


@dataclass
class Line:
    """The job line without its runner: each step can be taken alone, and again."""

    storage: Storage
    workspace: Workspace
    index_path: Path
    sequence: int = 0

    def made(self, action: str, patterns: Mapping[str, Level], **more: object) -> Provenance:
        self.sequence += 1
        facts = {
            "action": action,
            "job": f"job-{action}-{self.sequence}",
            "request": f"request-{self.sequence}",
            "sequence": self.sequence,
            "workspace": "my workspace",
            "repo": "https://github.com/opensafely/study",
            "commit": "c" * 40,
            "created_at": "2026-01-31T23:59:59Z",
            "patterns": [Pattern(level, text) for text, level in patterns.items()],
        }
        return Provenance(**(facts | more))  # type: ignore[arg-type]

    def lay_out(
        self, made: Provenance, needs: list[Need] | None = None, study: Make = NOTHING
    ) -> JobFolder:
        part = self.storage.lay_out(made.job)
        fill(part.workspace, study)
        self.workspace.stage(part, needs or [])
        return self.storage.laid_out(made.job)

    def work(self, job: JobFolder, make: Make, log: str = "it ran\n") -> None:
        """What the job does: as the job's user as far as ownership goes."""
        fill(job.workspace, make)
        subprocess.run(
            ["chown", "-hR", f"--from={os.geteuid()}", f"{JOB_USER[0]}", str(job.workspace)],
            check=True,
        )
        with files.Changes() as disk:
            disk.write(job.log, log.encode())

    def collect(self, job: JobFolder, made: Provenance, rules: Rules = RULES) -> Collected:
        return self.workspace.collect(job, made.patterns, rules)

    def outcome(self, found: Collected, exit_code: int = 0, cause: Cause = Cause.OWN) -> Outcome:
        end = verdict(
            Ending(exit_code, cause), found.unmatched, found.kept_back, len(found.refused)
        )
        return Outcome(
            attempt=1,
            status=end.status,
            status_code=end.code,
            status_message=end.message,
            exit_code=exit_code,
            completed_at="2026-02-01T00:00:01Z",
            outputs=found.outputs,
            unmatched_patterns=found.unmatched,
            other_files=found.other_files,
            refused=found.refused,
        )

    def run(
        self,
        action: str,
        patterns: Mapping[str, Level],
        make: Make,
        *,
        needs: list[Need] | None = None,
        study: Make = NOTHING,
        exit_code: int = 0,
        cause: Cause = Cause.OWN,
        rules: Rules = RULES,
        **more: object,
    ) -> tuple[Provenance, Outcome]:
        """The whole line of one job."""
        made = self.made(action, patterns, **more)
        job = self.lay_out(made, needs, study)
        self.work(job, make)
        outcome = self.outcome(self.collect(job, made, rules), exit_code, cause)
        self.workspace.publish(job, made, outcome)
        self.workspace.finish(action, made.job)
        self.storage.clear(made.job)
        return made, outcome

    @property
    def high(self) -> Path:
        return self.storage.high / "workspaces" / "ws"

    @property
    def medium(self) -> Path:
        return self.storage.medium / "workspaces" / "ws"


def need(made: Provenance) -> Need:
    return Need(action=made.action, request=made.request, job=made.job)


def fill(folder: Path, make: Make) -> None:
    if callable(make):
        make(folder)
        return
    for name, text in make.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def tree(root: Path) -> dict[str, str]:
    """Every file below root with its text; links and other things as what they are."""
    return {
        str(path.relative_to(root)): _text(path)
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or not path.is_dir()
    }


def _text(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        return "<not a file>"
    return path.read_text(errors="backslashreplace")


def line_below(base: Path) -> Line:
    storage = storage_below(base)
    index_path = base / "ws.json"
    if not index_path.exists():
        index = WorkspaceIndex(name="my workspace", folder="ws", repo="r", branch="b", db="full")
        with files.Changes() as disk:
            disk.write(index_path, to_json(index))
    return Line(storage, Workspace(storage, "ws", index_path), index_path)


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return line_below(tmp_path)


@pytest.fixture
def root_needed() -> None:
    if os.geteuid() != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("this test needs root")
        pytest.skip("this test needs root")


@pytest.fixture(params=["ext4", "xfs", "btrfs"])
def mounted(request: pytest.FixtureRequest, tmp_path: Path, root_needed: None) -> Iterator[Path]:
    """A fresh filesystem of each kind on a loop device."""
    kind = request.param
    if shutil.which(f"mkfs.{kind}") is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing(f"mkfs.{kind} is not installed")
    image, point = tmp_path / "image", tmp_path / "mounted"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(400 << 20)
    subprocess.run([f"mkfs.{kind}", "-q", str(image)], check=True, timeout=60, capture_output=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(point)], check=True, timeout=60)
    try:
        yield point
    finally:
        subprocess.run(["umount", str(point)], check=True, timeout=60)
