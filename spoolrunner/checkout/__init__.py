"""Studies: a commit of an allowed repository, as a tree on disk.

A commit counts when it has been fetched whole and was found on the branch the request names. That
it can be fetched proves nothing: anybody can make a commit fetchable from an allowed repository by
opening a pull request (reference/opensafely.md 4.5). What was fetched once needs no network again.
A definite answer ("no such commit") refuses the request; whatever can't be told apart from a bad
line is TryLater. Knows: files, errors.
"""

import contextlib
import re
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from spoolrunner.checkout.cache import Cache
from spoolrunner.checkout.git import Git, Source
from spoolrunner.checkout.source import GITHUB, Repository, Sources, on_github, shown
from spoolrunner.checkout.words import (
    AGAIN,
    Failed,
    Reason,
    Wanted,
    explained,
    not_on_branch,
    refusal,
)
from spoolrunner.errors import Bug, TryLater
from spoolrunner.lock import Lock

ACTIONS_ORG = "opensafely-actions"
FILE_BYTES = 4 * 1024 * 1024
SHARDS = 16

_SHA = re.compile(r"[0-9a-f]{40}", re.ASCII)
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
T = TypeVar("T")


@dataclass(frozen=True)
class ReusableAction:
    """What IMAGE:TAG stands for when IMAGE is no runtime. action_yaml: bytes, not parsed."""

    repo: str
    sha: str
    action_yaml: bytes


