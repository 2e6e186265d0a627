"""Killed at any call that changes a disk, and walked again: the same as without."""

import hashlib
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spoolrunner import files, manifest, notebook
from spoolrunner.index import ActionState, Run
from spoolrunner.manifest import Entry, Manifest
from spoolrunner.record import builtins, to_json
from spoolrunner.request import Level, Status
from spoolrunner.workspace import Published, unfinished
from tests.workspace.conftest import Line, line_below, tree

HIGH, MODERATE, MINIMAL = Level
# The interpreter tells an audit hook of these just before they happen, and of `open`.
CHANGES = {"rename", "remove", "rmdir", "mkdir", "link", "chmod", "chown", "truncate"}
OTHERS = 200  # actions: what is known of them is more than is written whole each time
PATTERNS = {"out/*.csv": MODERATE, "high.bin": HIGH, "linked": HIGH}


def first(line: Line) -> None:
    made = {"out/a.csv": "n\n1\n", "out/b.csv": "patient_id\n1\n", "out/gone.csv": "n\n1\n"}
    line.run("make", PATTERNS, made | {"high.bin": "1", "linked": "1"})
    line.run("make", PATTERNS, {"out/a.csv": "failed", "out/deep": "x"}, exit_code=1)


def second(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out/a.csv").write_text("patient_id\n2\n")  # shown before, kept back now
    (folder / "out/b.csv").write_text("n\n2\n")  # the other way round
    (folder / "out/new.csv").write_text("n\n2\n")
    (folder / "high.bin").write_text("2")
    os.link(folder / "high.bin", folder / "linked")
    for path in folder.rglob("*"):
        os.utime(path, (1e9, 1e9))


def walk(line: Line, exit_code: int) -> Callable[[], None]:
    """Up to the point where the outcome is on disk; returns the rest, which may be repeated."""
    made = line.made("make", PATTERNS)
    job = line.lay_out(made)
    line.work(job, second)
    outcome = line.outcome(line.collect(job, made), exit_code)

    def rest() -> None:
        saved = line.storage.high.parent / "saved"  # stands for the request file
        if not saved.exists():
            line.workspace.publish(job, made, outcome)
            saved.touch()
        line.workspace.finish("make", made.job)
        line.storage.clear(made.job)
        line.workspace.fold()

    return rest


def killed_at(point: int, work: Callable[[], None]) -> bool:
    """Do work in a child that is killed just before its n-th change. True if it was."""
    child = os.fork()
    if child == 0:
        seen = 0

        def hook(event: str, args: tuple[object, ...]) -> None:
            nonlocal seen
            creates = event == "open" and isinstance(args[2], int) and args[2] & os.O_CREAT
            if event.removeprefix("os.") in CHANGES or creates:
                seen += 1
                if seen == point:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            work()
        finally:
            os._exit(1 if sys.exc_info()[0] else 0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


def state(line: Line) -> dict[str, object]:
    """Everything that outlives the job, but for inodes and times."""
    index = builtins(line.workspace.index())
    for action in index["actions"].values():
        for mark in action["outputs"].values():
            del mark["inode"], mark["ctime_ns"]
    bases = {"high": line.storage.high, "medium": line.storage.medium}
    found = {name: {p: timeless(t) for p, t in tree(root).items()} for name, root in bases.items()}
    return {"index": index} | found


def timeless(text: str) -> str:
    return re.sub(r'"timestamp": [0-9.e]+', "", text)


@pytest.fixture
def base() -> Iterator[Path]:
    """In memory where there is such a place: hundreds of set-ups, and no power is cut here."""
    shm = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=shm if os.access(shm, os.W_OK) else None))
    yield folder
    shutil.rmtree(folder)


def scene(base: Path, others: int) -> Line:
    """others: actions of the workspace that ran long ago."""
    line = line_below(base)
    if others:
        fill(line, [f"other_{number}" for number in range(others)])
    first(line)
    return line


def fill(line: Line, actions: list[str]) -> None:
    run = Run(
        request="r", job="j", sequence=0, status=Status.FAILED, sha="c" * 300, completed_at=""
    )
    index = line.workspace.index()
    index.actions |= {action: ActionState(newest=run) for action in actions}
    old = {
        action: Entry(level=MODERATE, action=action, out_of_date_output=True, repo="r" * 200)
        for action in actions
    }
    (line.high / "metadata").mkdir(parents=True)
    with files.Changes() as disk:
        disk.write(line.index_path, to_json(index))
        disk.write(
            line.high / "metadata/manifest.json", to_json(Manifest(workspace="ws", outputs=old))
        )


@pytest.mark.parametrize(("exit_code", "others"), [(0, 0), (1, 0), (0, OTHERS)])
def test_killed_at_any_change_and_walked_again_the_result_is_the_same(
    base, exit_code, others, record_property
):
    whole = scene(base / "whole", others)
    assert whole.workspace.lags == bool(others)
    walk(whole, exit_code)()
    expected = state(whole)
    point = 0
    interrupted = True
    while interrupted:
        point += 1
        line = scene(base / str(point), others)
        rest = walk(line, exit_code)
        interrupted = killed_at(point, rest)
        again = line_below(base / str(point))  # a fresh runner
        if not unfinished(again.storage):
            assert_published_is_what_the_manifest_says(again)
        if interrupted:
            rest()
        assert state(again) == expected, f"point {point}"
        assert_published_is_what_the_manifest_says(again)
        shutil.rmtree(base / str(point))
    record_property("crash_points", point - 1)
    assert point > 40


def assert_published_is_what_the_manifest_says(line: Line) -> None:
    assert line.workspace.look("make") is Published.INTACT
    found = notebook.read(line.high / "metadata/manifest.json")
    entries = manifest.read(found.whole, found.notes, "manifest").outputs
    current = {
        path: entry.content_hash for path, entry in entries.items() if not entry.out_of_date_output
    }
    assert current == {
        path: hashlib.sha256((line.high / path).read_bytes()).hexdigest() for path in current
    }
    released = {path for path in current if entries[path].released}
    assert set(tree(line.medium)) >= released
    outputs = line.workspace.index().actions["make"].outputs
    assert {path: mark.sha256 for path, mark in outputs.items()} == current
