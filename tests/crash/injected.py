"""Faults as the kernel tells of them: strace has the n-th call of a name fail in a real process.

usage: python -m tests.crash.injected [--every K --offset R] [--step NAME] [--workers 2]

Nothing of ours stands between: what is opened by Python itself, pipes, sockets, logs and the files
that are only read are met too. strace counts for each thread by itself, so several may be met at
once. Programs that are started are left alone. The command may report it and end, or try again
(see `faults`).

exit status: 0 nothing was violated; 1 something was
"""

import re
import sys
import time
from collections import Counter
from pathlib import Path

from tests.crash.faults import TOLD
from tests.crash.life import Life, living
from tests.crash.points import STEPS, Point, Result, choose, options, rotating, table, try_all

FULL, BROKEN, NO_DESCRIPTORS = "ENOSPC", "EIO", "EMFILE"
ERRORS = {
    **dict.fromkeys(("write", "pwrite64", "copy_file_range"), (FULL, BROKEN)),
    "openat": (NO_DESCRIPTORS, BROKEN, FULL),
    **dict.fromkeys(("fsync", "fdatasync"), (BROKEN,)),
    **dict.fromkeys(("rename", "renameat", "renameat2"), (FULL, BROKEN)),
    **dict.fromkeys(("mkdir", "mkdirat", "link", "linkat"), (FULL,)),
    **dict.fromkeys(("unlink", "unlinkat", "rmdir", "read", "pread64", "getdents64"), (BROKEN,)),
    **dict.fromkeys(("chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat"), (BROKEN,)),
    **dict.fromkeys(("pipe2", "socket", "eventfd2", "epoll_create1"), (NO_DESCRIPTORS,)),
}
LINE = re.compile(r"(?P<thread>\d+) +(?P<name>\w+)\(")


def injections(life: Life) -> list[Point]:
    """Points whose call is a system call and whose moment is the error."""
    found = []
    for step in STEPS:
        for name, most in sorted(_counts(life, step).items()):
            for number in range(1, most + 1):
                found += [Point(step, name, number, error) for error in ERRORS[name]]
    return found


def _counts(life: Life, step: str) -> dict[str, int]:
    """How often the thread that makes most of these calls makes each, in this step."""
    place = life.place
    place.back_to(step)
    status, said = place.hooked(STEPS[step].words(place), _deed(life, ",".join(ERRORS), ""))
    assert status == 0, f"{step} ended with {status}: {said}"
    made: Counter[tuple[str, str]] = Counter()
    for line in _said(life).read_text().splitlines():
        if begun := LINE.match(line):
            made[begun["thread"], begun["name"]] += 1
    most: dict[str, int] = {}
    for (_, name), count in made.items():
        most[name] = max(most.get(name, 0), count)
    return most


def _said(life: Life) -> Path:
    return life.place.base / "temp" / "strace"


def _deed(life: Life, names: str, inject: str) -> tuple[str, ...]:
    return ("strace", str(_said(life)), names, inject)


def try_one(life: Life, point: Point) -> Result:
    """came: was a call of that name made so often?"""
    inject = f"{point.call}:error={point.moment}:when={point.occurrence}"
    try:
        status, found = life.again(STEPS[point.step], _deed(life, point.call, inject))
    except AssertionError as error:
        return Result(point, True, [str(error)])
    if status not in TOLD:
        found = [*found, f"it ended with {status}"]
    return Result(point, "(INJECTED)" in _said(life).read_text(), found)


def main() -> int:
    given = options("injected", __doc__, STEPS).parse_args()
    offset = rotating(given.every) if given.offset is None else given.offset
    begun_s = time.monotonic()
    with living() as life:
        life.record()
        found = [one for one in injections(life) if given.step in (None, one.step)]
    print(f"{len(found)} faults; every {given.every}. from {offset}.", flush=True)
    chosen = choose(found, given.every, offset)
    text, is_well = table(try_all(try_one, chosen, given.workers), begun_s, "met")
    print(text)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
