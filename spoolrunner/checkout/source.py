"""Where studies may come from, and where each is fetched from.

An address is `https://github.com/ORG/NAME` or, where that is allowed, a local path. It is fetched
from GitHub, from the site's proxy for it, or from the operator's mirror; then no network is tried.
Knows: git, words, errors.
"""

import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from spoolrunner.checkout.git import Source
from spoolrunner.checkout.words import printable
from spoolrunner.errors import BadMachine, CannotExpand

ANY_ORGANISATION = "*"
GITHUB = "https://github.com/"
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

_ON_GITHUB = re.compile(
    rf"{GITHUB}(?P<org>[A-Za-z0-9-]+)/(?P<name>[A-Za-z0-9._-]+?)(?:\.git)?/?", re.ASCII
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Repository:
    """written: as the request has it. org: "" if it is local; then path says where."""

    written: str
    name: str
    org: str = ""
    path: str = ""

    @property
    def key(self) -> str:
        """Its name on our disk. GitHub takes no notice of case, so we don't."""
        address = self.path or f"{GITHUB}{self.org}/{self.name}".lower()
        label = re.sub(r"[^a-z0-9]+", "-", f"{self.org}-{self.name}".lower()).strip("-")
        return f"{label[:80]}-{hashlib.sha1(address.encode()).hexdigest()[:16]}"


@dataclass(frozen=True)
class Sources:
    """The site's rules. allowed_orgs: "*" is any; empty is none. token: only for https, only to
    GitHub or proxy_domain, which stands in for it. mirror: a folder of ORG/NAME.git."""

    backend: str
    allowed_orgs: Collection[str]
    allow_local: bool
    mirror: Path | None
    token: str | None
    proxy_domain: str | None

    def repository(self, address: str, *also: str) -> Repository:
        """also: organisations allowed besides. Raises CannotExpand (kind "repo_not_allowed")."""
        if found := on_github(address):
            if found.org in also or self._allowed(found.org):
                return found
        elif self.allow_local and (path := _local_path(address)):
            return Repository(address, os.path.basename(path), path=path)
        raise CannotExpand(
            f"The repository {shown(address)} may not be run on this backend.",
            kind="repo_not_allowed",
            hint=f"It must be {self._permitted()}.",
        )

    def of(self, repository: Repository) -> Source:
        """Raises CannotExpand (kind "no_such_repo": not in the mirror), BadMachine (kind
        "unsafe_mirror": others could put commits in it)."""
        if not repository.org:
            return Source(Path(repository.path).as_uri())
        if self.mirror:
            return Source(_in_mirror(self.mirror, repository).as_uri())
        host = self.proxy_domain or "github.com"
        url = f"https://{host}/{repository.org}/{repository.name}"
        return Source(url, f"jobrunner-{self.backend}", self.token or "")

    def _allowed(self, org: str) -> bool:
        allowed = {name.lower() for name in self.allowed_orgs}
        return ANY_ORGANISATION in allowed or org.lower() in allowed

    def _permitted(self) -> str:
        orgs = ", ".join(sorted(self.allowed_orgs)) or "(none: ALLOWED_GITHUB_ORGS is empty)"
        anywhere = ANY_ORGANISATION in self.allowed_orgs
        github = f"{GITHUB}ORG/NAME" + ("" if anywhere else f" with ORG one of: {orgs}")
        return f"{github}; or a local path" if self.allow_local else github


def on_github(address: str) -> Repository | None:
    match = _ON_GITHUB.fullmatch(address)
    if not match or match["name"] in (".", "..") or match["org"].startswith("-"):
        return None
    return Repository(address, match["name"], match["org"])


def shown(address: str) -> str:
    """As it may stand in a message: people do paste addresses with a password in them."""
    return printable(re.sub(r"//[^/]*@", "//", address))


def _local_path(address: str) -> str:
    """An absolute path, or "". Not resolved: whether it exists is not asked here."""
    url = urlsplit(address) if address.lower().startswith("file://") else None
    path = unquote(url.path) if url and not url.netloc else address
    if not path.startswith("/") or _CONTROL.search(path):
        return ""
    return os.path.normpath(path)


def _in_mirror(mirror: Path, repository: Repository) -> Path:
    folder = mirror.absolute() / repository.org / f"{repository.name}.git"
    if not (folder / "HEAD").is_file():
        raise CannotExpand(
            f"The repository {shown(repository.written)} is not in the mirror of this site.",
            kind="no_such_repo",
            hint=f"Ask the operator for {repository.org}/{repository.name}.git in GIT_MIRROR_DIR.",
        )
    for path in mirror.absolute().parents:
        _check_owner(path, stat.S_ISVTX)  # below a /tmp nobody can rename what is not theirs
    for path in _deciding(folder):
        _check_owner(path)
    return folder


def _deciding(folder: Path) -> Iterator[Path]:
    """What says which commits the branches hold. An object can't be forged: its hash names it."""
    yield from (folder, *folder.parents[:2])
    for name in ("HEAD", "config", "packed-refs", "objects", "refs"):
        if (folder / name).exists():
            yield folder / name
    yield from (folder / "refs").rglob("*")


def _check_owner(path: Path, excused: int = 0) -> None:
    about = path.lstat()
    shared = about.st_mode & OTHERS_WRITE and not about.st_mode & excused
    if about.st_uid in (0, os.geteuid()) and not shared and not stat.S_ISLNK(about.st_mode):
        return
    raise BadMachine(
        "Others than root or spoolrunner's user can write in GIT_MIRROR_DIR, or it holds links.",
        kind="unsafe_mirror",
        hint="Make it theirs alone: chown -R root, chmod -R go-w, no symbolic links.",
        detail=f"{path}: owner {about.st_uid}, mode {about.st_mode:o}",
    )
