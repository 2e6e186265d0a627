"""Faults that last: from a call on the disk fails every time, until its cause is removed.

usage: python -m tests.crash.lasting [--every K --offset R] [--step NAME] [--workers 2]

A service that is alone with it has to tell of it, to lose nothing, and to go on by itself to the
end of all there is to do: nobody asks again. One that can't even begin says so and ends with 4; its
unit has systemd start it again. The points are those of `faults` in the steps that run jobs; each
cause stays until many calls have failed by it.

exit status: 0 nothing was violated; 1 something was
"""

import contextlib
import errno
import os
import signal
import sys
import time
from pathlib import Path

from tests.crash.faults import BROKEN, ERRORS, FULL, NO_DESCRIPTORS, READ_ONLY, faults
from tests.crash.invariants import violations
from tests.crash.life import LIFE, LOOK_S, TOOK_NOTHING, Deed, Life, Place, is_alive, living
from tests.crash.points import Point, Result, choose, options, rotating, table, try_all
from tests.crash.races import unsettled

LAST = (FULL, BROKEN, READ_ONLY, NO_DESCRIPTORS)
STEPS = {step.name: step for step in LIFE if step.verb == "run"}
FAILURES = 12
CAUSE_S = 2.0  # at the longest: some calls are not tried again
WITHIN_S = 25.0
COULD_NOT_BEGIN = 4


def lasting(life: Life) -> list[Point]:
    return [one for one in faults(life) if one.step in STEPS and one.moment in LAST]


def try_one(life: Life, point: Point) -> Result:
    """came: did it come to that call?"""
    place = life.place
    place.back_to(point.step)
    place.turn_server(True)
    cause = place.base / "temp" / "cause"
    names = [name for name, errors in ERRORS.items() if point.moment in errors]
    deed = ("lasting", point.call, point.occurrence, point.moment, names, str(cause))
    place.settings["POLL_INTERVAL"] = "1"
    came, status, said = _serve(place, deed, cause)
    told = said + (place.base / "temp" / "log").read_text()
    if status == COULD_NOT_BEGIN:
        _, status, said = _serve(place, None, cause)
    found = [f"left to it was {one}" for one in unsettled(place)] + violations(place.scene)
    if status:
        found += [f"it ended with {status}: {said[-2000:]}"]
    if came and os.strerror(getattr(errno, point.moment)) not in told:
        found += ["nobody was told of it"]
    try:
        life.to_the_end()  # what could not be cleared away is swept at the next start
    except AssertionError as error:
        found += [str(error)]
    return Result(point, came, found + violations(place.scene, at_rest=True))


def _serve(place: Place, deed: Deed, cause: Path) -> tuple[bool, int, str]:
    """Did it come to the deed? how did it end? what did it say?"""
    output = place.base / "temp" / "said"
    pid = place.zygote.start(place.task(("run",), deed, output))
    came = _see_through(place, pid, cause)
    status = place.zygote.wait()
    return came, status, output.read_text()


def _see_through(place: Place, pid: int, cause: Path) -> bool:
    """Remove the cause in time; end the runner when there is nothing left to do."""
    deadline_s = time.monotonic() + WITHIN_S
    removed = False
    since_s = 0.0
    while is_alive(pid) and time.monotonic() < deadline_s:
        _operate(place)
        if cause.exists():
            since_s = since_s or time.monotonic()
            if cause.stat().st_size >= FAILURES or time.monotonic() - since_s > CAUSE_S:
                cause.unlink()
                removed = True
        elif not list(unsettled(place)):
            break
        time.sleep(LOOK_S)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    came = removed or cause.exists()
    cause.unlink(missing_ok=True)
    return came


def _operate(place: Place) -> None:
    for identifier in place.endless():
        place.command("kill", identifier, allowed=TOOK_NOTHING)


def main() -> int:
    given = options("lasting", __doc__, STEPS).parse_args()
    offset = rotating(given.every) if given.offset is None else given.offset
    begun_s = time.monotonic()
    with living() as life:
        life.record()
        found = [one for one in lasting(life) if given.step in (None, one.step)]
    print(f"{len(found)} faults that last; every {given.every}. from {offset}.", flush=True)
    chosen = choose(found, given.every, offset)
    text, is_well = table(try_all(try_one, chosen, given.workers), begun_s, "lasted")
    print(text)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
