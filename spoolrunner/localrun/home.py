"""The home: what local runs keep of a study, in its folder metadata/.spoolrunner.

    identity.json   whose it is, see below
    workspace.json  which run of each action made what: a WorkspaceIndex, as the service has
    storage/        job folders, and the journal of what is being published
    medium/ git/    as the service has them
    processes/      of the process executor

A study may come with any files, this folder among them, and what lies here is believed: it says
which containers are ours and which files to move. So it counts only in the place where it was made,
which no clone or copy can fake: identity.json holds the inode and the ctime of the file beside it.
Knows: workspace, files, beneath, lock, notebook and the words.
"""

import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from spoolrunner import beneath, files, manifest, notebook
from spoolrunner.errors import BadInput, BadMachine, TryLater
from spoolrunner.index import WorkspaceIndex
from spoolrunner.lock import Lock
from spoolrunner.record import Frozen, from_json, to_json
from spoolrunner.workspace import Storage, Workspace

METADATA = "metadata"
NAME = ".spoolrunner"
FOLDER = "study"  # of the one workspace there is, below the storage
PASSABLE = 0o711  # a job's user has to reach its own folder inside


class Identity(Frozen, frozen=True, kw_only=True):
    """id: 8 random hex digits, they stand in each container's name. inode, ctime_ns: of `born`."""

    format: int = 1
    id: str
    inode: int
    ctime_ns: int


@dataclass(frozen=True)
class StudyStorage(Storage):
    """Outputs go to the study's own folder."""

    study: Path = field(kw_only=True)

    def published(self, folder: str) -> Path:
        return self.study


@dataclass(frozen=True)
class Home:
    """renewed: what lay there was not ours and has been removed."""

    study: Path
    folder: Path
    spool8: str
    renewed: bool

    @property
    def index_path(self) -> Path:
        return self.folder / "workspace.json"

    @property
    def docker_used(self) -> Path:
        """Is there once a run has used an engine: what is left may be there."""
        return self.folder / "docker-used"

    def lock(self) -> Lock:
        """Held by one run at a time. Raises TryLater."""
        lock = Lock(self.folder / "lock")
        if not lock.take():
            raise TryLater(
                f"Another local-run is at work in {self.study}.",
                kind="busy",
                hint="Wait for it to end, or stop it with Ctrl-C.",
            )
        return lock

    def storage(self, job_user: tuple[int, int], boot_id: str) -> StudyStorage:
        base = self.folder / "storage"
        storage = StudyStorage(
            high=base,
            medium=self.folder / "medium",
            jobs=base / "volumes",
            archives=base / "archives",
            job_user=job_user,
            boot_id=boot_id,
            study=self.study,
        )
        storage.prepare()
        return storage

    def workspace(self, storage: Storage) -> Workspace:
        if not self.index_path.exists():
            name = self.study.name
            new = WorkspaceIndex(name=name, folder=FOLDER, repo=str(self.study), branch="", db="")
            with files.Changes() as disk:
                disk.write(self.index_path, to_json(new))
        _set_aside_foreign_manifest(self.study / METADATA / "manifest.json")
        return Workspace(storage, FOLDER, self.index_path)


def enter(study: Path) -> Home:
    """study: resolved. Raises BadInput ("bad_metadata"), OSError."""
    metadata = study / METADATA
    folder = metadata / NAME
    for path in (metadata, folder):
        _must_be_folder(path)
    identity = _identity(folder)
    renewed = identity is None and folder.exists()
    if identity is None:
        beneath.remove_tree(folder)
        files.make_folder(metadata, 0o755)
        files.make_folder(folder, PASSABLE)
        identity = _found(folder)
    return Home(study, folder, identity.id, renewed)


def _must_be_folder(path: Path) -> None:
    """What we write below a link would go to wherever the study says."""
    try:
        about = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(about.st_mode):
        raise BadInput(
            f"{path} is not a folder, so logs and records can't be kept there.",
            kind="bad_metadata",
            hint="Remove it from the study: it is spoolrunner's own.",
        )


def _identity(folder: Path) -> Identity | None:
    """None if what lies there was not made there, or there is nothing."""
    path = folder / "identity.json"
    try:
        data, _ = files.read_regular(path, 4096)
        identity = from_json(data, Identity, str(path))
        about = os.lstat(folder / "born")
    except (OSError, BadMachine):
        return None
    same = (identity.inode, identity.ctime_ns) == (about.st_ino, about.st_ctime_ns)
    return identity if same else None


def _found(folder: Path) -> Identity:
    """Make it ours. Last: what was begun and not ended here counts as somebody else's."""
    files.write_flushed(folder / ".gitignore", b"*\n", 0o644)
    files.write_flushed(folder / "born", b"", files.PRIVATE_FILE)
    about = os.lstat(folder / "born")
    identity = Identity(id=secrets.token_hex(4), inode=about.st_ino, ctime_ns=about.st_ctime_ns)
    with files.Changes() as disk:
        disk.write(folder / "identity.json", to_json(identity))
    return identity


def _set_aside_foreign_manifest(path: Path) -> None:
    """Older tools left another kind of file under this name."""
    try:
        written = notebook.read(path)
        manifest.read(written.whole, written.notes, str(path))
    except FileNotFoundError:
        return
    except (OSError, BadMachine):
        with files.Changes() as disk:
            for each in notebook.lying(path):
                disk.replace(each, each.with_name(f"{each.name}.before-spoolrunner"))
