"""Power cuts: what was not flushed is lost, in every way; a fresh runner starts, all is checked.

usage: python -m tests.crash.power [--every K --offset R] [--left-out 2] [--step NAME] [--workers 2]

Steps of the life (life.py) are traced once, with all data. For each moment of a trace the disk is
built as a cut of the power may leave it (disk.py): with all that was not flushed by then, with none
of it, with all but any one change of a name or of data, and with all but any two (of the git cache,
the board and the content of locks any one). States that look alike are tried once. The machine has
been restarted then: no job runs any more, and its boot id is another.

exit status: 0 nothing was violated; 1 something was
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from typing import Any

from tests.crash import trace
from tests.crash.disk import Disk, State
from tests.crash.invariants import violations
from tests.crash.life import LIFE, STOPPED, TOOK_NOTHING, WELL, Life, Place, Step, expect, living
from tests.crash.points import options, rotating
from tests.crash.trace import Told
from tests.rig.jobserver.serializer import read_jobs
from tests.site import head

MOST_ATTEMPTS = 3


def _asked(place: Place) -> None:
    place.known["server"] = identifier = place.server.create_request(
        ["show"], backend="test", repo=str(place.repo), sha=head(place.repo), workspace="two"
    )
    expect(place, identifier, WELL)


PREPARE = {"run": _asked}
# Whoever gave one of these, and was not told that it is done, gives it again.
GIVEN_AGAIN = ("init", "workspace", "retry")
# The same steps, with less in them: two jobs, one of them with an output that is released.
CUT = tuple(
    replace(step, prepare=PREPARE.get(step.name, step.prepare))
    for step in LIFE
    if step.name.partition(":")[0] in ("init", "workspace", "submit", "retry", "run")
    or step.name in ("cancel", "kill", "sync")
)
STEPS = {step.name: step for step in CUT}


@dataclass(frozen=True)
class Cut:
    """After so many events of a step's trace, and which of the states that are possible then."""

    step: str
    after: int
    number: int

    def __str__(self) -> str:
        return f"{self.step} | after event {self.after} | state {self.number}"


@dataclass(frozen=True)
class Result:
    cut: Cut
    violations: Sequence[str]


@dataclass(frozen=True)
class Trace:
    """events: of one step. said: by its command. witnessed: what the executor's witness says after
    it. posts: reports that job-server took meanwhile."""

    step: Step
    events: Sequence[trace.Event]
    said: str
    witnessed: bytes
    posts: Sequence[list[dict[str, Any]]]


def record(life: Life) -> list[Trace]:
    """Live all steps once, then to the end."""
    place, traces = life.place, []
    for step in CUT:
        step.prepare(place)
        place.keep(step.name)
        path = place.base / "temp" / "trace"
        path.unlink(missing_ok=True)
        sent = len(place.server.posts)
        status, said = place.hooked(step.words(place), ("trace", str(path)))
        assert status == 0, f"{step.name} ended with {status}: {said}"
        life.promised(step, said)
        posts = [call.json() for call in place.server.posts[sent:]]
        traces.append(Trace(step, trace.read(path), said, _witnessed(place), posts))
    life.to_the_end()
    assert not (found := violations(place.scene, at_rest=True)), found
    return traces


def _witnessed(place: Place) -> bytes:
    path = place.folder / "witness" / "starts"
    return path.read_bytes() if path.exists() else b""


def cuts(life: Life, one: Trace, most_left_out: int) -> Iterator[tuple[Cut, Callable[[], None]]]:
    """Each with a function that brings everything into that state."""
    disk = Disk(life.place.base / "kept" / one.step.name / "spool")
    witness = life.place.base / "kept" / one.step.name / "witness" / "starts"
    told = Told(witness.stat().st_size if witness.exists() else 0, 0)
    seen: set[tuple[int, bool]] = set()
    for after, event in enumerate(one.events, 1):
        disk.take(event)
        told = event if isinstance(event, Told) else told
        is_last = after == len(one.events)
        for number, state in enumerate(disk.cuts(most_left_out)):
            digest = (disk.digest(state), is_last)
            if digest not in seen:
                seen.add(digest)
                bring = partial(_bring_about, life, one, disk, state, told, is_last)
                yield Cut(one.step.name, after, number), bring


