"""The audit on the real disk: writers that are killed, lines that are torn, months, a full disk."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spoolrunner.audit import Event, once
from spoolrunner.cli import deeds
from spoolrunner.spool import audit
from spoolrunner.spool import rooms as spool_rooms
from spoolrunner.spool.audit import Trail
from spoolrunner.spool.rooms import Rooms
from tests.spool.test_filesystem import mounted

NOVEMBER, DECEMBER = "2026-11-26T10:00:00.000Z", "2026-12-01T10:00:00.000Z"
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do that")

# Appends for ever, and says what is on disk.
WRITER = """
import sys
from pathlib import Path
from spoolrunner.audit import Event
from spoolrunner.spool.audit import Trail
from spoolrunner.spool.rooms import open_spool
place = open_spool(Path(sys.argv[1]))
for number in range(1000000):
    names = [f"{sys.argv[2]}-{number}-{part}" for part in "ab"]
    events = [
        Event(event="x", id=name, uid=0, source="x", details={"y": "z" * 5000}) for name in names
    ]
    Trail(place).append(events, "2026-11-26T10:00:00.000Z")
    print(*names, flush=True)
"""


def event(name: str) -> Event:
    return Event(event="pause", id=name, uid=0, source="command")


def append(rooms: Rooms, *names: str, now: str = NOVEMBER) -> None:
    Trail(rooms).append([event(name) for name in names], now)


def told(rooms: Rooms, since: str = "") -> list[str | None]:
    """The ids of all lines, None for a torn one. Each must follow the one before it."""
    lines = list(audit.read(rooms, since))
    assert all(line.follows for line in lines)
    return [line.event.id if line.event else None for line in lines]


def month(rooms: Rooms, name: str = "2026-11") -> Path:
    return rooms.audit / f"{name}.jsonl"


def cut(path: Path, size: int) -> None:
    os.truncate(path, path.stat().st_size - size)


def test_many_may_write_and_be_killed_and_nothing_that_was_acknowledged_is_lost(
    rooms: Rooms,
) -> None:
    words = [sys.executable, "-c", WRITER, str(rooms.folder)]
    writers = [
        subprocess.Popen([*words, str(number)], stdout=subprocess.PIPE, text=True)
        for number in range(4)
    ]
    said = []
    for writer in writers:  # each while the others go on
        assert writer.stdout
        said += [writer.stdout.readline() for _ in range(10)]
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.readlines()
        writer.wait()
    acknowledged = {name for line in said if line.endswith("\n") for name in line.split()}
    assert len(acknowledged) >= 80
    append(rooms, "last")
    found = told(rooms)
    assert acknowledged <= {*found}
    assert found[-1] == "last"
    assert len({*found}) == len(found)


@pytest.mark.parametrize("size", [1, 2, 40, 100000])
def test_a_torn_line_is_kept_sealed_and_told(rooms: Rooms, size: int) -> None:
    append(rooms, "one")
    append(rooms, "two" * 40000)
    cut(month(rooms), size)
    torn = month(rooms).read_bytes()
    assert told(rooms) == ["one", "two" * 40000 if size == 1 else None]
    assert not [*audit.read(rooms)][-1].sealed
    append(rooms, "three")
    append(rooms, "four")
    assert month(rooms).read_bytes().startswith(torn + b"\n")
    assert told(rooms) == ["one", "two" * 40000 if size == 1 else None, "three", "four"]


@pytest.mark.parametrize("spoil", ["out", "changed", "doubled", "swapped"])
def test_a_line_that_was_changed_or_taken_out_is_missed(rooms: Rooms, spoil: str) -> None:
    for name in ("one", "two", "three", "four"):
        append(rooms, name)
    one, two, three, four = month(rooms).read_bytes().splitlines(keepends=True)
    spoilt = {
        "out": [one, three, four],
        "changed": [one, two.replace(b'"uid":0', b'"uid":7'), three, four],
        "doubled": [one, two, two, three, four],
        "swapped": [one, three, two, four],
    }
    month(rooms).write_bytes(b"".join(spoilt[spoil]))
    assert not all(line.follows for line in audit.read(rooms))


def test_a_new_month_goes_on_from_the_last_line_of_the_one_before(rooms: Rooms) -> None:
    append(rooms, "one")
    append(rooms, "two")
    cut(month(rooms), 9)
    append(rooms, "three", now=DECEMBER)
    assert month(rooms).read_bytes().endswith(b"\n")
    assert told(rooms) == ["one", None, "three"]
    assert told(rooms, DECEMBER) == ["three"]
    append(rooms, "four", now=NOVEMBER)  # the clock was set back
    assert told(rooms, DECEMBER) == ["three", "four"]
    cut(month(rooms), month(rooms).stat().st_size - 5)
    assert not all(line.follows for line in audit.read(rooms, DECEMBER))
    month(rooms).rename(rooms.folder / "elsewhere")
    assert told(rooms) == ["three", "four"]


def test_a_month_that_was_only_begun_when_its_writer_was_killed_is_no_gap(rooms: Rooms) -> None:
    append(rooms, "one")
    cut(month(rooms), 9)
    month(rooms, "2026-12").touch()
    append(rooms, "two", now=DECEMBER)
    assert told(rooms) == [None, "two"]


def test_an_event_that_is_written_twice_counts_once(rooms: Rooms) -> None:
    append(rooms, "one", "two")
    append(rooms, "two", "three")
    events = [line.event for line in audit.read(rooms) if line.event]
    assert [one.id for one in once(events)] == ["one", "two", "three"]


def test_it_is_private(rooms: Rooms) -> None:
    before = os.umask(0)
    try:
        append(rooms, "one")
    finally:
        os.umask(before)
    assert month(rooms).stat().st_mode & 0o777 == 0o600
    assert rooms.audit.stat().st_mode & 0o777 == 0o700


def test_what_a_disk_takes_only_a_part_of_is_refused_and_told(rooms: Rooms) -> None:
    append(rooms, "one")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (month(rooms).stat().st_size + 50, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            append(rooms, "two")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    append(rooms, "three")
    assert told(rooms) == ["one", None, "three"]


@only_root
def test_on_a_full_disk_no_command_is_carried_out_but_one_that_makes_room(tmp_path: Path) -> None:
    with mounted(tmp_path / "ram", "-t", "tmpfs", "-o", "size=1m", "tmpfs") as ram:
        rooms = spool_rooms.create(ram / "spool", NOVEMBER, group=None, volatile=True)
        filler = ram / "filler"
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, os.statvfs(ram).f_bavail * 4096)
        with pytest.raises(OSError, match="No space left"):
            deeds.note(rooms, "pause")
        with deeds.making_room(rooms, "gc", "--yes"):
            assert told(rooms) == []
            filler.unlink()
        assert [line.event.event for line in audit.read(rooms) if line.event] == ["gc"]


@only_root
def test_what_root_begins_the_runners_user_can_go_on_with(rooms: Rooms) -> None:
    os.chown(rooms.audit, 4001, 4001)
    append(rooms, "one")
    about = month(rooms).stat()
    assert (about.st_uid, about.st_gid) == (4001, 4001)
