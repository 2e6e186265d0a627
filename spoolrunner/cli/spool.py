"""Verbs that write into the spool: init, submit, cancel, workspace."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from spoolrunner import files
from spoolrunner.cli import build, choose, deeds
from spoolrunner.drop import check_identifier
from spoolrunner.errors import BadInput, TryLater
from spoolrunner.record import builtins
from spoolrunner.report import stdout
from spoolrunner.report.workspaces import workspace_sheet, workspaces_sheet
from spoolrunner.request import ERROR_ACTION, Request, Status
from spoolrunner.spool import claims, find, orders, registry
from spoolrunner.spool.rooms import Rooms

WAIT_S = 600.0
LOOK_S = 0.1


@click.command(epilog="Example: SPOOL_DIR=/srv/spool spoolrunner init")
@click.option("--volatile", is_flag=True, help="Allow tmpfs: everything is gone after a reboot.")
@click.pass_context
def init(ctx: click.Context, volatile: bool) -> None:
    """Make the spool and the storage with the right modes and markers; safe to repeat."""
    settings = build.config(ctx)
    place = build.make_rooms(settings, volatile=volatile)
    storage = build.storage(settings)
    storage.prepare()
    click.echo(f"spool           {place.folder}  ({place.marker.filesystem})")
    click.echo(f"high privacy    {storage.high}")
    click.echo(f"medium privacy  {storage.medium}")
    for sentence in settings.warnings:
        click.echo(f"warning: {sentence}", err=True)


@click.command(
    epilog="Example: spoolrunner submit https://github.com/opensafely/study run_all"
    " --workspace asthma --branch main --db full"
)
@click.argument("repo")
@click.argument("actions", nargs=-1, required=True)
@click.option(
    "--workspace", default="default", show_default=True, help="Whose outputs they become."
)
@click.option("--branch", default="main", show_default=True)
@click.option("--commit", help="40 hex digits; default: the head of the branch.")
@click.option("--db", default="default", show_default=True, help="full, slice, dummy or default.")
@click.option("--backend", help="Default: this server's BACKEND.")
@click.option(
    "-f", "--force-run-dependencies", is_flag=True, help="Run all that the actions need again."
)
@click.option("--wait", is_flag=True, help="Wait until it is accepted or refused.")
@click.pass_context
def submit(
    ctx: click.Context,
    repo: str,
    actions: tuple[str, ...],
    workspace: str,
    branch: str,
    commit: str | None,
    db: str,
    backend: str | None,
    force_run_dependencies: bool,
    wait: bool,
) -> None:
    """Write a request for ACTIONs of the study in REPO into the inbox; prints its identifier.

    ACTION run_all stands for every action. REPO: an https address, or the path of a local
    repository where the settings allow that.
    """
    place = build.rooms(ctx)
    if Path(repo).exists():
        repo = str(Path(repo).resolve())
    identifier = claims.new_token()
    asked: dict[str, Any] = {
        "identifier": identifier,
        "backend": backend or build.config(ctx).backend,
        "sha": commit,
        "requested_actions": list(actions),
        "cancelled_actions": [],
        "force_run_dependencies": force_run_dependencies,
        "source": "submit",
        "workspace": {"name": workspace, "repo": repo, "branch": branch, "db": db},
    }
    _drop(place, identifier, asked)
    if wait:
        _wait_for_answer(place, identifier)
    click.echo(identifier)


@click.command(epilog="Example: spoolrunner cancel k3j2h4 run_model")
@click.argument("identifier")
@click.argument("actions", nargs=-1)
@click.pass_context
def cancel(ctx: click.Context, identifier: str, actions: tuple[str, ...]) -> None:
    """Ask for a request to stop: all of it, or only some ACTIONs.

    A waiting job ends at once; a running one is asked to stop, and killed after STOP_GRACE. What
    was published by earlier runs stays. Asking twice does no harm.
    """
    place = build.rooms(ctx)
    request = choose.active_whole(place, identifier)
    unknown = set(actions) - {job.action for job in request.jobs} - set(request.requested_actions)
    if unknown:
        raise BadInput(
            f"The request {request.identifier} has no action {', '.join(sorted(unknown))}.",
            kind="unknown_action",
        )
    _note(place, "cancel", request, actions)
    for action in actions or ("",):
        orders.give(place, "cancel", request.identifier, action)
    click.echo(f"asked to cancel {request.identifier} {' '.join(actions)}".rstrip())


@click.command(epilog="Example: spoolrunner kill k3j2h4")
@click.argument("identifier")
@click.pass_context
def kill(ctx: click.Context, identifier: str) -> None:
    """Stop a request or a job as the operator: those who asked are told that you did.

    IDENTIFIER may be part of a request's or of a job's. Nothing that was published is touched.
    """
    place = build.rooms(ctx)
    meant = choose.active(place, identifier)
    action = meant.job.action if meant.job else ""
    _note(place, "kill", meant.request, [action] if action else [])
    orders.give(place, "kill", meant.request.identifier, action)
    click.echo(f"asked to kill {meant.request.identifier} {action}".rstrip())


@click.command(epilog="Example: spoolrunner retry k7m2x9")
@click.argument("identifier")
@click.pass_context
def retry(ctx: click.Context, identifier: str) -> None:
    """Ask again for what failed of a finished request, at the same commit; prints the new id.

    The finished request stays as it is.
    """
    place = build.rooms(ctx)
    done = choose.any_whole(place, identifier)
    failed = [job.action for job in done.jobs if job.status is Status.FAILED]
    if not done.status.final or not failed:
        raise BadInput(
            f"Nothing of {done.identifier} has failed"
            f"{'' if done.status.final else ': it has not ended'}.",
            kind="nothing_failed",
        )
    token = claims.new_token()
    again: dict[str, Any] = {
        "identifier": token,
        "backend": done.backend,
        "sha": done.sha,
        "requested_actions": done.requested_actions if ERROR_ACTION in failed else failed,
        "source": "retry",
        "retry_of": done.identifier,
        "workspace": builtins(done.workspace),
    }
    _drop(place, token, again)
    click.echo(token)


@click.group(epilog="Example: spoolrunner workspace list")
def workspace() -> None:
    """Register, list and show workspaces.

    A workspace belongs to the repository and database of its first request.
    """


@workspace.command(epilog="Example: spoolrunner workspace add asthma https://github.com/o/study")
@click.argument("name")
@click.argument("repo")
@click.option("--branch", default="main", show_default=True)
@click.option("--db", default="default", show_default=True)
@click.option(
    "--force", is_flag=True, help="Give a known workspace another repository or database."
)
@click.pass_context
def add(ctx: click.Context, name: str, repo: str, branch: str, db: str, force: bool) -> None:
    """Register a workspace, so that requests can name it by its number."""
    place = build.rooms(ctx)
    given: dict[str, Any] = {"workspace": {"name": name, "repo": repo, "branch": branch, "db": db}}
    if force:
        given["force"] = True
    token = f"workspace-{claims.new_token()}"
    _drop(place, token, given)
    click.echo(f"asked to register the workspace {name!r}; see `spoolrunner workspace list`")


@workspace.command(name="list", epilog="Example: spoolrunner workspace list")
@click.option("--json", "as_json", is_flag=True, help="For programs; stable.")
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """Every known workspace, with its number if it was registered."""
    known = registry.every(build.rooms(ctx))
    if as_json:
        click.echo(json.dumps([_about(one) for one in known], indent=1))
    elif known:
        stdout.show(workspaces_sheet(known))


@workspace.command(epilog="Example: spoolrunner workspace show asthma")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="With every output; stable.")
@click.pass_context
def show(ctx: click.Context, name: str, as_json: bool) -> None:
    """What the newest run of each action made."""
    index = registry.find(build.rooms(ctx), name)
    if index is None:
        raise BadInput(
            f"There is no workspace {name!r}.",
            kind="unknown_workspace",
            hint="See `spoolrunner workspace list`.",
        )
    if as_json:
        click.echo(json.dumps(builtins(index), indent=1))
    else:
        stdout.show(workspace_sheet(index))


def _about(index: Any) -> dict[str, Any]:
    names = ("number", "name", "folder", "repo", "branch", "db")
    return {name: getattr(index, name) for name in names}


def _note(place: Rooms, verb: str, request: Request, actions: Sequence[str]) -> None:
    about = {"request": request.identifier, "workspace": request.workspace.name}
    deeds.note(place, verb, request.identifier, *actions, **about)


def _drop(place: Rooms, name: str, content: dict[str, Any]) -> None:
    data = json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"
    files.drop(place.inbox / f"{name}.json", data)


def _wait_for_answer(place: Rooms, identifier: str) -> None:
    """Returns once it is accepted. Raises BadInput if it is refused, TryLater if nobody answers."""
    check_identifier(identifier)
    for _ in range(int(WAIT_S / LOOK_S)):
        if find.is_known(place, identifier):
            return
        if reason := find.refusal(place, f"{identifier}.json"):
            raise BadInput(f"The request was refused: {reason}", kind="refused")
        time.sleep(LOOK_S)
    raise TryLater(
        f"No runner took the request within {WAIT_S:g} s; it stays in the inbox.",
        hint="Is one running? See `spoolrunner status`.",
    )
