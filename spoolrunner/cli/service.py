"""The verb `run`: the service, or one pass of it for cron."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

import click

from spoolrunner.cli import build
from spoolrunner.config import Config
from spoolrunner.lock import Lock
from spoolrunner.runner.mover import Mover
from spoolrunner.spool import orders
from spoolrunner.spool.rooms import Rooms

STAND_BY_S = 0.5
BESIDE_S = 1.0  # `status` holds the lock shared for an instant

log = logging.getLogger(__name__)


@click.command(epilog="Example (crontab): * * * * * spoolrunner run --drain")
@click.option(
    "--drain",
    is_flag=True,
    help="Until nothing can be done any more, waiting for running jobs; then exit 0, silent on"
    " success. Beside a live runner: wake that one and exit 0.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log every event to stderr.")
@click.pass_context
def run(ctx: click.Context, drain: bool, verbose: bool) -> None:
    """Take requests from the inbox and run their jobs, until SIGTERM.

    Stopped by SIGTERM or the first Ctrl-C, jobs go on and the next runner takes them over; a second
    Ctrl-C stops at once. A second runner on the same spool stands by.
    """
    settings, place = build.config(ctx), build.rooms(ctx)
    _set_up_logging(settings, quiet=drain and not verbose)
    lock = Lock(place.locks / "mover")
    stopping = _Stopping()
    if drain:
        if not lock.take(BESIDE_S):
            orders.poke(place)
            return
    else:
        _stand_by(lock, place, stopping)
    if not stopping.asked.is_set():
        _run(settings, place, stopping, drain=drain)
    lock.release()
    if stopping.signal:
        raise click.exceptions.Exit(0 if stopping.signal == signal.SIGTERM else 130)


def _run(settings: Config, place: Rooms, stopping: "_Stopping", *, drain: bool) -> None:
    mover = Mover(build.house(settings, place))
    stopping.then(mover.stop)
    log.info("spool=%s backend=%s runner started", place.folder, settings.backend)
    mover.run(drain=drain)
    log.info("spool=%s runner stopped", place.folder)


def _stand_by(lock: Lock, place: Rooms, stopping: "_Stopping") -> None:
    if lock.take():
        return
    log.warning("spool=%s another runner is alive: standing by", place.folder)
    while not stopping.asked.is_set() and not lock.take(STAND_BY_S):
        pass


class _Stopping:
    """SIGTERM and the first SIGINT ask the mover to stop; the second SIGINT does not ask."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.signal: int | None = None
        self._stop: Callable[[], None] | None = None
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)

    def then(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        if self.asked.is_set():
            stop()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked.is_set() and number == signal.SIGINT:
            os._exit(130)
        self.signal = number
        self.asked.set()
        if number == signal.SIGINT:
            print("spoolrunner: stopping; jobs go on. Again to stop at once.", file=sys.stderr)
        if self._stop:
            self._stop()


def _set_up_logging(settings: Config, *, quiet: bool) -> None:
    """One line for each event, UTC with milliseconds. For cron only what needs somebody."""
    import time

    formatter = logging.Formatter(
        "%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    stream = logging.StreamHandler()
    stream.setLevel(logging.ERROR if quiet else settings.loglevel)
    handlers: list[logging.Handler] = [stream]
    if settings.debug_log_file:
        from logging.handlers import TimedRotatingFileHandler

        handlers.append(
            TimedRotatingFileHandler(settings.debug_log_file, when="D", backupCount=14, utc=True)
        )
    package = logging.getLogger("spoolrunner")
    package.setLevel(logging.DEBUG)
    for handler in handlers:
        handler.setFormatter(formatter)
        package.addHandler(handler)
