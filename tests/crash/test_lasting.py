"""Some of all faults that last, and some that the kernel tells of; the full forms are the commands
`python -m tests.crash.lasting` and `.injected`."""

import pytest

from tests.crash.injected import try_one as inject
from tests.crash.lasting import lasting, try_one
from tests.crash.life import Life
from tests.crash.points import Point, choose, rotating

EVERY = 600
# Each was once met by an error that was too much for the runner, or told by nobody.
KNOWN = (
    Point("run", "mkdir spool/.locks", 1, "EIO"),
    Point("run", "fsync spool/.claims", 3, "EIO"),
    Point("run", "mkdir spool/.locks", 2, "ENOSPC"),
    Point("run:endless", "unlink spool/.claims/ID.json", 1, "EIO"),
    Point("run:endless", "write spool/board/.draft", 2, "EIO"),
)


def test_the_service_goes_on_by_itself_when_the_cause_is_gone(life: Life) -> None:
    offset = rotating(EVERY)
    print(f"every {EVERY}. from {offset}")
    chosen = [*KNOWN, *choose(lasting(life), EVERY, offset)]
    results = [try_one(life, point) for point in chosen]
    assert {str(one.point): one.violations for one in results if one.violations} == {}
    assert sum(one.came for one in results) > len(KNOWN)


@pytest.mark.parametrize(("call", "error"), [("openat", "EMFILE"), ("fsync", "EIO")])
def test_a_fault_that_the_kernel_tells_of_loses_nothing(life: Life, call: str, error: str) -> None:
    number = 1 + rotating(60)
    print(f"the {number}. {call}")
    result = inject(life, Point("run", call, number, error))
    assert (result.violations, result.came) == ([], True)
