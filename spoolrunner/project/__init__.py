"""A project: the actions of a study, as its project.yaml has them.

`read` takes bytes and gives a Project or BadProject with everything that is wrong; it is pure and
total. Versions 1 to 3 are read by the rules of job-runner 2.52.3 or, where it refuses, by today's;
from version 4 by today's. What is unsafe or crashes both is refused in all of them. The rules:
reference/opensafely.md 2; where we differ on purpose: bin/corpus, DELIBERATE.
Knows: request, errors. ruamel.yaml is known to loader alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spoolrunner.errors import BadProject
from spoolrunner.project.action import Action
from spoolrunner.project.command import (
    config_words,
    database_access,
    extracts,
    folders,
    image_of,
    reusable,
)
from spoolrunner.project.file import check
from spoolrunner.project.findings import Finding, Findings, Rules
from spoolrunner.project.loader import load
from spoolrunner.project.problem import Problem

__all__ = [
    "Action",
    "Problem",
    "Project",
    "database_access",
    "image_of",
    "read",
    "reusable",
]


@dataclass(frozen=True)
class Project:
    """actions: in file order, without run_all. warnings: Problems that stop nothing.

    population: size of cohortextractor's dummy data. broken: actions that can't be run, and why;
    both originals take the file and fail when such an action is asked for.
    """

    version: float
    actions: Mapping[str, Action]
    warnings: tuple[str, ...] = ()
    population: int = 1000
    broken: Mapping[str, str] = field(default_factory=dict)

    def command(self, action: str, *, dummy_data: bool) -> tuple[str, ...]:
        """The words to run, the image first: those of the file, --config, cohortextractor's flags.

        dummy_data: the backend has no real data. Source: reference 2.5. Raises BadProject if the
        action is broken, KeyError if there is none of that name.
        """
        if action in self.broken:
            raise BadProject([self.broken[action]])
        one = self.actions[action]
        words = one.run + config_words(one.config)
        generation = extracts(words)
        told = any("--dummy-data-file" in word for word in words)
        if generation == 2 and dummy_data and not told and not self.version >= 4:
            text = f"Action '{action}' needs --dummy-data-file here, where there is no real data."
            raise BadProject([text], hint="Add it to its `run`.")
        return words + self._flags(one, dummy_data) if generation == 1 else words

    def _flags(self, action: Action, dummy_data: bool) -> tuple[str, ...]:
        """In 2.52.3's order. With several folders it names its own, or is broken."""
        flags = []
        if dummy_data and action.dummy_data_file is not None:
            flags.append(f"--dummy-data-file={action.dummy_data_file}")
        elif dummy_data:
            flags.append(f"--expectations-population={self.population}")
        found = folders(action.patterns)
        return (*flags, *(f"--output-dir={folder}" for folder in found if len(found) == 1))


def read(data: bytes, filename: str = "project.yaml") -> Project:
    """Raises BadProject, whose problems are Problems sorted by place, and nothing else."""
    findings = Findings(load(data, filename))
    top = check(findings)
    rules = (Rules.TODAY,) if top.version >= 4 else (Rules.OLD, Rules.TODAY)
    force = next((one for one in rules if not findings.refused_by(one)), None)
    if force is None:
        raise BadProject(findings.told(lambda one: "" if rules[0] in one.rules else None))
    return Project(
        version=top.version,
        actions=top.actions,
        warnings=findings.told(lambda one: _warning(one, force, rules)),
        population=top.population,
        broken=findings.broken_by(force),
    )


def _warning(finding: Finding, force: Rules, rules: tuple[Rules, ...]) -> str | None:
    """What follows the finding when the file is taken all the same; None: it doesn't matter."""
    if finding.running:
        return " As it is, this action can't be run." if force in finding.rules else None
    if not finding.rules:
        return ""
    if not any(one in finding.rules for one in rules):
        return None
    return " From version 4 this is refused." if force is Rules.OLD else ""
