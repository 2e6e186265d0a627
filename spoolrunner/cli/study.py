"""Verbs for a study before it runs: validate and graph read a project.yaml, plan also the spool."""

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from spoolrunner import project
from spoolrunner.cli import build
from spoolrunner.errors import BadInput, BadProject
from spoolrunner.project import Action, Problem, Project
from spoolrunner.project.loader import MOST_BYTES
from spoolrunner.record import builtins

if TYPE_CHECKING:
    from spoolrunner.report.problems import Told


@click.command(epilog="Example: spoolrunner validate project.yaml --format github")
@click.argument("file", default="project.yaml")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="github: annotations of a pull request.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def validate(file: str, form: str, as_json: bool) -> None:
    """Tell everything that is wrong with a project.yaml: where, what, and what to do.

    FILE may be - for standard input. Ends with 3 if it can't be run. Warnings stop nothing. Neither
    a spool nor settings are needed.
    """
    form = "json" if as_json else form
    found, told = _examine(file)
    if form == "json":
        click.echo(json.dumps(builtins(told), indent=1))
    if form != "json":
        show(told, form)
    if found is None:
        raise refused(_name(file), len(told))
    if form != "json":
        warned = f", {_number(len(told), 'warning')}" if told else ""
        _print(f"{_name(file)} is valid: {_number(len(found.actions), 'action')}{warned}.")


@click.command(epilog="Example: spoolrunner graph project.yaml | less -S")
@click.argument("file", default="project.yaml")
@click.option("--all", "every_need", is_flag=True, help="Name every need of every action.")
@click.option("--json", "as_json", is_flag=True, help="For programs; stable.")
def graph(file: str, every_need: bool, as_json: bool) -> None:
    """Draw which action needs which, from top to bottom.

    Each action stands once, after all it needs: straight below one of these, or on a branch from
    it; the others are named beside it, as far as they don't follow from what is drawn. An action
    marked with a circle needs none. In parentheses: how private its outputs are.

    FILE may be - for standard input.
    """
    from spoolrunner.report import dag

    actions = _read(file).actions
    if as_json:
        nodes = dag.layout({name: action.needs for name, action in actions.items()})
        click.echo(json.dumps([_about(actions[node.action]) for node in nodes], indent=1))
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in dag.lines(actions, width, every_need=every_need):
        _print(line if _can_print(line) else line.translate(dag.PLAIN))


@click.command(
    epilog="Example: spoolrunner plan https://github.com/opensafely/study run_all"
    " --workspace asthma --branch main --db full"
)
@click.argument("repo")
@click.argument("actions", nargs=-1, required=True)
@click.option("--workspace", default="default", show_default=True, help="Whose outputs are reused.")
@click.option("--branch", default="main", show_default=True)
@click.option("--commit", help="40 hex digits; default: the head of the branch.")
@click.option("--db", default="default", show_default=True, help="full, slice, dummy or default.")
@click.option(
    "-f", "--force-run-dependencies", is_flag=True, help="Run all that the actions need again."
)
@click.option("--json", "as_json", is_flag=True, help="For programs; stable.")
@click.pass_context
def plan(
    ctx: click.Context,
    repo: str,
    actions: tuple[str, ...],
    workspace: str,
    branch: str,
    commit: str | None,
    db: str,
    force_run_dependencies: bool,
    as_json: bool,
) -> None:
    """Tell what would happen if these ACTIONs were asked for now; takes the words of `submit`.

    What would run, what is reused (made from which commit, by which job), what waits for what, and
    why. Nothing is changed, but the commit may be fetched. Needs the runner's user, beside a
    running service or without one.
    """
    from spoolrunner.report import planned, stdout
    from spoolrunner.runner.preview import preview, requested

    settings, place = build.config(ctx), build.rooms(ctx)
    if Path(repo).exists():
        repo = str(Path(repo).resolve())
    asked = {
        "backend": settings.backend,
        "sha": commit,
        "requested_actions": list(actions),
        "force_run_dependencies": force_run_dependencies,
        "workspace": {"name": workspace, "repo": repo, "branch": branch, "db": db},
    }
    reader, storage = build.reader(settings, place), build.storage(settings)
    storage.check(real_data=not settings.dummy_data)
    now = planned.planned(preview(requested(asked), reader, settings, place, storage))
    if as_json:
        click.echo(json.dumps(builtins(now), indent=1))
    else:
        stdout.show(planned.planned_sheet(now))


def show(told: "list[Told]", form: str) -> None:
    """form: "text" or "github"."""
    from spoolrunner.report import problems

    for one in told:
        _print(problems.annotation(one) if form == "github" else problems.line(one))


def refused(name: str, count: int) -> BadInput:
    return BadInput(
        f"{name} can't be run: {_number(count, 'problem')}.",
        kind="invalid_project",
        hint="Correct what is told above, and validate again.",
    )


def _examine(file: str) -> tuple[Project | None, "list[Told]"]:
    """The project, or None if it is refused; and all there is to tell about it."""
    from spoolrunner.report.problems import Severity, told

    try:
        found = _read(file)
    except BadProject as error:
        return None, told(_name(file), Severity.ERROR, _problems(error.problems))
    return found, told(_name(file), Severity.WARNING, _problems(found.warnings))


def _problems(sentences: tuple[str, ...]) -> tuple[Problem, ...]:
    """`project.read` makes no others."""
    return cast("tuple[Problem, ...]", sentences)


def _read(file: str) -> Project:
    """Raises BadProject; BadInput if there is no such file."""
    try:
        with click.open_file(file, "rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise BadInput(
            f"{file} can't be read.",
            kind="no_such_file",
            hint="Name a project.yaml, or go to the folder that has one.",
            detail=str(error.strerror),
        ) from error
    return project.read(data, _name(file))


def _name(file: str) -> str:
    return "<stdin>" if file == "-" else file


def _about(action: Action) -> dict[str, Any]:
    outputs = [{"level": level, "pattern": pattern} for level, pattern in action.outputs]
    return {"action": action.name, "needs": list(action.needs), "outputs": outputs}


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True


def _print(text: str) -> None:
    """Names in a file may hold what a terminal's encoding does not."""
    encoding = sys.stdout.encoding
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding))
