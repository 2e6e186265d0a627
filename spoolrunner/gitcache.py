"""One repository's cache: the commits that were fetched, and on which branches they were found.

    FOLDER/files.git      commits with their files, without their past; refs/spoolrunner/SHA for each
           history.git    commits with their past, without files, to tell what a branch holds
           known/         SHA-BRANCH: this commit is here, whole and flushed, and is on that branch

A file in known/ is written last, so whoever sees one needs neither network nor lock nor git to know.
Changes need the caller's lock; reading does not. Everything here can be fetched again.
Knows: git, files, errors.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from spoolrunner import files
from spoolrunner.git import PRIVATE, READABLE, Failed, Git, Reason, Source

REFS = "refs/spoolrunner"
# The author's attributes would run filters and rewrite line ends; these stand above them.
ATTRIBUTES = b"* -text -ident -filter -working-tree-encoding\n"
FETCH = (
    *("fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head"),
    *("--no-recurse-submodules", "--no-auto-maintenance"),
)
MANY_PACKS = 50


class Cache:
    def __init__(self, folder: Path, git: Git) -> None:
        self.folder = folder
        self._git = git
        self._files = folder / "files.git"
        self._history = folder / "history.git"

    def knows(self, branch: str, sha: str) -> bool:
        return self._marker(branch, sha).exists()

    def note(self, branch: str, sha: str) -> None:
        """The commit has been fetched and found on the branch. What is in the file is for people."""
        files.make_folder(self.folder / "known")
        with files.Changes() as disk:
            disk.write(self._marker(branch, sha), f"{sha} is on {branch}\n".encode())

    def fetch(self, source: Source, sha: str) -> None:
        """Have the commit here, whole and flushed. Raises Failed."""
        self._begin(self._files)
        self._run(
            *("-c", "fetch.fsckObjects=true"), self._files,
            *FETCH, "--depth=1", "--", source.url, f"+{sha}:{REFS}/{sha}",
            source=source,
        )  # fmt: skip
        self._tidy()
        self._flush()

    def branch_holds(self, source: Source, branch: str, sha: str) -> bool:
        """Is the commit an ancestor of the branch's head, or the head? Raises Failed.

        Reason.NO_COMMIT: the source does not have it at all. Asking for the commits without their
        trees makes the whole past cheap where the server can filter, and right where it can't.
        """
        ref = f"{REFS}/{_digest(branch)}"
        self._begin(self._history)
        self._fetch_history(source, f"+refs/heads/{branch}:{ref}")
        if sha in self._run(self._history, "rev-list", ref).decode().split():
            return True
        self._fetch_history(source, sha)
        return False

    def read(self, sha: str, path: str, limit_bytes: int) -> bytes:
        """Raises Failed (Reason.NO_FILE, or the cache is broken), TooBig."""
        self._must_have(sha)
        try:
            return self._run(
                self._files, "cat-file", "blob", f"{sha}:{path}", limit_bytes=limit_bytes
            )
        except Failed:
            # The words are the same if the commit itself is missing; this fails then.
            self._run(self._files, "ls-tree", sha, "--", path)
            raise

    def lay_out(self, sha: str, folder: Path) -> None:
        """Write the commit's files into the folder, over what is there. Raises Failed.

        Not `git archive`, which leaves out what is marked export-ignore. An index of its own, so
        that jobs don't meet in one file; nothing is flushed.
        """
        self._must_have(sha)
        with tempfile.TemporaryDirectory(prefix="spoolrunner-") as scratch:
            self._run(
                self._files, f"--work-tree={folder}", "read-tree", "--reset", "-u", sha,
                index=Path(scratch, "index"), umask=READABLE,
            )  # fmt: skip

    def clear(self) -> None:
        """Forget everything; `known` first, because it vouches for the rest."""
        for folder in (self.folder / "known", self.folder):
            if folder.exists():
                shutil.rmtree(folder)
                files.sync_folder(folder.parent)

    def forget_history(self) -> None:
        shutil.rmtree(self._history)

    def become(self, fresh: "Cache") -> None:
        """Take the place of this cache's content, which is broken."""
        self.clear()
        with files.Changes() as disk:
            disk.move(fresh.folder, self.folder)

    def _marker(self, branch: str, sha: str) -> Path:
        return self.folder / "known" / f"{sha}-{_digest(branch)}"

    def _run(
        self, *words: str | Path, source: Source = Source(""), index: Path | None = None,
        umask: int = PRIVATE, limit_bytes: int = 64 << 20,
    ) -> bytes:  # fmt: skip
        arguments = [f"--git-dir={word}" if isinstance(word, Path) else word for word in words]
        return self._git.run(
            *arguments, source=source, index=index, umask=umask, limit_bytes=limit_bytes
        )

    def _fetch_history(self, source: Source, what: str) -> None:
        self._run(
            self._history, *FETCH, "--filter=tree:0", "--", source.url, what, source=source
        )

    def _must_have(self, sha: str) -> None:
        if not (self._files / REFS / sha).exists():
            raise Failed(1, "The commit is not in the cache.")

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

    def _tidy(self) -> None:
        if sum(1 for _ in self._packs.glob("*.pack")) > MANY_PACKS:
            self._run(self._files, "repack", "-a", "-d", "--quiet")

    def _flush(self) -> None:
        """git flushes the packs, but no folder, and not the list of commits without a past."""
        shallow = self._files / "shallow"
        with files.Changes() as disk:
            for folder in (self._packs, *self._packs.parents[:2], self._files / REFS, self.folder):
                disk.touched(folder)
            if shallow.exists():
                disk.write(shallow, shallow.read_bytes())

    @property
    def _packs(self) -> Path:
        return self._files / "objects" / "pack"


def _left_behind(repository: Path) -> Iterator[Path]:
    yield from repository.glob("*.lock")
    yield from (repository / REFS).glob("*.lock")
    yield from (repository / "objects" / "pack").glob("tmp_*")


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()[:16]
