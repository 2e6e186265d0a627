"""Fuzzing of project.yaml: `python -m tests.fuzz.project [COUNT] [SEED]`.

200,000 inputs, which is the default, take five minutes of one processor. Whatever the bytes,
`project.read` gives a Project or raises BadProject, in 2 s of processor time
and 300 MB; of what is accepted every command is read on a real and on a dummy-data backend, the
graph is drawn, and `run_all` is planned. Ends with 1 on the first violation and keeps its input.
"""

import faulthandler
import resource
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from spoolrunner import plan, project
from spoolrunner.errors import BadProject, CannotExpand
from spoolrunner.project import Problem, Project
from spoolrunner.report import dag
from spoolrunner.request import RUN_ALL
from tests.fuzz.inputs import inputs

MOST_S = 2.0
MOST_MB = 300
HUNG_S = 120
MOST_OF_A_PROBLEM = 2_000


class Violation(Exception):
    """What must not be."""


@dataclass
class Tally:
    """What was seen. verdicts: (kind, "accepted" or "refused")."""

    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: str = ""
    peak_mb: float = 0.0
    peak: str = ""


def check(data: bytes) -> str:
    """ "accepted" or "refused". Raises Violation, or whatever `read` should not have raised."""
    try:
        found = project.read(data)
    except BadProject as error:
        check_problems(error.problems)
        return "refused"
    check_problems(found.warnings)
    check_commands(found)
    check_plan(found)
    return "accepted"


def check_problems(problems: tuple[str, ...]) -> None:
    """One printable line each, in the order of their places; those of the whole file anywhere."""
    places = [(one.line, one.column) for one in problems if isinstance(one, Problem)]
    if len(places) != len(problems) or len(problems) > 1_001:
        raise Violation(f"{len(problems)} problems, {len(places)} with a place")
    placed = [place for place in places if place != (0, 0)]
    if placed != sorted(placed):
        raise Violation("problems are not in order")
    for one in problems:
        if not one.isprintable() or len(one) > MOST_OF_A_PROBLEM:
            raise Violation(f"a problem of {len(one)} letters: {one[:200]!r}")


def check_commands(found: Project) -> None:
    for name in found.actions:
        for dummy_data in (True, False):
            try:
                words = found.command(name, dummy_data=dummy_data)
            except BadProject:
                continue
            if not words or "\0" in "".join(words):
                raise Violation(f"the command of {name!r} is {words}")
            "".join(words).encode()


def check_plan(found: Project) -> None:
    needs = {name: action.needs for name, action in found.actions.items()}
    try:
        made = plan.make(
            needs, [RUN_ALL], force=False, cancelled=(), known={}, request="r", sha="0" * 40
        )
    except CannotExpand as error:
        raise Violation("what is accepted can't be planned") from error
    if sorted(job.action for job in made.jobs) != sorted(needs):
        raise Violation("run_all does not run every action once")
    list(dag.lines(found.actions, 80))


def measured(data: bytes, tally: Tally, kind: str) -> None:
    """Raises Violation if it took too long (the best of three) or too much."""
    forget_peak()
    took_s = seconds_of(data, kind, tally)
    for _ in range(2 if took_s > MOST_S else 0):
        took_s = min(took_s, seconds_of(data, kind, Tally()))
    peak_mb = peak_in_mb()
    about = f"{kind}, {len(data):,} bytes"
    if took_s > tally.slowest_s:
        tally.slowest_s, tally.slowest = took_s, about
    if peak_mb > tally.peak_mb:
        tally.peak_mb, tally.peak = peak_mb, about
    if took_s > MOST_S or peak_mb > MOST_MB:
        raise Violation(f"{took_s:.2f} s, {peak_mb:.0f} MB")


def seconds_of(data: bytes, kind: str, tally: Tally) -> float:
    began_s = time.process_time()
    verdict = check(data)
    took_s = time.process_time() - began_s
    tally.verdicts[kind, verdict] += 1
    return took_s


def forget_peak() -> None:
    """Have the kernel count the peak of memory from here on (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_in_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main(arguments: list[str]) -> int:
    count, seed = (*map(int, arguments), *(200_000, 1)[len(arguments) :])
    tally = Tally()
    for number, (kind, data) in enumerate(islice(inputs(seed), count)):
        faulthandler.dump_traceback_later(HUNG_S, exit=True)
        try:
            measured(data, tally, kind)
        except BaseException as error:
            path = keep(data, f"{seed}-{number}")
            print(f"VIOLATION: {type(error).__name__}: {str(error)[:300]}\ninput kept: {path}")
            if not isinstance(error, Exception):
                raise
            return 1
    faulthandler.cancel_dump_traceback_later()
    show(tally, seed)
    return 0


def keep(data: bytes, name: str) -> Path:
    path = Path(tempfile.mkdtemp(prefix="fuzz-project-"), f"{name}.yaml")
    path.write_bytes(data)
    return path


def show(tally: Tally, seed: int) -> None:
    kinds = list(dict.fromkeys(kind for kind, _ in sorted(tally.verdicts)))
    print(f"{'seed ' + str(seed):10} {'inputs':>9} {'accepted':>9} {'refused':>9}")
    for kind in (*kinds, "all"):
        of_kind = Counter[str]()
        for (one, verdict), times in tally.verdicts.items():
            of_kind[verdict] += times if kind in (one, "all") else 0
        accepted, refused = of_kind["accepted"], of_kind["refused"]
        print(f"{kind:10} {accepted + refused:9,} {accepted:9,} {refused:9,}")
    print(f"slowest    {tally.slowest_s:.2f} s of {MOST_S:g} s ({tally.slowest})")
    print(f"peak       {tally.peak_mb:.0f} MB of {MOST_MB} MB ({tally.peak})")
    print("violations 0")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))  # the machine is not ours alone
    sys.exit(main(sys.argv[1:]))
