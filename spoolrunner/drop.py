"""What may be dropped in the inbox: the forms of a request, told apart and checked field by field.

A drop is a registration of a workspace, a request for actions (as job-server's v2 serves it, or as
job-runner's README shows it), or a request file of our own that somebody moved back.
Pure: whether it may run here is for the runner to say. Forms: contract, section 2.
Knows: record, request, errors.
"""

import re
from dataclasses import dataclass
from typing import Any

from spoolrunner.errors import BadRequest
from spoolrunner.record import NEWER, convert
from spoolrunner.request import (
    ACTION_NAME,
    ERROR_ACTION,
    FORMAT,
    IDENTIFIER,
    Job,
    Request,
    WorkspaceRef,
    job_identifier,
)

WORKSPACE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_ -]{0,98}[A-Za-z0-9_-])?", re.ASCII)
TIME = re.compile(r"\d{4}-\d\d-\d\dT", re.ASCII)
DATABASES = ("default", "full", "slice", "dummy")
SOURCES = ("submit", "job-server", "retry")
MAX_ACTIONS = 10_000


@dataclass(frozen=True)
class Registration:
    """A file that only names a workspace. force: give a known one another repository or db."""

    workspace: WorkspaceRef
    force: bool


@dataclass(frozen=True)
class Asked:
    """A request for actions. workspace is a number where a v1 request gives `workspace_id`.

    identifier "" and sha None: the runner chooses.
    """

    identifier: str
    backend: str
    workspace: WorkspaceRef | int
    sha: str | None
    requested_actions: list[str]
    cancelled_actions: list[str]
    force_run_dependencies: bool
    codelists_ok: bool
    source: str
    retry_of: str | None


@dataclass(frozen=True)
class Ours:
    """A request file in our own format: it is put back where its status says, never run again."""

    request: Request


Drop = Registration | Asked | Ours


def backend_of(raw: dict[str, Any]) -> str | None:
    """Whom it is for; None if it does not say (a registration is for every backend)."""
    backend = raw.get("backend")
    return backend if isinstance(backend, str) else None


def read(raw: dict[str, Any]) -> Drop:
    """Raises BadRequest that names the field, what is wrong with it and what it should be."""
    if isinstance(raw.get("format"), int) and raw["format"] > FORMAT:
        raise BadRequest(
            "It is a file of a later version of spoolrunner.",
            kind=NEWER,
            hint="Go on with that version, or ask anew.",
        )
    if "format" in raw and "jobs" in raw and "sequence" in raw:
        return Ours(_checked(convert(raw, Request)))
    wanted = {"requested_actions", "action_id", "cancelled_actions"} & raw.keys()
    if "workspace" in raw and not wanted and "workspace_id" not in raw:
        force = _flag(raw, "force", default=False)
        return Registration(_workspace(raw, raw["workspace"]), force)
    if not wanted:
        raise BadRequest(
            "It asks for no actions and registers no workspace.",
            kind="not_a_request",
            hint='Give "requested_actions": ["..."] or "action_id": "...".',
        )
    return _asked(raw)


def folder_name(workspace: str) -> str:
    """The name a workspace has on disk: as written, spaces as "-"."""
    return workspace.replace(" ", "-")


def check_identifier(identifier: str) -> str:
    if not IDENTIFIER.fullmatch(identifier):
        raise BadRequest(
            "The identifier is not made of 1 to 64 letters, digits, '-' and '_'.",
            kind="bad_identifier",
            hint="Leave it out and one is made.",
        )
    return identifier


def _checked(request: Request) -> Request:
    """Our own format is no proof that we wrote it: what becomes part of a path is checked again."""
    check_identifier(request.identifier)
    days = (request.created_at, request.completed_at or request.created_at)
    ours = (
        request.format <= FORMAT
        and WORKSPACE_NAME.fullmatch(request.workspace.name)
        and all(TIME.match(day) for day in days)
        and all(_is_ours(request, job) for job in request.jobs)
    )
    if not ours:
        raise BadRequest(
            "It looks like a request file of spoolrunner's own, but holds what none does.",
            kind="not_a_request",
        )
    return request


def _is_ours(request: Request, job: Job) -> bool:
    named = job.action == ERROR_ACTION or ACTION_NAME.fullmatch(job.action) is not None
    return named and job.identifier == job_identifier(request.identifier, job.action)


def _asked(raw: dict[str, Any]) -> Asked:
    return Asked(
        identifier=_identifier(raw),
        backend=_text(raw, "backend"),
        workspace=_workspace_or_number(raw),
        sha=_sha(raw),
        requested_actions=_requested(raw),
        cancelled_actions=_names(raw, "cancelled_actions"),
        force_run_dependencies=_flag(raw, "force_run_dependencies", default=False),
        codelists_ok=_flag(raw, "codelists_ok", default=True),
        source=_source(raw),
        retry_of=_text(raw, "retry_of") if "retry_of" in raw else None,
    )


