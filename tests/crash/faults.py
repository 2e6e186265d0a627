"""Each call that changes a disk fails once, as disks fail; nothing is lost, all is done in the end.

usage: python -m tests.crash.faults [--every K --offset R] [--step NAME] [--workers 2]

A full disk, a full inode table, an I/O error on write and on flush, a short write, no descriptors
left, a disk that became read-only. The command may report it and end (a drain does: cron comes
again; 70, our own bug, is a violation) or try again; whoever asked asks again, and a fresh runner
goes on. The points are those of `points`.

exit status: 0 nothing was violated; 1 something was
"""

import sys
import time

from tests.crash.life import Life, living
from tests.crash.points import STEPS, Point, Result, choose, options, rotating, table, try_all

FULL, BROKEN, READ_ONLY, NO_DESCRIPTORS, SHORT = "ENOSPC", "EIO", "EROFS", "EMFILE", "short"
ERRORS = {
    "write": (FULL, BROKEN, SHORT),
    "open": (FULL, NO_DESCRIPTORS, READ_ONLY),
    "copy_file_range": (FULL, BROKEN),
    "ftruncate": (FULL,),
    **dict.fromkeys(("fsync", "fdatasync"), (BROKEN, "EDQUOT")),
    **dict.fromkeys(("rename", "mkdir", "link"), (FULL, BROKEN, READ_ONLY)),
    **dict.fromkeys(("unlink", "rmdir", "chmod", "fchmod", "chown", "fchown"), (BROKEN,)),
}
# Our own words for what was met: done; ended by it; busy with it.
TOLD = (0, 1, 4, 5)


def faults(life: Life) -> list[Point]:
    """Points whose moment is the error."""
    found = []
    for step, made in life.calls.items():
        seen: dict[str, int] = {}
        for call, _ in made:
            seen[call] = seen.get(call, 0) + 1
            errors = ERRORS.get(call.split()[0], ())
            found += [Point(step, call, seen[call], error) for error in errors]
    return found


def try_one(life: Life, point: Point) -> Result:
    deed = ("fail", point.call, point.occurrence, point.moment, 1)
    try:
        status, found = life.again(STEPS[point.step], deed)
    except AssertionError as error:
        return Result(point, True, [str(error)])
    if status not in TOLD:
        found = [*found, f"it ended with {status}"]
    return Result(point, status == 0, found)


def main() -> int:
    given = options("faults", __doc__, STEPS).parse_args()
    offset = rotating(given.every) if given.offset is None else given.offset
    begun_s = time.monotonic()
    with living() as life:
        life.record()
        found = [one for one in faults(life) if given.step in (None, one.step)]
    print(f"{len(found)} faults; every {given.every}. from {offset}.", flush=True)
    chosen = choose(found, given.every, offset)
    text, is_well = table(try_all(try_one, chosen, given.workers), begun_s, "went on")
    print(text)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
