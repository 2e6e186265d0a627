"""Notes beside a file: what was acknowledged is read, whenever one reads and wherever it broke."""

import json
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from spoolrunner import files, notebook
from spoolrunner.errors import BadMachine
from spoolrunner.notebook import Notebook, notes_of

LARGE = b'{"whole": 0, "filling": "' + b"x" * notebook.SMALL_BYTES + b'"}'


def written(path: Path, whole: bytes = LARGE) -> Notebook:
    book = Notebook(path)
    with files.Changes() as disk:
        book.write(disk, whole)
    return book


def noted(path: Path) -> list[object]:
    return [json.loads(line) for line in notebook.read(path).notes]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "r1.json"


def test_a_small_file_has_no_notes(path):
    assert not written(path, b"{}").note({"n": 1})
    assert not notes_of(path).exists()


def test_notes_are_read_with_the_file_they_follow(path):
    book = written(path)
    assert book.note({"n": 1})
    assert book.note({"n": 2})
    assert notebook.read(path).whole == LARGE
    assert noted(path) == [{"n": 1}, {"n": 2}]


def test_when_they_would_outweigh_the_file_it_is_written_whole_again(path):
    book, filling = written(path), "x" * 10_000
    while book.note({"n": filling}):
        pass
    assert len(LARGE) / 2 < notes_of(path).stat().st_size <= len(LARGE) + 200
    with files.Changes() as disk:
        book.write(disk, LARGE)
    assert not notes_of(path).exists()
    assert book.note({"n": filling})


def test_what_another_process_began_is_not_continued(path):
    written(path).note({"n": 1})
    book = Notebook(path)
    assert noted(path) == [{"n": 1}]
    book.seen()
    assert not book.note({"n": 2})


def test_notes_that_a_crash_left_beside_a_newer_file_are_void(path):
    written(path).note({"n": 1})
    newer = LARGE.replace(b'"whole": 0', b'"whole": 1')
    with files.Changes() as disk:
        disk.write(path, newer)  # as far as `write` came before it was killed
    assert notebook.read(path) == notebook.Written(newer, [])


def test_notes_are_never_taken_for_those_of_another_file_under_that_name(path):
    written(path).note({"n": 1})
    path.unlink()
    with files.Changes() as disk:
        disk.write(path, LARGE + b"\n")
    assert noted(path) == []


def test_a_file_that_comes_back_finds_its_notes(path, tmp_path):
    written(path).note({"n": 1})
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError):
        notebook.read(path)
    assert notebook.notes_on((tmp_path / "elsewhere").read_bytes(), notes_of(path)) != []


@pytest.mark.parametrize("torn", [b'{"n": 2', b'{"n": 2}', b'{"n"\0\0\0\0}\n'])
def test_a_torn_last_line_is_ignored(path, torn):
    written(path).note({"n": 1})
    with notes_of(path).open("ab") as file:
        file.write(torn)
    assert noted(path) == [{"n": 1}]


@pytest.mark.parametrize("torn", [b"{}\n", b"", b'{"follows"'])
def test_a_torn_heading_is_damage_and_is_said(path, torn):
    written(path).note({"n": 1})
    notes_of(path).write_bytes(torn)
    with pytest.raises(BadMachine):
        notebook.read(path)


@pytest.mark.parametrize("hand", ["edit", "append", "remove", "replace"])
def test_another_hand_in_it_means_that_the_file_is_written_whole(path, hand):
    book = written(path)
    assert book.note({"n": 1})
    if hand == "edit":
        path.write_bytes(LARGE + b" ")
    elif hand == "append":
        notes_of(path).open("ab").write(b"{}\n")
    elif hand == "remove":
        notes_of(path).unlink()
    else:
        notes_of(path).rename(path.parent / "aside")
        notes_of(path).write_bytes((path.parent / "aside").read_bytes())
    assert not book.note({"n": 2})


def test_after_an_append_that_fails_the_file_is_written_whole(path):
    """A real short write: the kernel's limit of a file's size, in the middle of a line."""
    book = written(path)
    assert book.note({"n": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (notes_of(path).stat().st_size + 100, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            book.note({"n": "x" * 1000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert noted(path) == [{"n": 1}]
    assert not book.note({"n": 3})


def test_a_flush_that_failed_after_it_was_written_is_not_built_upon(path):
    book = written(path)
    book.distrust()
    assert not book.note({"n": 1})


WRITER = """
    import sys
    from pathlib import Path
    from spoolrunner import files, notebook
    from spoolrunner.record import to_json

    path, changes = Path(sys.argv[1]), int(sys.argv[2])
    book, filling = notebook.Notebook(path), "x" * (notebook.SMALL_BYTES // 20)
    for number in range(changes):
        if not book.note({"n": number, "filling": filling}):
            with files.Changes() as disk:
                book.write(disk, to_json({"n": number, "filling": 20 * filling}))
        print(number, flush=True)
"""


def writer(path: Path, changes: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(path), str(changes)],
        stdout=subprocess.PIPE,
        text=True,
    )


def newest(path: Path) -> int:
    """The last change that a reader sees, all changes before it being there too."""
    found = notebook.read(path)
    numbers = [json.loads(text)["n"] for text in (found.whole, *found.notes)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return numbers[-1]


def test_whoever_reads_while_it_is_written_and_folded_misses_nothing(path):
    seen, folds = [-1], set()
    with writer(path, 600) as process:
        assert process.stdout.readline() == "0\n"
        while process.poll() is None:  # what it prints fits into the pipe
            seen.append(newest(path))
            folds.add(path.stat().st_mtime_ns)  # inodes are soon used again
    assert newest(path) == 599
    assert seen == sorted(seen)
    assert len(folds) > 1  # as many as a busy machine let us see


def test_killed_at_any_moment_all_that_was_acknowledged_is_read(path):
    for number in range(5):
        with writer(path, 1_000_000) as process:
            for _ in range(3 + 7 * number):
                acknowledged = int(process.stdout.readline())
            process.kill()
            rest = process.stdout.read().split()
        acknowledged = int(rest[-1]) if rest else acknowledged
        assert acknowledged <= newest(path) <= acknowledged + 1