def _identifier(raw: dict[str, Any]) -> str:
    if raw.get("identifier") in (None, ""):
        return ""
    return check_identifier(_text(raw, "identifier"))


def _source(raw: dict[str, Any]) -> str:
    """Who says to have written it; whether that may be believed is for the runner to say."""
    source = raw.get("source")
    return source if source in SOURCES else "inbox"


def _requested(raw: dict[str, Any]) -> list[str]:
    names = [_text(raw, "action_id")] if "action_id" in raw else _names(raw, "requested_actions")
    if not names and "requested_actions" in raw and not raw.get("cancelled_actions"):
        raise BadRequest(
            "requested_actions is empty.", kind="no_actions", hint='Name an action or "run_all".'
        )
    return names


def _workspace_or_number(raw: dict[str, Any]) -> WorkspaceRef | int:
    if "workspace" in raw:
        return _workspace(raw, raw["workspace"])
    number = raw.get("workspace_id")
    if isinstance(number, bool) or not isinstance(number, int):
        raise _wrong("workspace_id", "a whole number, or give the workspace itself", number)
    return number


def _workspace(raw: dict[str, Any], given: object) -> WorkspaceRef:
    if not isinstance(given, dict):
        raise _wrong("workspace", "an object with name, repo, branch and db", given)
    return WorkspaceRef(
        name=_workspace_name(given),
        repo=_text(given, "repo", of="workspace."),
        branch=_text(given, "branch", of="workspace."),
        db=_database(raw, given),
    )


def _workspace_name(given: dict[str, Any]) -> str:
    name = _text(given, "name", of="workspace.")
    if not WORKSPACE_NAME.fullmatch(name):
        raise BadRequest(
            "workspace.name is not made of letters, digits, '-', '_' and inner spaces.",
            kind="bad_workspace_name",
        )
    return name


def _database(raw: dict[str, Any], given: dict[str, Any]) -> str:
    name = given.get("db", raw.get("database_name", "default"))
    if name not in DATABASES:
        raise BadRequest(
            f"The database is not one of {', '.join(DATABASES)}.", kind="unknown_database"
        )
    return str(name)


def _sha(raw: dict[str, Any]) -> str | None:
    if raw.get("sha") in (None, ""):
        return None
    sha = _text(raw, "sha")
    if not re.fullmatch(r"[0-9a-f]{40}", sha):
        raise BadRequest("sha is not a commit id of 40 lower-case hex digits.", kind="bad_sha")
    return sha


def _text(raw: dict[str, Any], field: str, of: str = "") -> str:
    value = raw.get(field)
    if not isinstance(value, str) or not value or "\0" in value:
        raise _wrong(of + field, "a text", value)
    return value


def _names(raw: dict[str, Any], field: str) -> list[str]:
    value = raw.get(field, [])
    if not isinstance(value, list) or len(value) > MAX_ACTIONS:
        raise _wrong(field, f"a list of at most {MAX_ACTIONS} action names", value)
    if not all(isinstance(name, str) and name for name in value):
        raise _wrong(field, "a list of action names", value)
    return list(dict.fromkeys(value))


def _flag(raw: dict[str, Any], field: str, *, default: bool) -> bool:
    value = raw.get(field, default)
    if not isinstance(value, bool):
        raise _wrong(field, "true or false", value)
    return value


def _wrong(field: str, wanted: str, value: object) -> BadRequest:
    found = "missing" if value is None else f"a {_kind(value)}"
    return BadRequest(f"{field} must be {wanted}; it is {found}.", kind="wrong_type")


def _kind(value: object) -> str:
    names = {str: "text", bool: "true/false", int: "number", float: "number", list: "list"}
    return names.get(type(value), "object")


def check_same(asked: Asked, known: Request, workspace: WorkspaceRef) -> None:
    """Raises BadRequest if a file means another request than the one its identifier is known for.
    workspace: the one it names."""
    if asked.identifier != known.identifier:
        raise BadRequest(
            f"The identifier differs only in case from {known.identifier}.", kind="identifier_taken"
        )
    same = (
        asked.backend == known.backend
        and asked.sha in (None, known.sha, known.original.get("sha"))
        and _same_actions(asked, known)
        and asked.force_run_dependencies == known.force_run_dependencies
        and workspace == known.workspace
    )
    if not same:
        raise BadRequest(
            f"The identifier {known.identifier} belongs to another request.",
            kind="identifier_taken",
            hint="Give it one of its own, or leave it out.",
        )


def _same_actions(asked: Asked, known: Request) -> bool:
    """A drop that only cancels need not repeat the actions."""
    only_cancels = not asked.requested_actions and bool(asked.cancelled_actions)
    return only_cancels or asked.requested_actions == known.requested_actions
