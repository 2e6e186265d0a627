"""Some of all states that a power cut may leave; the full form is `python -m tests.crash.power`."""

from pathlib import Path

import pytest

from tests.crash.calls import Call
from tests.crash.disk import Disk
from tests.crash.life import living
from tests.crash.points import rotating
from tests.crash.power import Share, record
from tests.crash.trace import Made, lying

EVERY = 60


def test_what_was_acknowledged_outlives_a_power_cut() -> None:
    offset = rotating(EVERY)
    print(f"every {EVERY}. from {offset}")
    with living() as life:
        traces = record(life)
        _, results = Share(EVERY, offset, most_left_out=0).work_on(life, traces)
        _, more = Share(10, offset % 10, most_left_out=2, step="run:orders").work_on(life, traces)
    assert {str(one.cut): one.violations for one in results + more if one.violations} == {}
    assert len(results) > 10


class Scribe:
    """Does things in a folder, and tells the model of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("inbox", "running"):
            (folder / name).mkdir()
        self.disk = Disk(folder)

    def write(self, path: str, text: str) -> None:
        (self.folder / path).write_text(text)
        self._tell("write", path)

    def move(self, source: str, target: str) -> None:
        (self.folder / source).rename(self.folder / target)
        self._tell("rename", source, target)

    def flush(self, *paths: str) -> None:
        for path in paths:
            self._tell("fsync", path)

    def _tell(self, name: str, *paths: str) -> None:
        self.disk.take(Made(Call(name, paths), lying(str(self.folder), paths[-1])))

    def left(self) -> set[frozenset[tuple[str, bytes]]]:
        """Every set of files that a cut now may leave, with their content."""
        found = set()
        for state in self.disk.cuts(2):
            files = [
                (path, state.data.get(number, b""))
                for path, number in self.disk.listing(state)
                if self.disk.kinds[number].content is not None
            ]
            found.add(frozenset(files))
        return found


@pytest.fixture
def scribe(tmp_path: Path) -> Scribe:
    return Scribe(tmp_path)


def test_the_model_knows_the_measured_rows(scribe: Scribe) -> None:
    """reference/spool.md 2.1: e0, e1, e2, c1 and both flushed."""
    scribe.write("inbox/.d", "x")
    torn, whole = frozenset({("inbox/.d", b"")}), frozenset({("inbox/.d", b"x")})
    assert scribe.left() == {frozenset(), torn, whole}
    scribe.flush("inbox/.d")
    scribe.move("inbox/.d", "inbox/j")
    old, new = frozenset({("inbox/.d", b"x")}), frozenset({("inbox/j", b"x")})
    assert scribe.left() == {old, new, old | new}
    scribe.flush("inbox")
    assert scribe.left() == {new}
    scribe.move("inbox/j", "running/j")
    claimed = frozenset({("running/j", b"x")})
    assert scribe.left() == {new, claimed, new | claimed}
    scribe.flush("running")
    assert scribe.left() == {claimed, new | claimed}
    scribe.flush("inbox")
    assert scribe.left() == {claimed}


def test_the_source_flushed_first_may_lose_the_file(scribe: Scribe) -> None:
    """Row c2."""
    scribe.write("inbox/j", "x")
    scribe.flush("inbox/j", "inbox")
    scribe.move("inbox/j", "running/j")
    scribe.flush("inbox")
    assert frozenset() in scribe.left()


def test_a_name_before_its_data_may_be_an_empty_file(scribe: Scribe) -> None:
    """Row e3."""
    scribe.write("inbox/j", "x")
    scribe.flush("inbox")
    assert frozenset({("inbox/j", b"")}) in scribe.left()
