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
from spoolrunner.cli.logbook import open_logbook
from spoolrunner.cli.reload import reload
from spoolrunner.config import Config
from spoolrunner.errors import BadMachine, TryLater
from spoolrunner.lock import Lock
from spoolrunner.notify import Notify
from spoolrunner.runner.detection import Detection
from spoolrunner.runner.house import House
from spoolrunner.runner.mover import Mover
from spoolrunner.runner.retention import Retention
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
    Ctrl-C stops at once. SIGHUP: read the settings again. A second runner on the same spool stands
    by.
    """
    settings, place = build.config(ctx), build.rooms(ctx)
    open_logbook(settings, quiet=drain and not verbose)
    lock, notify, signals = Lock(place.locks / "mover"), Notify(os.environ), _Signals()
    if drain:
        if not lock.take(BESIDE_S):
            orders.poke(place)
            return
    else:
        _stand_by(lock, place, signals, notify)
    if not signals.stopped_by:
        house = build.house(settings, place)
        house.heart.tell = notify.alive
        mover = Mover(house)
        signals.then(mover.stop, lambda: reload(house, ctx.find_root().params["env_files"]))
        _run(house, mover, drain=drain)
    notify.stopping("stopped; jobs go on")
    _end(130 if signals.stopped_by == signal.SIGINT else 0)


def _run(house: House, mover: Mover, *, drain: bool) -> None:
    settings, place = house.config, house.rooms
    courier = build.courier(settings, place, lambda: house.reporter.behind)
    log.info("spool=%s backend=%s runner started", place.folder, settings.backend)
    if courier and drain:
        courier.once()
    elif courier:
        carry = partial(courier.run, settings.poll_interval_s, threading.Event())
        threading.Thread(target=carry, name="courier", daemon=True).start()
    if detection := build.detection(house):
        _watch_database(settings, detection, drain=drain)
    _keep_tidy(Retention(house), drain=drain)
    mover.run(drain=drain)
    house.heart.last(drained=drain)
    if courier and drain:
        courier.once()
    log.info("spool=%s runner stopped", place.folder)


def drain_here(ctx: click.Context) -> None:
    """Be the runner until nothing can be done any more, unless another one is."""
    settings, place = build.config(ctx), build.rooms(ctx)
    open_logbook(settings, quiet=True)
    lock = Lock(place.locks / "mover")
    if lock.take(BESIDE_S):
        house = build.house(settings, place)
        Mover(house).run(drain=True)
        house.heart.last(drained=True)
        lock.release()


@click.command(epilog="Example: spoolrunner sync --once")
@click.option("--once", is_flag=True, help="Read and send once, then end.")
@click.pass_context
def sync(ctx: click.Context, once: bool) -> None:
    """Read requests from job-server into the inbox, and send it the reports in the outbox.

    The service does the same when JOB_SERVER_ENDPOINT is set; beside it this one stands by.
    """
    settings, place = build.config(ctx), build.rooms(ctx)
    open_logbook(settings, quiet=False)
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


def _keep_tidy(retention: Retention, *, drain: bool) -> None:
    if drain:
        retention.once()
        return
    tidy = partial(retention.run, threading.Event())
    threading.Thread(target=tidy, name="retention", daemon=True).start()


def _watch_database(settings: Config, detection: "Detection", *, drain: bool) -> None:
    every_s = settings.maintenance_poll_interval_s
    if drain:
        detection.once_in(every_s)  # before any database job starts
    watch = partial(detection.run, every_s, threading.Event())
    threading.Thread(target=watch, name="detection", daemon=True).start()


def _end(status: int) -> NoReturn:
    """With all threads, and only then the lock: one that is still publishing when the lock is free
    would do so beside the next runner. The kernel frees it when nothing of us runs any more."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)


def _stand_by(lock: Lock, place: Rooms, signals: "_Signals", notify: Notify) -> None:
    if lock.take():
        return
    log.warning("spool=%s another runner is alive: standing by", place.folder)
    while not signals.stopped_by and not lock.take(STAND_BY_S):
        notify.alive("standing by: another runner is alive")


class _Signals:
    """SIGTERM and the first SIGINT ask the mover to stop; the second SIGINT does not ask. SIGHUP
    has the settings read again.

    The handler interrupts the mover's thread anywhere, also while that holds the lock inside an
    event, so it only puts a word into a queue, which is safe there; a thread does what is asked.
    """

    def __init__(self) -> None:
        self.stopped_by = 0
        self._asked: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask)

    def then(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        def wait() -> None:
            while self._asked.get() == signal.SIGHUP:
                reload()
            stop()

        threading.Thread(target=wait, name="signals", daemon=True).start()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.stopped_by and number == signal.SIGINT:
            os._exit(130)
        if number != signal.SIGHUP:
            self.stopped_by = number
        self._asked.put(number)
        if number == signal.SIGINT:
            os.write(2, b"spoolrunner: stopping; jobs go on. Again to stop at once.\n")
