"""Reading: the commit of a request, and what its project.yaml says, resolved to commands.

Runs in threads: git may take minutes. What was read is kept by repository and commit, which never
change; it is read again from git's cache when it is asked for after a restart.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from spoolrunner import project
from spoolrunner.checkout import Studies
from spoolrunner.errors import CannotExpand
from spoolrunner.outputs import privacy
from spoolrunner.project import Project
from spoolrunner.request import RUN_ALL, Level, Request
from spoolrunner.workspace import Published

PROJECT_FILE = "project.yaml"
KEPT = 64


@dataclass(frozen=True)
class Command:
    """argv[0] is IMAGE:TAG of a runtime. declared: pattern -> level of its outputs.

    repo, commit: of a reusable action, else None.
    """

    argv: tuple[str, ...]
    requires_db: bool
    declared: Mapping[str, Level]
    repo: str | None = None
    commit: str | None = None


@dataclass(frozen=True)
class Reading:
    """needs: of every action, in the order of the file. commands: of those that may have to run.

    files: of these, what has become of the outputs that each published.
    """

    sha: str
    needs: Mapping[str, Sequence[str]]
    commands: Mapping[str, Command]
    files: Mapping[str, Published]


class Reader:
    """Safe for threads."""

    def __init__(self, studies: Studies, allowed_images: Sequence[str], *, dummy: bool) -> None:
        self._studies = studies
        self._allowed = allowed_images
        self._dummy = dummy
        self._project = functools.lru_cache(KEPT)(self._parse)

    def read(self, request: Request, look: Callable[[str], Published]) -> Reading:
        """look: at the outputs of an action (`Workspace.look`).

        Raises CannotExpand (with its children), TryLater, BadMachine.
        """
        workspace = request.workspace
        sha = self._studies.resolve(workspace.repo, workspace.branch, request.sha)
        study = self.project(workspace.repo, sha)
        needs = {name: action.needs for name, action in study.actions.items()}
        wanted = _closure(needs, request.requested_actions)
        commands = {name: self._command(study, name) for name in wanted}
        return Reading(sha, needs, commands, {name: look(name) for name in wanted})

    def project(self, repo: str, sha: str) -> Project:
        """The project of a commit that was resolved before."""
        return self._project(repo, sha)

    def _parse(self, repo: str, sha: str) -> Project:
        return project.read(self._studies.read(repo, sha, PROJECT_FILE))

    def _command(self, study: Project, name: str) -> Command:
        argv = study.command(name, dummy_data=self._dummy)
        declared = _declared(study.actions[name].outputs)
        image, tag = project.image_of(argv)
        if image in self._allowed:
            return Command(argv, project.database_access(argv), declared)
        try:
            found = self._studies.reusable(image, tag)
            argv = project.reusable(name, found.action_yaml, argv, self._allowed)
        except CannotExpand as error:
            raise CannotExpand(
                f"The action {name!r} uses {image}:{tag}, which is no runtime of this server and"
                f" can't be used as a reusable action. {error.message}",
                kind="reusable_action",
                hint=error.hint or f"The runtimes are: {', '.join(self._allowed)}.",
                detail=error.detail,
            ) from error
        return Command(argv, False, declared, found.repo, found.sha)


def _declared(outputs: Sequence[tuple[Level, str]]) -> dict[str, Level]:
    """Pattern -> level; the most private one, if it is written twice."""
    return {pattern: level for level, pattern in sorted(outputs, key=_least_private_first)}


def _least_private_first(output: tuple[Level, str]) -> int:
    return -privacy(output[0])


def _closure(needs: Mapping[str, Sequence[str]], requested: Sequence[str]) -> list[str]:
    """What is asked for and all it needs, in the order of the file; unknown names are left out."""
    if RUN_ALL in requested:
        return list(needs)
    wanted, open_names = set(), [name for name in requested if name in needs]
    while open_names:
        name = open_names.pop()
        if name not in wanted:
            wanted.add(name)
            open_names.extend(needs[name])
    return [name for name in needs if name in wanted]
