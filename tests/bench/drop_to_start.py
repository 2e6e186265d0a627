"""From the rename into the inbox to executor.start, and to a job that has started.

usage: python -m tests.bench.drop_to_start [ROUNDS]

The runner lives in this process, with its own threads, so that all stamps are of one clock; git's
cache is warm. Prints for each executor the median time of each stretch (target: at most 0.1 s to
executor.start), and for docker what a bare create and start with the SDK takes in the same run
(target: the drop to started at most 0.15 s more).
"""

import contextlib
import json
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from spoolrunner import config
from spoolrunner.cli import build
from spoolrunner.executor import Executor, Launch
from spoolrunner.runner.mover import Mover
from spoolrunner.spool import rooms as spool_rooms
from tests.rig import images
from tests.rig.engine import Engine, engine
from tests.site import Site

PROJECT = """\
version: "4.0"
actions:
  make:
    run: python:v2 sh -c "echo x > a.csv"
    outputs:
      highly_sensitive: {a: a.csv}
"""
STRETCHES = ("dropped", "accepted", "planned", "gets ready", "start", "started")
PAUSE_S = 0.1


class Stamps(logging.Handler):
    """When each stretch of the one request under way was reached, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.at_s: dict[str, float] = {}

    def stamp(self, name: str) -> None:
        self.at_s.setdefault(name, time.monotonic())

    def emit(self, record: logging.LogRecord) -> None:
        for word in ("accepted", "planned"):
            if f"request=%s {word}" in record.msg:
                self.stamp(word)


class Stamped:
    """An executor that stamps what the job line asks of it."""

    def __init__(self, real: Executor, stamps: Stamps) -> None:
        self._real = real
        self._stamps = stamps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def image_id(self, image: str) -> str | None:
        self._stamps.stamp("gets ready")
        return self._real.image_id(image)

    def start(self, launch: Launch) -> None:
        self._stamps.stamp("start")
        self._real.start(launch)
        self._stamps.stamp("started")


@contextlib.contextmanager
def runner(site: Site, stamps: Stamps) -> Iterator[None]:
    settings = config.load(site.environment())
    house = build.house(settings, spool_rooms.open_spool(settings.spool_dir))
    make = house.executors[house.executor_name]
    house.executors[house.executor_name] = lambda: Stamped(make(), stamps)  # type: ignore[return-value]
    mover = Mover(house)
    thread = threading.Thread(target=mover.run, kwargs={"drain": False})
    thread.start()
    try:
        yield
    finally:
        mover.stop()
        thread.join(30)


def one_drop(site: Site, stamps: Stamps, number: int) -> dict[str, float]:
    """Seconds since the rename into the inbox at which each stretch was reached."""
    asked = site.request(site.folder / "study", "make", identifier=f"r{number}")
    draft = site.folder / "draft.json"
    draft.write_text(json.dumps(asked))
    time.sleep(PAUSE_S)  # what an earlier drop left to be done is over; nothing is waited for
    stamps.at_s.clear()
    stamps.stamp("dropped")
    draft.rename(site.spool / "inbox" / f"r{number}.json")
    assert site.finished(f"r{number}")["status"] == "succeeded"
    return {name: at - stamps.at_s["dropped"] for name, at in stamps.at_s.items()}


def measured(site: Site, rounds: int) -> list[dict[str, float]]:
    site.study({"project.yaml": PROJECT})
    (site.folder / "runner.log").touch()
    stamps = Stamps()
    logging.getLogger("spoolrunner").setLevel(logging.DEBUG)
    logging.getLogger("spoolrunner").addHandler(stamps)
    with runner(site, stamps):
        one_drop(site, stamps, 0)  # warms git's cache, and loads what is loaded late
        taken = [one_drop(site, stamps, number) for number in range(1, rounds + 1)]
    logging.getLogger("spoolrunner").removeHandler(stamps)
    return taken


def bare_s(one: Engine, rounds: int) -> float:
    client = one.client()
    times = []
    for _ in range(rounds):
        begun_s = time.monotonic()
        container = client.containers.create(images.BUSYBOX, ["true"], network_mode="none")
        container.start()
        times.append(time.monotonic() - begun_s)
        container.wait()
        container.remove()
    return median(times)


def tell(executor: str, taken: list[dict[str, float]]) -> float:
    """Prints the medians; returns that of the drop to started, in seconds."""
    at_s = {name: median(one[name] for one in taken) for name in STRETCHES}
    print(executor, "  ".join(f"{name} {at * 1000:.0f} ms" for name, at in at_s.items()))
    most_s = max(one["start"] for one in taken)
    print(f"  drop to executor.start: median {at_s['start']:.3f} s, most {most_s:.3f} s")
    return at_s["started"]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with engine() as one, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        one.load(images.archive())
        os.environ["DOCKER_HOST"] = one.socket
        allowed = {"ALLOWED_IMAGES": "busybox,python"}
        tell("process", measured(Site(folder / "process", **allowed), rounds))
        with_docker = Site(folder / "docker", EXECUTOR="docker", DOCKER_HOST=one.socket, **allowed)
        started_s = tell("docker", measured(with_docker, rounds))
        alone_s = bare_s(one, rounds)
        print(f"  bare create and start {alone_s:.3f} s; ours {started_s - alone_s:+.3f} s")


if __name__ == "__main__":
    main()
