"""Admission: what of a plan can be known to fail here, so that it is refused before anything runs.

The planner asks before it makes jobs, and `spoolrunner plan` before it shows a plan.
"""

import shlex
from collections.abc import Mapping

from spoolrunner.config import Config
from spoolrunner.errors import CannotExpand
from spoolrunner.request import Request
from spoolrunner.runner import launch
from spoolrunner.runner.reading import Command


def check(config: Config, request: Request, commands: Mapping[str, Command]) -> None:
    """commands: of the actions that would run. Raises CannotExpand."""
    for action, command in commands.items():
        run_command = shlex.join(command.argv)
        weight = config.weights.of(request.workspace.name, action, run_command)
        if weight > config.max_workers:
            raise too_heavy(config, action, weight)
    if not any(command.requires_db for command in commands.values()):
        return
    if not request.codelists_ok:
        raise CannotExpand(
            "The study's codelists are out of date, so its database actions may not run.",
            kind="stale_codelists",
            hint="Update the codelists, commit, and ask again.",
        )
    if not config.dummy_data:
        launch.database_url(config, request)


def too_heavy(config: Config, action: str, weight: float) -> CannotExpand:
    """It could wait for ever."""
    return CannotExpand(
        f"The action {action!r} counts for {weight:g} workers on this server, which has"
        f" {config.max_workers}, so it can never run.",
        kind="too_heavy",
        hint="Ask the server's operator to raise MAX_WORKERS, or to lower its weight in the file"
        " that JOB_RESOURCE_WEIGHTS names; then ask again.",
    )
