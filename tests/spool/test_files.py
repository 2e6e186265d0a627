"""The few ways we change a disk, each on a real one and beside real other processes."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spoolrunner import files
from spoolrunner.lock import Lock, is_locked


def test_a_move_never_replaces(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    with pytest.raises(FileExistsError), files.Changes() as disk:
        disk.move(tmp_path / "a", tmp_path / "b")
    assert ((tmp_path / "a").read_text(), (tmp_path / "b").read_text()) == ("a", "b")


def test_a_move_does_not_replace_a_dangling_link_either(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").symlink_to("nowhere")
    with pytest.raises(FileExistsError), files.Changes() as disk:
        disk.move(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("how", ["move", "replace"])
def test_one_file_under_both_names_counts_as_moved(tmp_path: Path, how: str) -> None:
    (tmp_path / "a").write_text("a")
    os.link(tmp_path / "a", tmp_path / "b")
    with files.Changes() as disk:
        getattr(disk, how)(tmp_path / "a", tmp_path / "b")
    assert not (tmp_path / "a").exists()
    assert (tmp_path / "b").read_text() == "a"


def test_a_draft_that_a_crash_left_is_overwritten_even_if_it_is_a_link(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    (tmp_path / "victim").write_text("untouched")
    files.draft_of(path).symlink_to(tmp_path / "victim")
    with files.Changes() as disk:
        disk.write(path, b"new")
    assert path.read_bytes() == b"new"
    assert (tmp_path / "victim").read_text() == "untouched"
    assert not files.draft_of(path).is_symlink()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_a_file_has_the_mode_it_was_given_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with files.Changes() as disk:
            disk.write(tmp_path / "a", b"", 0o644)
        files.make_folder(tmp_path / "folder" / "in", 0o750)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "folder" / "in").stat().st_mode) == 0o750


def test_a_name_of_255_bytes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    with files.Changes() as disk:
        disk.write(path, b"a")
    assert path.read_bytes() == b"a"


def test_what_is_removed_twice_is_gone(tmp_path: Path) -> None:
    with files.Changes() as disk:
        disk.remove(tmp_path / "a")


def test_a_fifo_is_refused_and_nothing_waits_for_its_other_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    with pytest.raises(OSError, match="not a regular file"):
        files.read_regular(tmp_path / "a", 10)


def test_a_link_is_not_read_through(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic"):
        files.read_regular(tmp_path / "a", 10)


def test_of_a_file_that_grows_no_more_is_read_than_tells_that_it_is_too_big(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    assert files.read_regular(tmp_path / "a", 10)[0] == b"x" * 11


@contextmanager
def another(program: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that says a line when it is ready."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


WRITER = """
import sys
held = open(sys.argv[1], "ab")
print("ready", flush=True)
sys.stdin.readline()
held.close()
print("closed", flush=True)
sys.stdin.readline()
"""


def test_another_process_that_writes_is_seen_until_it_closes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with another(WRITER, str(path)) as writer:
        assert files.being_written(path) is True
        assert writer.stdin
        assert writer.stdout
        print(file=writer.stdin, flush=True)
        assert writer.stdout.readline() == "closed\n"
        assert files.being_written(path) is False


OPENER = """
import os, sys
print("ready", flush=True)
while True:
    os.close(os.open(sys.argv[1], os.O_WRONLY))
"""


def test_a_writer_that_comes_while_we_look_neither_kills_us_nor_has_to_wait(tmp_path: Path) -> None:
    """The kernel tells a lease's holder by a signal, whose default is to end the process."""
    path = tmp_path / "a"
    path.touch()
    with another(OPENER, str(path)):
        looker = (
            "import sys, time; from pathlib import Path; from spoolrunner import files\n"
            "end = time.monotonic() + 2\n"
            "while time.monotonic() < end: files.being_written(Path(sys.argv[1]))\n"
        )
        done = subprocess.run([sys.executable, "-c", looker, str(path)], timeout=30, check=False)
    assert done.returncode == 0


HOLDER = """
import sys
from pathlib import Path
from spoolrunner.lock import Lock
lock = Lock(Path(sys.argv[1]))
assert lock.take()
print("ready", flush=True)
sys.stdin.readline()
"""


def test_a_lock_is_one_processs_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    mine = Lock(path)
    with another(HOLDER, str(path)) as holder:
        assert not mine.take()
        assert is_locked(path)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert mine.take(timeout_s=5)
    mine.release()
    assert path.exists()


def test_looking_at_a_lock_does_not_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = Lock(path)
    assert lock.take()
    lock.release()
    assert is_locked(path) is False
    assert lock.take()
    lock.release()


def test_a_drop_into_a_folder_we_may_not_list_is_whole(tmp_path: Path) -> None:
    tmp_path.chmod(0o1733)
    files.drop(tmp_path / "a.json", b"{}")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
