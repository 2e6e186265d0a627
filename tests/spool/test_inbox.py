"""What lies in the inbox is looked at: is it whole, for us, and safe to take?"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spoolrunner.spool.inbox import MAX_BYTES, Found, Inbox, Patience, Why, printable
from spoolrunner.spool.rooms import Rooms
from tests.spool.conftest import IMPATIENT, asked

NewInbox = Callable[..., Inbox]
GOOD = json.dumps(asked()).encode()
HOUR_S = 3600


def only(inbox: Inbox) -> Found:
    (found,) = inbox.look()
    return found


def verdict(inbox: Inbox) -> str:
    """take, the reason it waits for, or the kind of its refusal."""
    found = only(inbox)
    assert sum((found.take, found.refuse is not None, found.wait is not None)) == 1
    return found.refuse.kind if found.refuse else found.wait.name if found.wait else "take"


def until_it_is(inbox: Inbox, wanted: str) -> None:
    deadline = time.monotonic() + 10
    while (now := verdict(inbox)) != wanted:
        assert time.monotonic() < deadline, f"still {now}"


@pytest.mark.parametrize("name", ["a.json", "A.JSON", "a b.Json", "ä.json", "x" * 250 + ".json"])
def test_a_whole_request_is_taken_under_any_name(
    rooms: Rooms, new_inbox: NewInbox, name: str
) -> None:
    (rooms.inbox / name).write_bytes(GOOD)
    assert verdict(new_inbox()) == "take"


@pytest.mark.attack("what is dropped into the inbox has the name {name}")
@pytest.mark.parametrize(
    "name",
    [b"\xff\xfe.json", b"two\nlines.json", b"\x1b[31m.json", b"a%b.json"],
)
def test_a_name_that_is_not_plain_is_taken_and_can_be_printed(
    rooms: Rooms, new_inbox: NewInbox, name: bytes
) -> None:
    (rooms.inbox / os.fsdecode(name)).write_bytes(GOOD)
    found = only(new_inbox())
    assert found.take
    assert printable(found.path.name).isascii()
    assert printable(found.path.name).isprintable()


@pytest.mark.parametrize(
    "name",
    """a.json~ .a.json .a.json.swp .#a.json #a.json# ._a.json a.json.part a.json.filepart a.json.tmp
    .j.json.7hhhHR sedAbCdEf 4913 a.json.bak a.txt .goutputstream-X1Y2 a.json.crdownload
    .nfs0001.json _a.json .~lock.a.json#""".split(),
)
def test_a_name_that_tools_use_for_unfinished_files_is_left_alone(
    rooms: Rooms, new_inbox: NewInbox, name: str
) -> None:
    (rooms.inbox / name).write_bytes(GOOD)
    assert verdict(new_inbox()) == "NAME"


def test_one_for_another_backend_is_left_alone_but_broken_ones_are_not_theirs(
    rooms: Rooms, new_inbox: NewInbox
) -> None:
    (rooms.inbox / "a.json").write_text(json.dumps(asked(backend="emis")))
    assert verdict(new_inbox()) == "BACKEND"


def test_a_file_that_somebody_still_writes_waits_although_it_is_whole(
    rooms: Rooms, new_inbox: NewInbox
) -> None:
    inbox = new_inbox()
    with (rooms.inbox / "a.json").open("wb") as written:
        written.write(GOOD)
        written.flush()
        assert verdict(inbox) == "WRITTEN"
    assert verdict(inbox) == "take"


def test_half_a_file_waits_and_is_taken_once_its_writer_comes_back(
    rooms: Rooms, new_inbox: NewInbox
) -> None:
    path, inbox = rooms.inbox / "a.json", new_inbox()
    path.write_bytes(GOOD[:50])
    assert verdict(inbox) == "INCOMPLETE"
    with path.open("ab") as again:
        again.write(GOOD[50:])
    assert verdict(inbox) == "take"


@pytest.mark.parametrize(
    ("content", "waits_as", "kind"),
    [
        (GOOD[:50], "INCOMPLETE", "not_json"),
        (b'{"a": "\xc3', "INCOMPLETE", "not_utf8"),
        (b'{"a": NaN}', "INCOMPLETE", "not_json"),
        (b"\0" * 100, "INCOMPLETE", "not_json"),
        (b"", "EMPTY", "empty"),
    ],
    ids=["half", "half a letter", "NaN", "zeros", "empty"],
)
def test_what_could_still_become_whole_is_refused_only_when_its_time_is_over(
    rooms: Rooms, new_inbox: NewInbox, content: bytes, waits_as: str, kind: str
) -> None:
    (rooms.inbox / "a.json").write_bytes(content)
    assert verdict(new_inbox()) == waits_as
    until_it_is(new_inbox(IMPATIENT), kind)


def test_time_runs_from_the_last_change_not_from_an_old_mtime(
    rooms: Rooms, new_inbox: NewInbox
) -> None:
    path = rooms.inbox / "a.json"
    path.write_bytes(GOOD[:50])
    os.utime(path, (0, 0))  # as cp -p, tar and mv from another disk leave it
    assert verdict(new_inbox()) == "INCOMPLETE"


def test_a_change_from_the_future_is_waited_for_by_our_own_watch(
    rooms: Rooms, new_inbox: NewInbox
) -> None:
    """The clock was set back. Patience longer than the age of the machine would wait for ever."""
    path = rooms.inbox / "a.json"
    path.write_bytes(GOOD[:50])
    about = list(os.lstat(path))
    about[9] = int(time.time()) + HOUR_S  # ctime can't be set, so the stat is asked about directly
    inbox = new_inbox(IMPATIENT)
    future = os.stat_result(about)
    assert 0 <= inbox._age_s(future) < 1
    until = time.monotonic() + 0.1
    while time.monotonic() < until:
        pass
    assert inbox._age_s(future) >= 0.1


