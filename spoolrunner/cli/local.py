"""The verb `local-run`: for the one who writes a study, in its folder."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from logging.handlers import BufferingHandler
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from spoolrunner import units
from spoolrunner.cli import study
from spoolrunner.errors import BadProject, SpoolrunnerError
from spoolrunner.localrun import Interrupted, Options, Result
from spoolrunner.localrun import local_run as run_actions
from spoolrunner.project import Problem
from spoolrunner.report import problems, ran, stdout, steps, workflow
from spoolrunner.runner.reading import PROJECT_FILE

if TYPE_CHECKING:
    from spoolrunner.report.live import Screen

MOST_RECORDS = 10_000
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Read(click.ParamType[Any]):
    """A flag's text, read as the setting of the same meaning is."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}.", param, ctx)


@click.command("local-run", epilog="Example: spoolrunner local-run run_all --continue-on-error")
@click.argument("actions", nargs=-1, metavar="ACTION...")
@click.option(
    "-f", "--force-run-dependencies", is_flag=True, help="Run all that the actions need again."
)
@click.option(
    "--project-dir",
    type=click.Path(path_type=Path),
    default=".",
    show_default=True,
    help="The study's folder.",
)
@click.option("--continue-on-error", is_flag=True, help="Don't stop at the first failed action.")
@click.option("--timestamps", is_flag=True, help="Put the time before each line of steps.")
@click.option("--debug", is_flag=True, help="Leave containers and job folders until the next run.")
@click.option("--format-output-for-github", "github", is_flag=True, help="For a GitHub workflow.")
@click.option(
    *("-c", "--concurrency"),
    type=_Read("number", units.whole(1)),
    default="2",
    show_default=True,
    help="Actions at once.",
)
@click.option(
    *("-m", "--memory"),
    type=_Read("size", units.size),
    help="Memory of each action.  [default: 4G]",
)
@click.option(
    *("--cpus", "--cpu"),
    type=_Read("number", units.number),
    help="Cores of each action.  [default: 2]",
)
@click.pass_context
def local_run(
    ctx: click.Context,
    actions: tuple[str, ...],
    force_run_dependencies: bool,
    project_dir: Path,
    continue_on_error: bool,
    timestamps: bool,
    debug: bool,
    github: bool,
    concurrency: int,
    memory: int | None,
    cpus: float | None,
) -> None:
    """Run actions of the study in this folder on dummy data, as a server would.

    No git, spool or service is needed. An action sees the study's files and the outputs of what it
    needs, nothing else. What it needs runs too, if it has not run here, failed, or its outputs are
    gone or were changed; else it is reused. Outputs go where project.yaml says, logs to metadata/.
    run_all stands for every action.
    """
    options = Options(
        force_run_dependencies=force_run_dependencies,
        continue_on_error=continue_on_error,
        debug=debug,
        concurrency=concurrency,
        memory_bytes=memory,
        cpus=cpus,
    )
    _set_up_streams()
    with _logged(show=debug), _stoppable() as ended:
        try:
            result = _watched(ctx, project_dir, actions, options, timestamps, github)
        except BadProject as error:
            raise _invalid(error, project_dir, github) from error
        except Interrupted as interrupted:
            _show(interrupted.result, github)
            ctx.exit(ended())
        except KeyboardInterrupt:
            ctx.exit(ended())
    _show(result, github)
    ctx.exit(0 if result.succeeded else 1)


def _watched(
    ctx: click.Context,
    folder: Path,
    actions: tuple[str, ...],
    options: Options,
    timestamps: bool,
    github: bool,
) -> Result:
    env_files = ctx.find_root().params["env_files"]
    fold = workflow.group("Progress") if github else contextlib.nullcontext()
    with fold, _watcher(timestamps=timestamps, github=github) as watcher:
        return run_actions(
            folder, actions, options, settings=os.environ, env_files=env_files, watcher=watcher
        )


def _watcher(*, timestamps: bool, github: bool) -> "Screen | steps.Lines":
    if sys.stdout.isatty() and not github:
        from spoolrunner.report.live import Screen  # loads rich, which no pipe has to wait for

        return Screen(timestamps=timestamps)
    return steps.Lines(timestamps=timestamps)


def _show(result: Result, github: bool) -> None:
    if github:
        workflow.show_logs(result)
    stdout.show(ran.summary(result))


def _invalid(error: BadProject, folder: Path, github: bool) -> SpoolrunnerError:
    """What `validate` says of the same file; an action that can't be run is told as it is."""
    found = [one for one in error.problems if isinstance(one, Problem)]
    if not found:
        return error
    name = str(folder / PROJECT_FILE)
    told = problems.told(name, problems.Severity.ERROR, found)
    study.show(told, "github" if github else "text")
    return study.refused(name, len(told))


def _set_up_streams() -> None:
    """Names of files may hold what a terminal's encoding does not."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def _stoppable() -> Iterator[Callable[[], int]]:
    """SIGTERM and a closed terminal stop the actions as Ctrl-C does. Gives the exit status."""
    signals = [signal.SIGINT]

    def interrupt(number: int, frame: FrameType | None) -> None:
        signals.append(signal.Signals(number))
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in STOPPING}
    try:
        yield lambda: 128 + signals[-1]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _logged(*, show: bool) -> Iterator[None]:
    """What is logged would tear the screen: it is told at the end, and only if it is needed."""
    kept = BufferingHandler(MOST_RECORDS)
    package = logging.getLogger("spoolrunner")
    package.addHandler(kept)
    try:
        yield
    finally:
        package.removeHandler(kept)
        for record in kept.buffer:
            if show or record.levelno >= logging.ERROR:
                print(record.getMessage(), file=sys.stderr)
