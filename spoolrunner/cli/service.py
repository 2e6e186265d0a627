"""The verb `run`: the service, or one pass of it for cron."""

import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import NoReturn

import click

from spoolrunner.cli import build
from spoolrunner.config import Config
from spoolrunner.errors import BadMachine, TryLater
from spoolrunner.lock import Lock
from spoolrunner.masks import Masks
from spoolrunner.runner import launch
from spoolrunner.runner.mover import Mover
from spoolrunner.spool import orders, outbox
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
    if not stopping.signal:
        _run(settings, place, stopping, drain=drain)
    _end(130 if stopping.signal == signal.SIGINT else 0)


def _run(settings: Config, place: Rooms, stopping: "_Stopping", *, drain: bool) -> None:
    house = build.house(settings, place)
    mover = Mover(house)
    courier = build.courier(settings, place, lambda: house.reporter.behind)
    stopping.then(mover.stop)
    log.info("spool=%s backend=%s runner started", place.folder, settings.backend)
    if courier and drain:
        courier.once()
    elif courier:
        carry = partial(courier.run, settings.poll_interval_s, threading.Event())
        threading.Thread(target=carry, name="courier", daemon=True).start()
    mover.run(drain=drain)
    if courier and drain:
        courier.once()
    log.info("spool=%s runner stopped", place.folder)


@click.command(epilog="Example: spoolrunner sync --once")
@click.option("--once", is_flag=True, help="Read and send once, then end.")
@click.pass_context
def sync(ctx: click.Context, once: bool) -> None:
    """Read requests from job-server into the inbox, and send it the reports in the outbox.

    The service does the same when JOB_SERVER_ENDPOINT is set; beside it this one stands by.
    """
    settings, place = build.config(ctx), build.rooms(ctx)
    _set_up_logging(settings, quiet=False)
    courier = build.courier(settings, place, set)
    if courier is None:
        raise BadMachine(
            "There is no job-server to talk to.",
            kind="no_job_server",
            hint="Set JOB_SERVER_ENDPOINT and JOB_SERVER_TOKEN, and REPORTS=send.",
        )
    if not once:
        courier.run(settings.poll_interval_s, threading.Event())
    elif not courier.once():
        raise TryLater(outbox.trouble(place))


def _end(status: int) -> NoReturn:
    """With all threads, and only then the lock: one that is still publishing when the lock is free
    would do so beside the next runner. The kernel frees it when nothing of us runs any more."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)


def _stand_by(lock: Lock, place: Rooms, stopping: "_Stopping") -> None:
    if lock.take():
        return
    log.warning("spool=%s another runner is alive: standing by", place.folder)
    while not stopping.signal and not lock.take(STAND_BY_S):
        pass


class _Stopping:
    """SIGTERM and the first SIGINT ask the mover to stop; the second SIGINT does not ask.

    The handler interrupts the mover's thread anywhere, also while that holds the lock inside an
    event, so it only puts a word into a queue, which is safe there; a thread sets the event.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._asked: queue.SimpleQueue[int] = queue.SimpleQueue()
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)

    def then(self, stop: Callable[[], None]) -> None:
        def wait() -> None:
            self._asked.get()
            stop()

        threading.Thread(target=wait, name="stopping", daemon=True).start()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.signal and number == signal.SIGINT:
            os._exit(130)
        self.signal = number
        self._asked.put(number)
        if number == signal.SIGINT:
            os.write(2, b"spoolrunner: stopping; jobs go on. Again to stop at once.\n")


class _MaskedFormatter(logging.Formatter):
    """What programs said is logged, and they may have been told a secret."""

    def __init__(self, masks: Masks, line: str, date: str) -> None:
        super().__init__(line, date)
        self._masks = masks

    def format(self, record: logging.LogRecord) -> str:
        return self._masks.text(super().format(record))


def _set_up_logging(settings: Config, *, quiet: bool) -> None:
    """One line for each event, UTC with milliseconds. For cron only what needs somebody."""
    import time

    formatter = _MaskedFormatter(
        launch.masks(settings),
        "%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s",
        "%Y-%m-%dT%H:%M:%S",
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
