"""What is wrong with a project.yaml, as people, programs and GitHub read it.

People get lines as compilers write them, which editors and terminals make links of. GitHub shows
its own kind beside the line of a pull request (its documentation, "Workflow commands").
Pure. Knows: project, record.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from spoolrunner.project import Problem
from spoolrunner.record import Record


class Severity(StrEnum):
    ERROR = "error"  # the file is refused
    WARNING = "warning"


class Told(Record, kw_only=True):
    """What `validate --json` lists. line, column: from 1; None: the whole file is meant.

    action, key: what it is about, or "". message: what is wrong and what to do.
    """

    severity: Severity
    file: str
    line: int | None
    column: int | None
    action: str
    key: str
    message: str


def told(file: str, severity: Severity, problems: Iterable[Problem]) -> list[Told]:
    return [
        Told(
            severity=severity,
            file=file,
            line=one.line or None,
            column=one.column or None,
            action=one.action,
            key=one.key,
            message=one.text,
        )
        for one in problems
    ]


def line(one: Told) -> str:
    """FILE:LINE:COLUMN: error: what is wrong and what to do [KEY]"""
    place = f"{one.file}:{one.line}:{one.column}" if one.line else one.file
    return f"{place}: {one.severity}: {one.message}" + (f" [{one.key}]" if one.key else "")


def annotation(one: Told) -> str:
    """GitHub's workflow command for it."""
    about: dict[str, object] = {"file": one.file, "line": one.line, "col": one.column}
    about["title"] = " ".join(name for name in (one.action, one.key) if name) or "project.yaml"
    return command(one.severity, one.message, about)


def command(name: str, message: str, about: Mapping[str, object]) -> str:
    """A workflow command of GitHub's. about: what is empty or None is left out."""
    given = ",".join(f"{key}={_property(str(value))}" for key, value in about.items() if value)
    return f"::{name} {given}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
