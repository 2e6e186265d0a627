"""A local run: actions of the project in a folder, run as on a server, for the one who writes it.

    from spoolrunner.localrun import local_run

    result = local_run("my-study", ["run_all"])
    for action in result.actions:
        print(action.action, action.state, action.message)

No git, no spool, no service. A job goes the very line it goes on a server: runner's Reader and the
plan say what runs, runner's Line lays out, starts, waits, collects and publishes; only what drives
the lines is another (loop.py), and their surroundings are the study's folder (house.py). There is
no request file: what a next run has to know is what the workspace's index and a journal say, and
both are there for every workspace. So an interrupted run needs no recovery of its own.
A spool thrown away after each run was the other way. It would need a filesystem fit for a spool,
which a home on NFS is not, and requests to be withdrawn after a crash, for no less code.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from types import MappingProxyType

from spoolrunner.errors import Usage
from spoolrunner.localrun import home, study
from spoolrunner.localrun.loop import Loop
from spoolrunner.localrun.preparing import prepare
from spoolrunner.localrun.settings import load
from spoolrunner.localrun.told import (
    ActionRun,
    Interrupted,
    Missing,
    Options,
    Planned,
    Result,
    State,
    Unwatched,
    Watcher,
)
from spoolrunner.runner.reading import PROJECT_FILE

__all__ = [
    "ActionRun",
    "Interrupted",
    "Missing",
    "Options",
    "Planned",
    "Result",
    "State",
    "Watcher",
    "local_run",
]

NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
USUAL = Options()
UNWATCHED = Unwatched()


def local_run(
    folder: Path | str,
    actions: Sequence[str],
    options: Options = USUAL,
    *,
    settings: Mapping[str, str] = NO_SETTINGS,
    env_files: Sequence[Path] = (),
    watcher: Watcher = UNWATCHED,
) -> Result:
    """Run actions of FOLDER/project.yaml, and what they need and is not there, on dummy data.

    actions: names, or `run_all`. settings: usually the environment; of what the service reads only
    those names count that have a meaning here (localrun/settings.py); there is never a database.
    env_files: of more settings. watcher: is told how it goes on.

    Which actions run: those named; of what they need, what has not yet run here, failed last time,
    or whose outputs are gone or were changed; with force_run_dependencies all of it. The others are
    reused. Outputs go where project.yaml says, logs to metadata/ACTION.log, what a failed action
    made to metadata/ACTION.failed/.

    That an action fails is no error: see Result. Raises BadInput (no such action, project.yaml
    can't be read, or is wrong: BadProject, ...), BadMachine (no engine, an image is not here, ...),
    TryLater (another run is at work in this folder). A KeyboardInterrupt that arrives in the
    caller's thread stops all actions, and is then raised as Interrupted.
    """
    began_s = time.monotonic()
    if options.concurrency < 1:
        raise Usage("At least one action at once has to be allowed.")
    config = load(settings, env_files, options)
    folder = Path(folder).resolve()
    study.read(folder / PROJECT_FILE)  # nothing is made in a folder that is no study's
    place = home.enter(folder)
    lock = place.lock()
    try:
        prepared = prepare(place, config, actions, options)
        loop = Loop(prepared.house, prepared.request, options, watcher)
        if prepared.request.jobs:
            watcher.planned(prepared.planned(options.concurrency))
            _see_through(loop)
        result = Result(
            folder=prepared.folder,
            actions=(*prepared.reused, *loop.runs.values()),
            notes=prepared.notes,
            nothing_to_do=prepared.nothing_to_do,
            executor=prepared.house.executor_name,
            elapsed_s=time.monotonic() - began_s,
        )
    finally:
        lock.release()
    if loop.interrupts:
        raise Interrupted(result)
    return result


def _see_through(loop: Loop) -> None:
    """In a thread of its own, so that an interrupt can hit nothing but the waiting for it."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            loop.run()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=run, name="local-run", daemon=True).start()
    while not done.done():
        try:
            wait([done])
        except KeyboardInterrupt:
            loop.interrupt()
    done.result()