class Studies:
    """folder: the cache, ours alone. locks: where the 16 lock files are. timeout_s: of each run of
    git. waits_s: between tries when the line is bad. Settings: contract, section 1.

    Safe for threads and processes at once. Every method raises TryLater (kind "git_unreachable",
    "git_busy") or BadMachine besides what it names.
    """

    def __init__(
        self,
        folder: Path,
        *,
        locks: Path,
        backend: str,
        allowed_orgs: Collection[str],
        allow_local: bool,
        mirror: Path | None,
        token: str | None,
        proxy_domain: str | None,
        timeout_s: float = 300,
        waits_s: Sequence[float] = (4, 8, 16, 32),
    ) -> None:
        self._folder = folder
        self._locks = locks
        self._sources = Sources(backend, allowed_orgs, allow_local, mirror, token, proxy_domain)
        self._timeout_s = timeout_s
        self._waits_s = waits_s

    def check_address(self, repo: str) -> None:
        """No I/O. Raises CannotExpand (kind "repo_not_allowed")."""
        self._sources.repository(repo)

    def resolve(self, repo: str, branch: str, sha: str | None) -> str:
        """The commit to run: fetched whole and found on the branch; without sha, the branch's head.

        Raises CannotExpand: "repo_not_allowed", "no_such_repo", "no_such_branch", "no_such_commit",
        "commit_not_on_branch", "unsafe_commit".
        """
        repository = self._sources.repository(repo)
        if sha is None:
            return self._bring(repository, Wanted(shown(repo), "branch", branch))
        wanted = Wanted(shown(repo), "branch", branch, sha.lower())
        if not _SHA.fullmatch(wanted.sha):
            raise refusal(Reason.NO_COMMIT, wanted)
        if self._cache(repository).knows(branch, wanted.sha):
            return wanted.sha
        return self._bring(repository, wanted)

    def read(self, repo: str, sha: str, path: str) -> bytes:
        """One file of a commit that was resolved; a link gives its target's name, unfollowed.

        Raises CannotExpand: "no_such_file", "file_too_big" (more than 4 MiB).
        """
        repository = self._sources.repository(repo, ACTIONS_ORG)
        return self._read(repository, Wanted(shown(repo), sha=sha, path=path))

    def tree(self, repo: str, sha: str, folder: Path) -> None:
        """The files of a commit that was resolved, into an empty folder; without .git, not flushed.

        Files are 0644 or 0755, folders 0755, links stay links, submodules are empty folders.
        Bytes are the repository's, whatever its .gitattributes say. Raises TryLater (kind
        "cannot_write": disk full, no permission), CannotExpand (kind "unsafe_commit").
        """
        if any(folder.iterdir()):
            raise Bug("A study's files were to be laid out over others.", detail=str(folder))
        repository = self._sources.repository(repo, ACTIONS_ORG)
        wanted = Wanted(shown(repo), sha=sha)
        self._from_cache(repository, wanted, lambda cache: cache.lay_out(sha, folder))

    def reusable(self, image: str, tag: str) -> ReusableAction:
        """The action IMAGE of the organisation opensafely-actions at a tag that is on its main.

        Asks the network for the tag each time, since tags move. Raises CannotExpand as `resolve`
        and `read`, and "no_such_tag".
        """
        repo = f"{GITHUB}{ACTIONS_ORG}/{image}"
        repository = on_github(repo) if _IMAGE.fullmatch(image) else None
        if not repository:
            raise refusal(Reason.NO_REPOSITORY, Wanted(shown(repo)))
        sha = self._head(self._sources.of(repository), Wanted(repo, "tag", tag))
        if not self._cache(repository).knows("main", sha):
            self._bring(repository, Wanted(repo, "branch", "main", sha))
        wanted = Wanted(repo, "tag", tag, sha, "action.yaml")
        return ReusableAction(repo, sha, self._read(repository, wanted))

    def _bring(self, repository: Repository, wanted: Wanted) -> str:
        """Ask for the branch's head, look for the commit in its past, fetch it, note it."""
        source = self._sources.of(repository)
        head = self._head(source, wanted)
        sha = wanted.sha or head
        cache = self._cache(repository)

        def fetch() -> None:
            with self._locked(repository):
                if cache.knows(wanted.ref, sha):
                    return
                if sha != head and not self._holds(cache, source, wanted):
                    raise not_on_branch(wanted)
                self._fetch(cache, source, sha)
                cache.note(wanted.ref, sha)

        self._patiently(fetch, wanted)
        return sha

    def _head(self, source: Source, wanted: Wanted) -> str:
        """The commit of exactly this branch or tag (an annotated tag names one).

        Always below refs/heads/ or refs/tags/, so never a pull request's ref, and no option.
        """
        ref = f"refs/{'heads' if wanted.kind == 'branch' else 'tags'}/{wanted.ref}"
        if not wanted.ref.isprintable() or wanted.ref.startswith("-"):
            raise refusal(Reason.NO_BRANCH, wanted)
        try:
            self._git.run("check-ref-format", ref)
        except Failed as failure:
            raise refusal(Reason.NO_BRANCH, wanted) from failure
        ask = ("ls-remote", "--", source.url, ref, f"{ref}^{{}}")
        answer = self._patiently(lambda: self._git.run(*ask, source=source).decode(), wanted)
        found = {name: sha for sha, _, name in (row.partition("\t") for row in answer.splitlines())}
        sha = found.get(f"{ref}^{{}}") or found.get(ref, "")
        if not _SHA.fullmatch(sha):
            raise refusal(Reason.NO_BRANCH, wanted)
        return sha

    def _holds(self, cache: Cache, source: Source, wanted: Wanted) -> bool:
        with _unless_broken():
            return cache.branch_holds(source, wanted.ref, wanted.sha)
        cache.forget_history()
        return cache.branch_holds(source, wanted.ref, wanted.sha)

    def _fetch(self, cache: Cache, source: Source, sha: str) -> None:
        with _unless_broken():
            return cache.fetch(source, sha)
        return self._renew(cache, source, sha)

    def _renew(self, cache: Cache, source: Source, sha: str) -> None:
        """What no server and no line says, a broken cache says: fetch into a new one.

        The old one stays until that has worked, for the other commits in it.
        """
        fresh = Cache(cache.folder.with_name(f"{cache.folder.name}.new"), self._git)
        fresh.clear()
        fresh.fetch(source, sha)
        cache.become(fresh)

    def _read(self, repository: Repository, wanted: Wanted) -> bytes:
        if wanted.path.startswith(("./", "../", "/")):  # git takes ./ and ../ from where it stands
            raise refusal(Reason.NO_FILE, wanted)
        return self._from_cache(
            repository, wanted, lambda cache: cache.read(wanted.sha, wanted.path, FILE_BYTES)
        )

    def _from_cache(self, repository: Repository, wanted: Wanted, use: Callable[[Cache], T]) -> T:
        """Use the commit as it lies here; if it is broken or gone, fetch it again and use that."""
        if not _SHA.fullmatch(wanted.sha):
            raise refusal(Reason.NO_COMMIT, wanted)
        return self._patiently(lambda: self._use(repository, wanted.sha, use), wanted)

    def _use(self, repository: Repository, sha: str, use: Callable[[Cache], T]) -> T:
        cache = self._cache(repository)
        with _unless_broken():
            return use(cache)
        with self._locked(repository):
            with _unless_broken():  # another job may have mended it while we waited
                return use(cache)
            mend = self._renew if cache.has(sha) else self._fetch
            mend(cache, self._sources.of(repository), sha)
            return use(cache)

    def _patiently(self, step: Callable[[], T], wanted: Wanted) -> T:
        """Do it; if line or server are bad, wait and do it again. Waits without a lock."""
        waits_s = iter(self._waits_s)
        while True:
            try:
                return step()
            except Failed as failure:
                error = explained(failure, wanted, with_token=bool(self._sources.token))
                wait_s = next(waits_s, None)
                if wait_s is None or failure.reason not in (Reason.LINE, Reason.UNKNOWN):
                    raise error from failure
            time.sleep(wait_s)

    @property
    def _git(self) -> Git:
        """With its settings beside it, even if somebody has removed the cache by hand."""
        git = Git(self._folder, self._timeout_s)
        if not git.settled():
            with self._shard(0):
                git.settle()
        return git

    def _cache(self, repository: Repository) -> Cache:
        return Cache(self._folder / repository.key, self._git)

    def _locked(self, repository: Repository) -> contextlib.AbstractContextManager[None]:
        return self._shard(zlib.crc32(repository.key.encode()) % SHARDS)

    @contextlib.contextmanager
    def _shard(self, number: int) -> Iterator[None]:
        lock = Lock(self._locks / f"git-{number:02d}")
        if not lock.take(self._timeout_s):
            raise TryLater("Another job is still fetching a study.", kind="git_busy", hint=AGAIN)
        try:
            yield
        finally:
            lock.release()


@contextlib.contextmanager
def _unless_broken() -> Iterator[None]:
    """Go on after the block if it failed for no reason that a server, line or disk gives."""
    try:
        yield
    except Failed as failure:
        if failure.reason is not Reason.UNKNOWN:
            raise
