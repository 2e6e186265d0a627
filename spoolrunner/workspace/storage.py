"""Storage: where long-term files and job folders lie, who may read them, and is the disk there.

High privacy is ours alone; medium privacy may be read by the reviewers' group. A base that is not
mounted looks like an empty folder, so `init` leaves a marker in each and real data are never
written where it is missing. Layout: contract, section 5.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from spoolrunner import beneath, files
from spoolrunner.errors import BadInput, BadMachine, TryLater
from spoolrunner.record import Frozen, from_json, to_json
from spoolrunner.request import Level
from spoolrunner.settings import STORAGE_MARKER as MARKER

PASSABLE_FOLDER = 0o711  # a job's user has to reach its own folder below ours
# Set-group-ID: what is made inside belongs to the reviewers' group without a chown for each file.
SHARED_FOLDER = 0o2750
SHARED_FILE = 0o640
ARCHIVE_SUFFIXES = (".tar.gz", ".tar.zstd", ".tar.xz")
_MARKER_BYTES = 4096


class Marker(Frozen, frozen=True, kw_only=True):
    """level: "high" or "medium", so that two swapped settings are noticed."""

    format: int = 1
    level: str


class Staged(Frozen, frozen=True, kw_only=True):
    """What was laid out before a job started; the last file to be written.

    boot_id: of the machine then: what was laid out is not flushed, so a power cut may have torn it.
    inputs: path -> sha256. levels: path -> how private that input is.
    """

    format: int = 1
    boot_id: str
    inputs: dict[str, str] = {}
    levels: dict[str, Level] = {}


@dataclass(frozen=True)
class JobFolder:
    """Everything of one attempt of a job; removed when the job has ended and is told.

    workspace: what the job sees and may fill. log: what it said, written by the executor.
    outcome: written before the first of its files moves.
    """

    home: Path

    @property
    def workspace(self) -> Path:
        return self.home / "workspace"

    @property
    def log(self) -> Path:
        return self.home / "log.txt"

    @property
    def outcome(self) -> Path:
        return self.home / "outcome.json"

    @property
    def staged(self) -> Path:
        return self.home / "staged.json"


@dataclass(frozen=True)
class Storage:
    """high, medium: the two bases. jobs: folder of job folders, on the filesystem of high.

    job_user: (uid, gid) that jobs run as. medium_group: gid of the reviewers, or None.
    boot_id: of the running system.
    """

    high: Path
    medium: Path
    jobs: Path
    archives: Path
    job_user: tuple[int, int]
    boot_id: str
    medium_group: int | None = None

    def prepare(self) -> None:
        """Make what is missing, take away what others may not have, mark both bases; safe to
        repeat (`init` does it)."""
        for folder, mode in self.modes().items():
            files.make_folder(folder, mode)
            about = folder.stat()
            if about.st_uid == os.geteuid() and stat.S_IMODE(about.st_mode) & ~mode:
                files.set_owner(folder, mode, None)
        files.set_owner(self.medium, SHARED_FOLDER, self.medium_group)
        self.share(self.medium / "workspaces")
        with files.Changes() as disk:
            disk.write(self.high / MARKER, to_json(Marker(level="high")))
            disk.write(self.medium / MARKER, to_json(Marker(level="medium")), SHARED_FILE)

    def modes(self) -> dict[Path, int]:
        """Our own folders, and the most that others may do there."""
        private = (self.high / "workspaces", self.high / "logs", self.journals, self.archives)
        shared = (self.medium, self.medium / "workspaces")
        return {
            **dict.fromkeys((self.high, self.jobs), PASSABLE_FOLDER),
            **dict.fromkeys(private, files.PRIVATE_FOLDER),
            **dict.fromkeys(shared, SHARED_FOLDER),
        }

    def check(self, real_data: bool) -> None:
        """Raises BadMachine if a base is not there or not marked; or, with real data, in git."""
        for base, level in ((self.high, "high"), (self.medium, "medium")):
            _check_marker(base, level)
            if real_data and any((folder / ".git").exists() for folder in (base, *base.parents)):
                raise BadMachine(
                    f"The {level}-privacy storage {base} lies in a git work tree.",
                    kind="storage_in_git",
                    hint="Patients' data could be committed: choose another folder.",
                )

    def check_modes(self) -> None:
        """Raises BadMachine if others may do more in a folder of ours than they should."""
        for folder, mode in self.modes().items():
            _check_mode(folder, mode)

    def share(self, folder: Path) -> None:
        """Make a folder below medium privacy, it and those above it for the reviewers to read."""
        files.make_folder(folder, SHARED_FOLDER)
        below = [folder, *folder.parents]
        for path in below[: below.index(self.medium)]:
            about = path.stat()
            right_group = self.medium_group in (None, about.st_gid)
            if not right_group or stat.S_IMODE(about.st_mode) != SHARED_FOLDER:
                files.set_owner(path, SHARED_FOLDER, self.medium_group)

    def published(self, folder: str) -> Path:
        """Where the outputs of a workspace lie, at high privacy."""
        return self.high / "workspaces" / folder

    @property
    def journals(self) -> Path:
        return self.high / "publishing"

    def job(self, name: str) -> JobFolder:
        return JobFolder(self.jobs / name)

    def lay_out(self, name: str) -> JobFolder:
        """An empty job folder under a name that nobody starts from; `laid_out` gives it its own."""
        folder = JobFolder(self.jobs / f"{name}.part")
        beneath.remove_tree(folder.home)
        files.make_folder(folder.home, PASSABLE_FOLDER)
        files.make_folder(folder.workspace)
        return folder

    def laid_out(self, name: str) -> JobFolder:
        """It is whole: give it its name. What was left of an earlier one is removed."""
        folder = self.job(name)
        beneath.remove_tree(folder.home)
        with files.Changes() as disk:
            disk.move(self.jobs / f"{name}.part", folder.home)
        return folder

    def is_laid_out(self, name: str) -> bool:
        """Is there a whole job folder, laid out since the machine was started?"""
        try:
            return self.staged(name).boot_id == self.boot_id
        except FileNotFoundError:
            return False

    def staged(self, name: str) -> Staged:
        """What was laid out. Raises FileNotFoundError, BadMachine."""
        path = self.job(name).staged
        data, _ = files.read_regular(path, 1 << 30)
        return from_json(data, Staged, str(path))

    def clear(self, name: str) -> None:
        """Remove a job folder, hostile content and all; nothing there is fine."""
        beneath.remove_tree(self.jobs / f"{name}.part")
        beneath.remove_tree(self.jobs / name)

    @property
    def kept(self) -> Path:
        """Folders of jobs that failed for no reason of their own, for whoever looks into it."""
        return self.jobs / "kept"

    def keep(self, name: str) -> None:
        """Out of the way of the next attempt, as it is; it may have been kept before."""
        if not (self.jobs / name).exists():
            return
        files.make_folder(self.kept)
        with files.Changes() as disk:
            disk.move(self.jobs / name, self.kept / name)

    def set_aside(self, path: Path, now: str) -> None:
        """Put a file that can't be read out of the way. Of high privacy, whatever it was."""
        stamp = "".join(letter for letter in now if letter.isdigit() or letter == "T")
        folder = self.high / "set-aside"
        files.make_folder(folder)
        with files.Changes() as disk:
            disk.move(path, folder / f"{stamp}Z-{path.parent.name}-{path.name}")

    def archive_mark(self, folder: str) -> Path:
        """Lies there while the workspace goes into the archive or comes back (archive.py)."""
        return self.archives / f".{folder}.moving"

    def is_put_away(self, folder: str) -> bool:
        """Are there no outputs? Jobs that were refused since may have left logs and a manifest."""
        try:
            names = os.listdir(self.high / "workspaces" / folder)
        except FileNotFoundError:
            return True
        return set(names) <= {"metadata"}

    def refuse_archived(self, folder: str) -> None:
        """Raises BadInput if this workspace lies in the archive and no longer here (ref. 4.8),
        TryLater ("being_archived") while it goes there or comes back."""
        if self.archive_mark(folder).exists():
            raise TryLater(
                f"The workspace {folder} is being archived or brought back.",
                kind="being_archived",
                hint="If that was interrupted, the operators do it again.",
            )
        if not self.is_put_away(folder):
            return
        if any((self.archives / f"{folder}{suffix}").exists() for suffix in ARCHIVE_SUFFIXES):
            raise BadInput(
                f"The workspace {folder} has been archived.",
                kind="workspace_archived",
                hint="Ask the operators to bring it back (`spoolrunner unarchive`).",
            )


