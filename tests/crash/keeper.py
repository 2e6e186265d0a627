"""The keeper of a job is killed, or its disk fails, at each call by which it changes the disk.

usage: python -m tests.crash.keeper [--every K --offset R] [--step NAME] [--workers 2]

The runner lives on meanwhile. A job whose keeper was killed is lost and runs once more; whatever
else happens, each attempt runs once, and how it ended is not forgotten.

exit status: 0 nothing was violated; 1 something was
"""

import json
import sys
import time
from collections import Counter

from tests.crash.faults import ERRORS, SHORT, TOLD
from tests.crash.hooked import MOMENTS
from tests.crash.invariants import violations
from tests.crash.life import LIFE, Life, living
from tests.crash.points import Point, Result, choose, options, rotating, table, try_all

# How many jobs run in each step that runs any.
STARTS = {"run": 2, "run:endless": 1}
STEPS = {step.name: step for step in LIFE if step.name in STARTS}


def points(life: Life) -> list[Point]:
    """Their calls are called "2 rename ...": of the second keeper that begins."""
    return [
        Point(step, f"{start} {call}", occurrence, moment)
        for step, starts in STARTS.items()
        for start in range(1, starts + 1)
        for call, occurrence in _calls(life, step, start)
        for moment in (*MOMENTS, *(one for one in ERRORS.get(call.split()[0], ()) if one != SHORT))
    ]


def _calls(life: Life, step: str, start: int) -> list[tuple[str, int]]:
    record = life.place.base / "temp" / "keeper"
    found = _live(life, step, start, "record", [str(record)])
    assert not found, found
    seen: Counter[str] = Counter()
    calls = []
    for line in record.read_text().splitlines():
        call = json.loads(line)
        seen[call] += 1
        calls.append((call, seen[call]))
    return calls


def _live(life: Life, step: str, start: int, deed: str, words: list[object]) -> list[str]:
    """Live a step with this deed in it; every violation."""
    place = life.place
    place.back_to(step)
    (place.folder / "witness").mkdir(exist_ok=True)
    (place.folder / "witness" / "keepers").unlink(missing_ok=True)
    task = {"start": start, "deed": deed, "words": words}
    (place.folder / "witness" / "deed").write_text(json.dumps(task))
    place.scene.most_attempts = 2
    status, said = place.hooked(STEPS[step].words(place))
    (place.folder / "witness" / "deed").unlink()
    found = violations(place.scene)
    if status not in TOLD:
        found += [f"it ended with {status}: {said}"]
    life.to_the_end()
    return found + violations(place.scene, at_rest=True)


def try_one(life: Life, point: Point) -> Result:
    start, _, call = point.call.partition(" ")
    deed = "kill" if point.moment in MOMENTS else "fail"
    words = [call, point.occurrence, point.moment]
    try:
        return Result(point, True, _live(life, point.step, int(start), deed, words))
    except AssertionError as error:
        return Result(point, True, [str(error)])


def main() -> int:
    given = options("keeper", __doc__, STEPS).parse_args()
    offset = rotating(given.every) if given.offset is None else given.offset
    begun_s = time.monotonic()
    with living() as life:
        life.record()
        found = [one for one in points(life) if given.step in (None, one.step)]
    print(f"{len(found)} points; every {given.every}. from {offset}.", flush=True)
    chosen = choose(found, given.every, offset)
    text, is_well = table(try_all(try_one, chosen, given.workers), begun_s, "tried")
    print(text)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