def _bring_about(
    life: Life, one: Trace, disk: Disk, state: State, told: Told, is_last: bool
) -> None:
    """The disk, the world outside, and what somebody was promised, as they were."""
    place = life.place
    place.back_to(one.step.name)
    disk.build(state, place.spool)
    now_s = time.monotonic()
    witness = place.folder / "witness"
    witness.mkdir(exist_ok=True)
    seen = one.witnessed[: told.witness_bytes]
    (witness / "starts").write_bytes(seen + b'{"what": "cut", "name": "", "at_s": %f}\n' % now_s)
    with place.server.site.lock:
        for posted in one.posts[: told.posts]:
            place.server.site.report(read_jobs(posted, place.server.site.era))
    place.scene.most_attempts = MOST_ATTEMPTS
    if is_last:
        life.promised(one.step, one.said)
    elif one.step.verb in GIVEN_AGAIN:
        life.promised(one.step, place.command(*one.step.words(place), allowed=TOOK_NOTHING))
    elif one.step.verb in ("cancel", "kill"):  # nobody was told that it is as good as done
        either = {"succeeded", "killed_by_admin", "cancelled_by_user", "dependency_failed"}
        place.scene.outcomes[place.known["waiting"]] = dict.fromkeys(STOPPED, either)


def try_one(life: Life, cut: Cut, bring_about: Callable[[], None]) -> Result:
    life.place.boot = "after the cut"
    try:
        bring_about()
        life.to_the_end()
    except AssertionError as error:
        return Result(cut, [str(error)])
    finally:
        life.place.boot = ""
    return Result(cut, violations(life.place.scene, at_rest=True))


@dataclass(frozen=True)
class Share:
    """every, offset: which of all cuts. step: "" for all. first: end with the first violation."""

    every: int
    offset: int
    most_left_out: int
    step: str = ""
    first: bool = False

    def work(self) -> tuple[Counter[str], list[Result]]:
        """How many cuts each step has, and those of the share that were tried."""
        with living() as life:
            return self.work_on(life, record(life))

    def work_on(self, life: Life, traces: Sequence[Trace]) -> tuple[Counter[str], list[Result]]:
        found: Counter[str] = Counter()
        results = []
        for one in traces:
            if self.step not in ("", one.step.name):
                continue
            for cut, bring_about in cuts(life, one, self.most_left_out):
                found[cut.step] += 1
                if found.total() % self.every == self.offset:
                    results.append(try_one(life, cut, bring_about))
                    _show(results[-1], len(results))
                    if self.first and results[-1].violations:
                        return found, results
        return found, results


def _show(result: Result, tried: int) -> None:
    if tried % 500 == 0:
        print(f"{tried} tried", file=sys.stderr, flush=True)
    if result.violations:
        print(f"VIOLATED at {result.cut}", *result.violations, sep="\n    ", flush=True)


def main() -> int:
    parser = options("power", __doc__, STEPS)
    parser.set_defaults(step="")
    parser.add_argument("--left-out", type=int, default=2)
    parser.add_argument("--first", action="store_true", help="end with the first violation")
    given = parser.parse_args()
    offset = rotating(given.every) if given.offset is None else given.offset
    begun_s = time.monotonic()
    shares = [
        Share(
            given.every * given.workers, offset + given.every * worker, given.left_out, given.step
        )
        for worker in range(given.workers)
    ]
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        done = list(pool.map(Share.work, shares))
    tried, bad = Counter[str](), Counter[str]()
    for _, results in done:
        tried.update(one.cut.step for one in results)
        bad.update(one.cut.step for one in results if one.violations)
    print(f"every {given.every}. from {offset}; at most {given.left_out} changes left out")
    print(f"{'step':<14}{'states':>8}{'tried':>8}{'violations':>12}")
    for name, count in done[0][0].items():
        print(f"{name:<14}{count:>8}{tried[name]:>8}{bad[name]:>12}")
    print(f"{'all':<14}{done[0][0].total():>8}{tried.total():>8}{bad.total():>12}")
    print(f"in {time.monotonic() - begun_s:.0f} s")
    return 1 if bad.total() else 0


if __name__ == "__main__":
    sys.exit(main())
