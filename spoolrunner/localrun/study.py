"""The study's folder in the place of a commit: what an action sees of it.

All its files, committed or not, but no output of any action: those an action needs are laid out
from what their own actions published, as on a server, so that an undeclared need fails here and not
there. Left out are `.git`, `metadata` and every file that an output pattern of the project claims.
Knows: checkout, project, outputs, beneath, files, reflink.
"""

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from spoolrunner import files, reflink
from spoolrunner.beneath import Found, Tree
from spoolrunner.checkout import Studies
from spoolrunner.config import Config
from spoolrunner.errors import BadInput
from spoolrunner.localrun.home import METADATA, Home
from spoolrunner.outputs import DRAFT_PREFIX, Matcher, Pattern, shown
from spoolrunner.project import Project
from spoolrunner.project.loader import MOST_BYTES

GIT = ".git"
FILE, PROGRAM = 0o644, 0o755  # as git lays them out


def read(path: Path) -> bytes:
    """A file of the study's own. Raises BadInput ("no_such_file")."""
    try:
        return files.read_regular(path, MOST_BYTES)[0]
    except OSError as error:
        raise BadInput(
            f"{path} can't be read.",
            kind="no_such_file",
            hint="Go to the folder of the study, or name it with --project-dir.",
            detail=str(error.strerror),
        ) from error


class StudyFolder(Studies):
    """The one study there is, under the name of its folder; reusable actions come as ever."""

    def __init__(self, home: Home, config: Config) -> None:
        locks = home.folder / "git-locks"
        files.make_folder(locks)
        super().__init__(
            home.folder / "git",
            locks=locks,
            backend=config.backend,
            allowed_orgs=config.allowed_github_orgs,
            allow_local=False,
            mirror=config.git_mirror_dir,
            token=config.private_repo_access_token or None,
            proxy_domain=config.github_proxy_domain or None,
            waits_s=(2,),  # somebody is sitting there
        )
        self._study = home.study
        self._outputs = Matcher([])

    def hide(self, project: Project) -> None:
        """From now on no file is laid out that an output pattern of this project claims."""
        self._outputs = Matcher([*_patterns(project, project.actions)])

    def resolve(self, repo: str, branch: str, sha: str | None) -> str:
        """It has no commit."""
        return ""

    def read(self, repo: str, sha: str, path: str) -> bytes:
        if repo != str(self._study):
            return super().read(repo, sha, path)
        return read(self._study / path)

    def tree(self, repo: str, sha: str, folder: Path) -> None:
        if repo != str(self._study):
            super().tree(repo, sha, folder)
            return
        with Tree(self._study) as study, Tree(folder) as job:
            for found in study.walk(sys.maxsize, self._is_entered):
                if found.shut and (self._study / found.path).exists():
                    raise _unreadable(found.path)
                if self._is_shown(found):
                    _copy(study, job, found)

    def _is_entered(self, path: str) -> bool:
        return path != METADATA and os.path.basename(path) != GIT

    def _is_shown(self, found: Found) -> bool:
        """git knows files and links, nothing else; a draft is an output on its way."""
        name = os.path.basename(found.path)
        if name == GIT or name.startswith(DRAFT_PREFIX):
            return False
        kept = found.regular or stat.S_ISLNK(found.about.st_mode)
        return kept and not self._outputs.of(found.path)


def _copy(study: Tree, job: Tree, found: Found) -> None:
    try:
        if not found.regular:
            job.link(found.path, study.read_link(found.path))
            return
        source = study.open(found.path)
    except FileNotFoundError:
        return  # an editor's file, gone by now
    except PermissionError as error:
        raise _unreadable(found.path) from error
    try:
        is_program = found.about.st_mode & stat.S_IXUSR
        target = job.create(found.path, PROGRAM if is_program else FILE)
        try:
            reflink.copy(source, target)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _unreadable(path: str) -> BadInput:
    return BadInput(
        f"{shown(path)} in the study may not be read by this user.",
        kind="no_permission",
        hint="Correct its owner or its permissions.",
    )


def check_outputs(study: Path, project: Project, actions: Sequence[str]) -> None:
    """Can what these actions make be put where it belongs? Told before the first of them runs.

    Raises BadInput ("linked_output": nothing is ever written through a link of the study's),
    ("no_permission").
    """
    for folder in _folders(pattern.text for pattern in _patterns(project, actions)):
        path = study / folder
        if path.is_symlink():
            raise BadInput(
                f"{folder} is a symbolic link, and outputs are not written through links.",
                kind="linked_output",
                hint="Make it a folder.",
            )
        if path.exists() and not os.access(path, os.W_OK | os.X_OK):
            raise BadInput(
                f"This user may not write to the folder {path}.",
                kind="no_permission",
                hint="Correct its owner or its permissions, or remove it.",
            )


def _patterns(project: Project, actions: Iterable[str]) -> Iterator[Pattern]:
    for name in actions:
        for level, text in project.actions[name].outputs:
            yield Pattern(level, text)


def _folders(patterns: Iterable[str]) -> list[str]:
    """Those that patterns name without a wildcard, the study's own and metadata among them."""
    found = {"", METADATA}
    for pattern in patterns:
        names = pattern.partition("*")[0].split("/")[:-1]
        found.update("/".join(names[: depth + 1]) for depth in range(len(names)))
    return sorted(found)