def _check_mode(folder: Path, mode: int) -> None:
    """A passable folder may also be listed: no name in it says anything. None may be written."""
    try:
        about = folder.stat()
    except FileNotFoundError:
        return  # it is made when something is written there
    more = stat.S_IMODE(about.st_mode) & ~mode & (0o022 if mode == PASSABLE_FOLDER else 0o077)
    if more or about.st_uid not in (0, os.geteuid()):
        raise BadMachine(
            f"{folder} is open to others (mode {stat.S_IMODE(about.st_mode):o}), or belongs to"
            " another user.",
            kind="bad_mode",
            hint="Run `spoolrunner init` as the runner's user to mend it.",
        )


def _check_marker(base: Path, level: str) -> None:
    path = base / MARKER
    try:
        data, _ = files.read_regular(path, _MARKER_BYTES)
    except OSError as error:
        raise BadMachine(
            f"The {level}-privacy storage {base} bears no marker: is its disk mounted?",
            kind="storage_missing",
            hint="Mount it; or, if it is new, run `spoolrunner init`.",
            detail=str(error),
        ) from error
    found = from_json(data, Marker, str(path)).level
    if found != level:
        raise BadMachine(
            f"The {level}-privacy storage {base} is marked as {found} privacy.",
            kind="storage_swapped",
            hint="Correct HIGH_PRIVACY_STORAGE_BASE and MEDIUM_PRIVACY_STORAGE_BASE.",
        )
