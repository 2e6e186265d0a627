"""Each bug that is planted still finds its place: one that is not planted proves nothing."""

import pytest

from tests.crash.plant import BUGS, Bug
from tests.site import PROJECT


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_the_place_of_a_planted_bug_is_there(bug: Bug) -> None:
    for file, old, _ in bug.changes:
        assert (PROJECT / "spoolrunner" / file).read_text().count(old) == 1
