"""The commands: the only place that builds objects, prints, and turns errors into exit statuses.

Each command is loaded when it is used: on a slow server `--help` must not wait for docker.
"""

import importlib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from spoolrunner import __version__
from spoolrunner.errors import BadMachine, Bug, SpoolrunnerError

# verb -> (module, one line for the overview)
VERBS = {
    "init": ("spool", "Make the spool and the storage, or mend their modes."),
    "validate": ("study", "Tell everything that is wrong with a project.yaml, with lines."),
    "graph": ("study", "Draw which action of a project.yaml needs which."),
    "plan": ("study", "Tell what would run, be reused or wait, and why; nothing is changed."),
    "local-run": ("local", "Run actions of the study in this folder, on dummy data."),
    "submit": ("spool", "Write a job request into the inbox."),
    "run": ("service", "Run the service; --drain for cron."),
    "status": ("look", "What runs, what waits and why, what ended lately."),
    "show": ("look", "All about a request, a job or a failure's reference."),
    "logs": ("look", "What a job said."),
    "cancel": ("spool", "Ask for a request, or some of its actions, to stop."),
    "kill": ("spool", "Stop a request or a job as the operator."),
    "retry": ("spool", "Ask again for what failed of a finished request."),
    "pause": ("operate", "Start nothing new; what runs goes on."),
    "resume": ("operate", "Go on after a pause or a restart of the machine."),
    "maintenance": ("operate", "Hold database jobs while the database is in maintenance."),
    "prepare-for-reboot": ("operate", "Stop all jobs so that the machine may be restarted."),
    "images": ("images", "Which images waiting requests need, and load them from a file."),
    "audit": ("audit", "Who asked for what, what ran, what was released, what operators did."),
    "sync": ("service", "Talk to job-server: read requests, send reports."),
    "gc": ("gc", "List and remove what has expired or belongs to nobody."),
    "archive": ("keep", "Pack a workspace's files into one, and delete them."),
    "unarchive": ("keep", "Bring an archived workspace back."),
    "backup": ("keep", "Copy the spool into one file while the service goes on."),
    "import-jobrunner": ("jobrunner", "Take over what OpenSAFELY's job-runner left; dry at first."),
    "service": (
        "units",
        "Print a systemd unit, a crontab line or a firewall for this configuration.",
    ),
    "workspace": ("spool", "Register, list and show workspaces."),
    "check": ("check", "Is everything fit to run, does the spool hold together; --repair mends."),
}

EPILOG = """\b
Example:
  spoolrunner init
  spoolrunner submit https://github.com/opensafely/study run_all --wait
  spoolrunner run --drain
  spoolrunner status

Exit status: 0 done, 1 the work itself failed, 2 usage, 3 your input is wrong, 4 the machine or
the configuration is wrong, 5 busy or unreachable (try later), 70 our own bug, 130 or 143
interrupted."""


class Verbs(click.Group):
    """Knows all verbs by name and one line, and loads the one that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        module = importlib.import_module(f"spoolrunner.cli.{VERBS[name][0]}")
        command: click.Command = getattr(module, name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])


@click.group(cls=Verbs, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--env-file",
    "env_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Settings, as NAME=value lines. May be repeated. Default: $SPOOLRUNNER_ENV, else"
    " /etc/spoolrunner/spoolrunner.env.",
)
@click.version_option(__version__, prog_name="spoolrunner", message="%(prog)s %(version)s")
@click.pass_context
def group(ctx: click.Context, env_files: tuple[Path, ...]) -> None:
    """Run studies on a sealed server, from a queue that is only files.

    A job request is one JSON file; the folder it lies in is its state. Drop one in the inbox, and
    its actions run in containers; outputs are published by how private they are.
    """
    ctx.obj = env_files


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script: run a command, and end the process with its documented exit status."""
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        # What click makes of a command's `ctx.exit(STATUS)` outside its standalone mode.
        status = group.main(args=arguments, prog_name="spoolrunner", standalone_mode=False)
    except click.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except SystemExit:  # click's answer to a reader that went away, such as `head`
        return 0
    except Exception as error:  # noqa: BLE001 - scripts must tell our bug from failed work
        return _tell(_as_ours(error))
    return status if isinstance(status, int) else 0


def _as_ours(error: Exception) -> SpoolrunnerError:
    if isinstance(error, SpoolrunnerError):
        return error
    if isinstance(error, PermissionError):
        return BadMachine(
            "This user may not do that.",
            kind="no_permission",
            hint="Do it as the runner's user; who is in SPOOL_GROUP may ask for `status`.",
            detail=str(error),
        )
    if isinstance(error, OSError):
        return BadMachine("The machine does not do what was asked.", detail=str(error))
    story = "".join(traceback.format_exception(error))
    return Bug("This is a bug of spoolrunner's.", detail=story)


def _tell(error: SpoolrunnerError) -> int:
    """What is wrong, what to do, whose turn it is; returns the exit status."""
    first, *more = error.message.splitlines() or [""]
    print(f"spoolrunner: {first}", *more, sep="\n  ", file=sys.stderr)
    if error.detail and isinstance(error, Bug):
        print(error.detail, file=sys.stderr)
    elif error.detail:
        print(f"  ({error.detail.strip()})", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)
    print(f"  [{error.kind}, exit {error.exit_status}]", file=sys.stderr)
    return error.exit_status
