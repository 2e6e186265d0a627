"""One repository's cache: the commits that were fetched, and on which branches they were found.

    FOLDER/files.git     commits with files, without their past; a ref refs/spoolrunner/SHA each
           history.git   commits with their past, without files, to tell what a branch holds
           known/        SHA-BRANCH: this commit is here, whole and flushed, and on that branch

A file in known/ is written last, so whoever sees one needs no network, no lock and no git to know.
Changes need the caller's lock; reading does not. Everything here can be fetched again.
Knows: git, words, beneath, files.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from spoolrunner import beneath, files
from spoolrunner.checkout.git import READABLE, Git, Source
from spoolrunner.checkout.words import Failed, Reason

REFS = "refs/spoolrunner"
# The author's attributes would run filters and rewrite line ends; these stand above them.
ATTRIBUTES = b"* -text -ident -filter -working-tree-encoding\n"
FETCH = (
    *("fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head"),
    *("--no-recurse-submodules", "--no-auto-maintenance"),
)
MANY_PACKS = 50


class Cache:
    """folder: of this repository alone. Every method may raise git.Failed."""

    def __init__(self, folder: Path, git: Git) -> None:
        self.folder = folder
        self._git = git
        self._files = folder / "files.git"
        self._history = folder / "history.git"

    def knows(self, branch: str, sha: str) -> bool:
        return self._marker(branch, sha).exists()

    def note(self, branch: str, sha: str) -> None:
        """The commit has been fetched and found on the branch. The content is for people."""
        files.make_folder(self.folder / "known")
        with files.Changes() as disk:
            disk.write(self._marker(branch, sha), f"{sha} is on {branch}\n".encode())

    def has(self, sha: str) -> bool:
        return (self._files / REFS / sha).exists()

    def fetch(self, source: Source, sha: str) -> None:
        """Have the commit here, whole and flushed."""
        self._begin(self._files)
        wanted = (source.url, f"+{sha}:{REFS}/{sha}")
        check = ("-c", "fetch.fsckObjects=true")
        self._git.run(*check, _at(self._files), *FETCH, "--depth=1", "--", *wanted, source=source)
        self._repack()
        self._flush()

    def branch_holds(self, source: Source, branch: str, sha: str) -> bool:
        """Is the commit the branch's head or an ancestor of it?

        Fails with Reason.NO_COMMIT if the source does not have it at all. Commits without trees are
        cheap where the server can filter; where it can't it sends more, and the answer is the same.
        """
        ref = f"{REFS}/{_digest(branch)}"
        self._begin(self._history)
        self._fetch_history(source, f"+refs/heads/{branch}:{ref}")
        if sha in self._git.run(_at(self._history), "rev-list", ref).decode().split():
            return True
        self._fetch_history(source, sha)
        return False

    def read(self, sha: str, path: str, limit_bytes: int) -> bytes:
        """One file. Fails with Reason.NO_FILE only if it is sure"""
        self._must_have(sha)
        where = _at(self._files)
        try:
            return self._git.run(
                where, "cat-file", "blob", f"{sha}:{path}", limit_bytes=limit_bytes
            )
        except Failed as failure:
            # Its words are the same for a path that is not there and for objects that we lost.
            entry = self._git.run(where, "ls-tree", sha, "--", path).split()
            if failure.reason is Reason.UNKNOWN and entry[1:2] != [b"blob"]:
                raise Failed(failure.said, Reason.NO_FILE) from failure
            raise

    def lay_out(self, sha: str, folder: Path) -> None:
        """Write the commit's files into the folder, over what is there.

        Not `git archive`, which leaves out what is marked export-ignore. An index of its own, so
        that two jobs don't meet in one file. Nothing is flushed.
        """
        self._must_have(sha)
        where = (_at(self._files), f"--work-tree={folder}")
        with tempfile.TemporaryDirectory(prefix="spoolrunner-") as scratch:
            self._git.run(
                *where, "read-tree", "--reset", "-u", sha,
                index=Path(scratch, "index"), umask=READABLE,
            )  # fmt: skip

    def clear(self) -> None:
        """Forget everything; known/ first, because it vouches for the rest."""
        for folder in (self.folder / "known", self.folder):
            _remove(folder)

    def forget_history(self) -> None:
        _remove(self._history)

    def become(self, fresh: "Cache") -> None:
        """Put a new cache in the place of this one, which is broken."""
        self.clear()
        with files.Changes() as disk:
            disk.move(fresh.folder, self.folder)

    def _marker(self, branch: str, sha: str) -> Path:
        return self.folder / "known" / f"{sha}-{_digest(branch)}"

    def _must_have(self, sha: str) -> None:
        if not self.has(sha):
            raise Failed("The commit is not in the cache.", Reason.UNKNOWN)

    def _begin(self, repository: Path) -> None:
        """Make it if it is not there, and clear away what a killed fetch left: we hold the lock."""
        attributes = repository / "info" / "attributes"
        if not attributes.exists():
            files.make_folder(self.folder)
            self._git.run("init", "--quiet", "--bare", "--template=", str(repository))
            files.make_folder(attributes.parent)
            with files.Changes() as disk:
                disk.write(attributes, ATTRIBUTES)
        with files.Changes() as disk:
            for path in _left_behind(repository):
                disk.remove(path)

    def _fetch_history(self, source: Source, what: str) -> None:
        self._git.run(
            _at(self._history), *FETCH, "--filter=tree:0", "--", source.url, what, source=source
        )

    def _repack(self) -> None:
        """Each fetch leaves a pack; git looks for an object in one after the other."""
        if sum(1 for _ in self._packs.glob("*.pack")) > MANY_PACKS:
            self._git.run(_at(self._files), "repack", "-a", "-d", "--quiet")

    def _flush(self) -> None:
        """git flushes the packs, but no folder, and not the list of commits without a past."""
        shallow = self._files / "shallow"
        with files.Changes() as disk:
            for folder in (self._packs, *self._packs.parents[:3], self._files / REFS):
                disk.touched(folder)
            if shallow.exists():
                disk.write(shallow, shallow.read_bytes())

    @property
    def _packs(self) -> Path:
        return self._files / "objects" / "pack"


def _at(repository: Path) -> str:
    return f"--git-dir={repository}"


def _left_behind(repository: Path) -> Iterator[Path]:
    yield from repository.glob("*.lock")
    yield from (repository / REFS).glob("*.lock")
    yield from (repository / "objects" / "pack").glob("tmp_*")


def _remove(folder: Path) -> None:
    if folder.exists():
        beneath.remove_tree(folder)
        files.sync_folder(folder.parent)


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()[:16]
