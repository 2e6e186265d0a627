"""Drafts of a killed mover go at its next start; others' stay."""

from pathlib import Path

from spoolrunner import files
from spoolrunner.spool import drafts, rooms


def test_only_what_the_mover_alone_writes_is_cleared(tmp_path: Path) -> None:
    place = rooms.create(tmp_path / "spool", "2026-11-26T00:00:00Z", group=None, volatile=True)
    dead = [
        files.draft_of(place.rejected / "x.json.error.json"),
        files.draft_of(place.outbox / "abc.0000000000000001.json"),
    ]
    alive = [
        files.draft_of(place.outbox / ".trouble.json"),
        files.draft_of(place.inbox / "request.json"),
        place.rejected / "x.json",
    ]
    for path in (*dead, *alive):
        path.touch()
    drafts.clear(place)
    assert [path.exists() for path in dead] == [False, False]
    assert all(path.exists() for path in alive)
