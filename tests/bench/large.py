"""A large output is published: do `status` and other jobs stay quick meanwhile?

usage: python -m tests.bench.large [SIZE] [--real] [--folder FOLDER]

SIZE: 50G if not given, of one output. It is sparse, so that it fits everywhere: all of it is read
and hashed, little is written. --real: it is written with bytes that differ, to be read from disk.
--folder: where the site is made, for another disk. Prints the medians of `status` and of a small
job from its drop to its end, before, during and after the publishing, and the ratio of that during
it to the mean of the others: on a busy machine these two tell how far to trust it.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from spoolrunner.units import size
from tests.site import Site

PROJECT = """
version: '4.0'
actions:
  large: {run: python:v2 python3 large.py, outputs: {highly_sensitive: {x: large.bin}}}
  small: {run: python:v2 python3 small.py, outputs: {highly_sensitive: {x: small.csv}}}
"""
SPARSE = "open('large.bin', 'wb').truncate(%d)\n"
REAL = """
import os
piece, left = os.urandom(64 << 20), %d
with open('large.bin', 'wb') as out:
    while left > 0:
        left -= out.write(piece[: min(left, len(piece))])
"""
SMALL = "open('small.csv', 'w').write('x')\n"
ROUNDS = 8
LONG_S = 7200.0


class Bench:
    def __init__(self, site: Site, large: str) -> None:
        self.site = site
        self.study = site.study({"project.yaml": PROJECT, "large.py": large, "small.py": SMALL})
        self.number = 0

    def status_s(self) -> float:
        return _timed(lambda: self.site.do("status"))

    def small_s(self) -> float:
        self.number += 1
        name = f"small{self.number}"
        asked = self.site.request(
            self.study, "small", identifier=name, workspace={"name": "beside"}
        )

        def run() -> None:
            self.site.drop(asked, f"{name}.json")
            self.site.finished(name, LONG_S)

        return _timed(run)

    def progress(self) -> str:
        jobs = json.loads(self.site.do("status", "--json"))["jobs"]
        return next((job["progress"] for job in jobs if job["action"] == "large"), "")

    def medians(self, goes_on: Callable[[], bool]) -> tuple[float, float, int]:
        """Of rounds that were begun and ended while it went on."""
        pairs: list[tuple[float, float]] = []
        while len(pairs) < ROUNDS and goes_on():
            pair = (self.status_s(), self.small_s())
            if goes_on():
                pairs.append(pair)
        assert pairs, "it was over before anything could be measured"
        status, small = zip(*pairs, strict=True)
        return statistics.median(status), statistics.median(small), len(pairs)


def _timed(do: Callable[[], object]) -> float:
    begun_s = time.monotonic()
    do()
    return time.monotonic() - begun_s


def measure(bench: Bench) -> None:
    bench.small_s()  # what is fetched and imported once
    status_s, small_s, _ = bench.medians(lambda: True)
    large = bench.site.request(bench.study, "large", identifier="large")
    bench.site.drop(large, "large.json")
    bench.site.until(lambda: bench.progress() != "", LONG_S)
    print(f"published: {bench.progress()}")
    begun_s = time.monotonic()
    status_during_s, small_during_s, rounds = bench.medians(lambda: bench.progress() != "")
    job = bench.site.finished("large", LONG_S)["jobs"][0]
    lasted_s = time.monotonic() - begun_s
    assert job["status"] == "succeeded", job["status_message"]
    metrics = job["metrics"]
    print(f"ran {metrics['run_s']:.0f} s, looked through in {metrics['collect_s']:.0f} s,", end=" ")
    print(f"published in {metrics['publish_s']:.0f} s; {rounds} rounds within {lasted_s:.0f} s")
    status_after_s, small_after_s, _ = bench.medians(lambda: True)
    for what, before_s, during_s, after_s in (
        ("status", status_s, status_during_s, status_after_s),
        ("a small job", small_s, small_during_s, small_after_s),
    ):
        ratio = during_s / statistics.mean((before_s, after_s))
        print(f"{what}: {before_s:.2f} s before, {during_s:.2f} s during,", end=" ")
        print(f"{after_s:.2f} s after, ratio {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", nargs="?", default="50G", type=size)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        Path(name).chmod(0o755)
        site = Site(Path(name) / "site", MAX_WORKERS="3", MIN_FREE_DISK="0")
        try:
            site.start()
            measure(Bench(site, (REAL if given.real else SPARSE) % given.size))
        finally:
            site.close()


if __name__ == "__main__":
    main()
