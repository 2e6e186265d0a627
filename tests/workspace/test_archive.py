"""Archived and brought back, killed at any change of the disk: there always is a whole copy."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from spoolrunner.errors import BadInput, BadMachine, TryLater
from spoolrunner.headway import UNHEARD
from spoolrunner.request import Level
from spoolrunner.workspace import Published
from spoolrunner.workspace.archive import Archive, verify
from tests.workspace.conftest import Line, line_below, tree
from tests.workspace.test_crash import base, killed_at, scene, timeless

__all__ = ["base"]


def archive_of(line: Line) -> Archive:
    return Archive(line.storage, "ws", UNHEARD)


def put_in(line: Line) -> None:
    archive = archive_of(line)
    archive.mark()
    archive.put_in()
    archive.unmark()


def take_out(line: Line) -> None:
    archive = archive_of(line)
    archive.mark()
    archive.take_out()
    archive.unmark()


def published(line: Line) -> dict[str, str]:
    roots = {"high": line.storage.high, "medium": line.storage.medium}
    return {
        f"{level}/{path}": timeless(text)
        for level, root in roots.items()
        for path, text in tree(root / "workspaces").items()
    }


def test_what_comes_back_is_what_was_put_in(line: Line) -> None:
    scene(line.storage.high.parent, 0)
    os.link(line.high / "high.bin", line.high / "second-name")
    before = published(line)
    modes = {path: path.stat().st_mode for path in line.storage.medium.rglob("*")}
    put_in(line)
    assert published(line) == {}
    with pytest.raises(BadInput, match="has been archived"):
        line.storage.refuse_archived("ws")
    (line.high / "metadata").mkdir(parents=True)  # the log of a job that was refused
    with pytest.raises(BadInput, match="has been archived"):
        line.storage.refuse_archived("ws")
    take_out(line)
    assert published(line) == before
    assert {path: path.stat().st_mode for path in line.storage.medium.rglob("*")} == modes
    assert line.workspace.look("make") is Published.INTACT
    line.storage.refuse_archived("ws")


@pytest.mark.parametrize(("deed", "first"), [(put_in, None), (take_out, put_in)])
def test_killed_at_any_change_and_done_again_nothing_is_lost(
    base: Path, deed: Callable[[Line], None], first: Callable[[Line], None] | None
) -> None:
    expected = published(small(base / "whole"))
    point, interrupted = 0, True
    while interrupted:
        point += 1
        line = small(base / str(point))
        if first:
            first(line)
        interrupted = killed_at(point, lambda line=line: deed(line))  # type: ignore[misc]
        again = line_below(base / str(point))
        assert_whole(again, expected)
        if interrupted:
            deed(again)
        if deed is put_in:
            assert published(again) == {}
            take_out(again)
        assert published(again) == expected, f"point {point}"
        assert list(again.storage.archives.iterdir()) == []
        hidden = [*again.high.parent.glob(".*"), *again.storage.medium.glob("workspaces/.*")]
        assert hidden == []
    assert point > 10


def small(base: Path) -> Line:
    line = line_below(base)
    line.run("make", {"out/*.csv": Level.MODERATE}, {"out/a.csv": "n\n1\n"})
    return line


def assert_whole(line: Line, expected: dict[str, str]) -> None:
    """The files are all there and may be used, or there is an archive that holds them."""
    archive = archive_of(line).path
    if archive.exists():
        assert verify(archive, UNHEARD).keys() == {*named(expected)}
    else:
        assert published(line) == expected


def named(files: dict[str, str]) -> set[str]:
    """high/ws/a.csv -> high/a.csv, as in the archive."""
    return {path.replace("/ws/", "/", 1) for path in files}


def test_while_it_moves_no_job_is_laid_out(line: Line) -> None:
    scene(line.storage.high.parent, 0)
    archive_of(line).mark()
    with pytest.raises(TryLater, match="being archived"):
        line.storage.refuse_archived("ws")


def test_files_and_an_archive_are_for_a_person_to_choose_from(line: Line) -> None:
    scene(line.storage.high.parent, 0)
    archive_of(line).path.parent.mkdir(exist_ok=True)
    archive_of(line).path.write_bytes(b"somebody's")
    with pytest.raises(BadMachine, match="and an archive, too"):
        put_in(line)
    assert archive_of(line).path.read_bytes() == b"somebody's"


def test_what_is_no_plain_file_or_torn_stops_it(line: Line) -> None:
    scene(line.storage.high.parent, 0)
    (line.high / "link").symlink_to("/etc/passwd")
    before = published(line)
    with pytest.raises(BadMachine, match="not a regular file"):
        put_in(line)
    assert published(line) == before
    (line.high / "link").unlink()
    archive_of(line).unmark()
    put_in(line)
    path = archive_of(line).path
    whole = path.read_bytes()
    for torn in (whole[: len(whole) // 2], whole[:-400] + bytes(400), b""):
        path.write_bytes(torn)
        with pytest.raises(BadMachine, match="can't be used"):
            take_out(line)
        assert published(line) == {}
        assert path.read_bytes() == torn