@pytest.mark.attack("what is dropped into the inbox holds bad JSON: {kind}")
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"[1]", "not_an_object"),
        (b"12", "not_an_object"),
        (b'{"a": 1, "a": 2}', "doubled_key"),
        (b'{"a": "\\ud800"}', "bad_text"),
        (b'{"a":' * 100_000, "too_deep"),
        (b'{"a": 1' + b"0" * 1_000_000 + b"}", "bad_number"),
        (b" " * (MAX_BYTES + 1), "too_big"),
        (b"x" * (10 << 20), "too_big"),
    ],
    ids=[
        *("array", "number", "doubled key", "surrogate", "deep", "long number"),
        *("1 MiB and 1", "10 MiB"),
    ],
)
def test_what_no_more_bytes_can_mend_is_refused_at_once(
    rooms: Rooms, new_inbox: NewInbox, content: bytes, kind: str
) -> None:
    (rooms.inbox / "a.json").write_bytes(content)
    assert verdict(new_inbox()) == kind


def test_a_file_of_exactly_one_mebibyte_is_taken(rooms: Rooms, new_inbox: NewInbox) -> None:
    (rooms.inbox / "a.json").write_bytes(GOOD.ljust(MAX_BYTES))
    assert verdict(new_inbox()) == "take"


def sparse(path: Path) -> None:
    with path.open("wb") as huge:
        huge.truncate(10 << 40)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))


@pytest.mark.attack("a link, pipe, socket, folder or huge file is dropped into the inbox: {kind}")
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: path.symlink_to("/etc/passwd"), "not_regular"),
        (lambda path: path.symlink_to("nowhere"), "not_regular"),
        (lambda path: path.symlink_to(path.name), "not_regular"),
        (os.mkfifo, "not_regular"),
        (listening, "not_regular"),
        (Path.mkdir, "not_regular"),
        (sparse, "too_big"),
    ],
    ids=["link", "dangling", "to itself", "fifo", "socket", "folder", "sparse"],
)
def test_what_is_not_a_small_regular_file_is_refused_without_opening_it(
    rooms: Rooms, new_inbox: NewInbox, make: Callable[[Path], None], kind: str
) -> None:
    make(rooms.inbox / "a.json")
    assert verdict(new_inbox()) == kind


@pytest.mark.attack("a device is dropped into the inbox")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make device nodes")
def test_a_device_is_refused(rooms: Rooms, new_inbox: NewInbox) -> None:
    os.mknod(rooms.inbox / "a.json", 0o600 | 0o020000, os.makedev(1, 5))
    assert verdict(new_inbox()) == "not_regular"


@pytest.mark.attack("a hard link to somebody's file is dropped into the inbox")
def test_a_hard_link_waits_for_its_other_name_to_go_and_is_then_refused_unread(
    rooms: Rooms, new_inbox: NewInbox, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(GOOD)
    os.link(tmp_path / "secret", rooms.inbox / "a.json")
    assert verdict(new_inbox(Patience(quiet_s=HOUR_S))) == "FRESH"
    until_it_is(new_inbox(IMPATIENT), "hard_link")
    (tmp_path / "secret").unlink()
    assert verdict(new_inbox()) == "take"


@contextmanager
def as_nobody(rooms: Rooms) -> Iterator[None]:
    """For the length of the block this process is neither root nor who dropped the files."""
    for folder in (rooms.folder, *rooms.folder.parents):
        if folder == rooms.folder.parent or folder.name.startswith("pytest"):
            folder.chmod(0o755)
    rooms.inbox.chmod(0o777)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")


@pytest.mark.attack("a file that the runner may not read is dropped into the inbox")
@needs_root
def test_one_that_the_runner_may_not_read_waits_and_is_then_refused(
    rooms: Rooms, new_inbox: NewInbox
) -> None:
    path = rooms.inbox / "a.json"
    path.write_bytes(GOOD)
    path.chmod(0)
    with as_nobody(rooms):
        assert verdict(new_inbox()) == "PERMISSION"
        assert verdict(new_inbox(Patience(incomplete_s=0))) == "no_permission"


@needs_root
def test_where_the_kernel_will_not_tell_who_writes_a_file_has_to_be_quiet_for_a_while(
    rooms: Rooms, new_inbox: NewInbox
) -> None:
    path = rooms.inbox / "a.json"
    path.write_bytes(GOOD)
    path.chmod(0o644)
    with as_nobody(rooms):
        assert verdict(new_inbox(Patience(quiet_s=HOUR_S))) == "FRESH"
        assert verdict(new_inbox(Patience(quiet_s=0))) == "take"


def test_what_was_read_is_not_read_again_until_it_changes(
    rooms: Rooms, new_inbox: NewInbox
) -> None:
    path, inbox = rooms.inbox / "a.json", new_inbox()
    path.write_text(json.dumps(asked(backend="emis")))
    first = only(inbox)
    assert only(inbox) is first
    path.write_bytes(GOOD)
    assert verdict(inbox) == "take"


def test_what_could_not_be_moved_is_let_be_until_it_changes(
    rooms: Rooms, new_inbox: NewInbox
) -> None:
    path, inbox = rooms.inbox / "a.json", new_inbox()
    path.write_bytes(GOOD)
    assert inbox.stuck(only(inbox)).wait is Why.STUCK
    assert verdict(inbox) == "STUCK"
    path.chmod(0o640)
    assert verdict(inbox) == "take"
