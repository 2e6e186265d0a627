"""Killed before and after each call that changes a disk; a fresh runner drains, all is checked.

usage: python -m tests.crash.points [--every K --offset R] [--step NAME] [--workers 2]

The points are first found by living the life once (life.py). One is named by the step, the call,
the kind of path and its occurrence; one that does not come (threads vary) is counted apart.
Of a program (git, a keeper, bubblewrap) there are three: before, killed during with us, and left to
itself; and one after it has ended.

exit status: 0 nothing was violated; 1 something was
"""

import argparse
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from signal import SIGKILL

from tests.crash.hooked import MOMENTS, MOMENTS_OF_A_PROGRAM
from tests.crash.life import LIFE, Life, living
from tests.site import PROJECT, git

TRIES = 3
STEPS = {step.name: step for step in LIFE}


@dataclass(frozen=True)
class Point:
    step: str
    call: str
    occurrence: int
    moment: str

    def __str__(self) -> str:
        return f"{self.step} | {self.call} | {self.occurrence} | {self.moment}"


@dataclass(frozen=True)
class Result:
    """came: was it killed there? violations: what did not hold any more."""

    point: Point
    came: bool
    violations: Sequence[str]


TryOne = Callable[[Life, Point], Result]


def points(life: Life) -> list[Point]:
    found = []
    for step, made in life.calls.items():
        seen: Counter[str] = Counter()
        for call, is_program in made:
            seen[call] += 1
            moments = MOMENTS_OF_A_PROGRAM if is_program else MOMENTS
            if call.endswith("ended "):
                moments = MOMENTS[:1]
            found += [Point(step, call, seen[call], moment) for moment in moments]
    return found


def try_one(life: Life, point: Point) -> Result:
    """Up to three times, if the call does not come: what threads do varies."""
    deed = ("kill", point.call, point.occurrence, point.moment)
    for _ in range(TRIES):
        try:
            status, found = life.again(STEPS[point.step], deed)
        except AssertionError as error:  # the fresh runner, or the one who asked again, failed
            return Result(point, True, [str(error)])
        if status not in (0, -SIGKILL):
            found = [*found, f"it ended with {status}"]
        if found or status == -SIGKILL:
            break
    return Result(point, status == -SIGKILL, found)


class Worker:
    """In each process of the pool: a life of its own, recorded once."""

    life: Life
    _open = ExitStack()

    @classmethod
    def begin(cls) -> None:
        cls.life = cls._open.enter_context(living())
        cls.life.record()

    @classmethod
    def work(cls, try_one: TryOne, point: Point) -> Result:
        return try_one(cls.life, point)


def try_all(try_one: TryOne, chosen: Sequence[Point], workers: int) -> Iterator[Result]:
    spawn = get_context("spawn")  # a fork would take the threads of a server with it
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=Worker.begin) as pool:
        try:
            yield from pool.map(partial(Worker.work, try_one), chosen)
        finally:
            pool.shutdown(cancel_futures=True)


def table(
    results: Iterable[Result], begun_s: float, came_as: str = "killed there"
) -> tuple[str, bool]:
    """Its text, and whether all is well."""
    tried: Counter[str] = Counter()
    came: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    for one in results:
        if tried.total() % 500 == 499:
            print(f"{tried.total() + 1} tried", file=sys.stderr, flush=True)
        tried[one.point.step] += 1
        came[one.point.step] += one.came
        bad[one.point.step] += bool(one.violations)
        if one.violations:
            print(f"VIOLATED at {one.point}", *one.violations, sep="\n    ", flush=True)
    rows = [f"{'step':<14}{'points':>8}{came_as:>14}{'violations':>12}"]
    rows += [f"{name:<14}{tried[name]:>8}{came[name]:>14}{bad[name]:>12}" for name in tried]
    rows.append(f"{'all':<14}{tried.total():>8}{came.total():>14}{bad.total():>12}")
    rows.append(f"in {time.monotonic() - begun_s:.0f} s")
    return "\n".join(rows), not bad.total()


def rotating(every: int) -> int:
    """Another offset with each commit, the same for everybody who tries that commit."""
    try:
        return int(git(PROJECT, "rev-parse", "HEAD")[:8], 16) % every
    except subprocess.CalledProcessError:  # not a clone
        return datetime.now(UTC).toordinal() % every


def choose(all_points: Sequence[Point], every: int, offset: int) -> list[Point]:
    return [one for number, one in enumerate(all_points) if number % every == offset]


def spread(chosen: Sequence[Point]) -> list[Point]:
    """In an order in which those that are near each other come far apart."""
    step = max(1, int(len(chosen) * 0.618))
    while math.gcd(step, len(chosen)) > 1:
        step -= 1
    return [chosen[number * step % len(chosen)] for number in range(len(chosen))]


def until_violated(results: Iterable[Result]) -> Iterator[Result]:
    for one in results:
        yield one
        if one.violations:
            return


def options(command: str, about: str | None, steps: Iterable[str]) -> argparse.ArgumentParser:
    """What all commands of this folder that try some of many take."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.crash.{command}", description=about)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--offset", type=int)
    parser.add_argument("--step", choices=list(steps))
    parser.add_argument("--workers", type=int, default=2)
    return parser


def main() -> int:
    parser = options("points", __doc__, STEPS)
    parser.add_argument("--first", action="store_true", help="end with the first violation")
    given = parser.parse_args()
    offset = rotating(given.every) if given.offset is None else given.offset
    begun_s = time.monotonic()
    with living() as life:
        life.record()
        found = [one for one in points(life) if given.step in (None, one.step)]
    print(f"{len(found)} points; every {given.every}. from {offset}.", flush=True)
    chosen = choose(found, given.every, offset)
    if given.first:
        results = until_violated(try_all(try_one, spread(chosen), given.workers))
    else:
        results = try_all(try_one, chosen, given.workers)
    text, is_well = table(results, begun_s)
    print(text)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
