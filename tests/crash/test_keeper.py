"""Some of the keeper's own calls; all of them: `python -m tests.crash.keeper`."""

import pytest

from tests.crash.keeper import try_one
from tests.crash.life import Life
from tests.crash.points import Point

STARTED = "1 rename processes/NAME/.started -> processes/NAME/started"
STATUS = "1 rename processes/NAME/.status -> processes/NAME/status"


@pytest.mark.parametrize(
    ("call", "moment"),
    [(STARTED, "before"), (STARTED, "after"), (STATUS, "EIO"), (STATUS, "before")],
)
def test_a_keeper_that_dies_or_can_not_write_loses_no_job(
    life: Life, call: str, moment: str
) -> None:
    assert try_one(life, Point("run", call, 1, moment)).violations == []
