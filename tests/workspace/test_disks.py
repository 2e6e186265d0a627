"""On real filesystems: blocks are shared where they can be, and moves work across disks too."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from spoolrunner.request import Level
from spoolrunner.verdict import Cause
from spoolrunner.workspace import Published, Storage, Workspace
from tests.workspace.conftest import Line, line_below, need

HIGH, MODERATE, MINIMAL = Level
BIG = 40 << 20


def big(folder: Path) -> None:
    (folder / "big.bin").write_bytes(os.urandom(BIG))


def used(folder: Path) -> int:
    os.sync()
    about = os.statvfs(folder)
    return (about.f_blocks - about.f_bfree) * about.f_frsize


def test_a_big_input_takes_no_room_where_the_filesystem_shares_blocks(mounted, request):
    line = line_below(mounted)
    made, _ = line.run("make", {"big.bin": HIGH}, big)
    before = used(mounted)
    job = line.lay_out(line.made("read", {}), [need(made)])
    taken = used(mounted) - before
    copied = (job.workspace / "big.bin").read_bytes()
    assert copied == (line.high / "big.bin").read_bytes()
    if "ext4" in request.node.name:
        assert taken >= BIG
    else:
        assert taken < BIG / 4


def test_the_whole_line_works_on_this_filesystem(mounted):
    line = line_below(mounted)
    line.run("make", {"a.csv": MODERATE, "b.bin": HIGH}, {"a.csv": "n\n1\n", "b.bin": "1"})
    line.run("make", {"a.csv": MODERATE, "b.bin": HIGH}, {"a.csv": "n\n2\n"}, exit_code=1)
    assert (line.medium / "a.csv").read_text() == "n\n1\n"
    assert (line.medium / "metadata/make.failed/a.csv").read_text() == "n\n2\n"
    assert line.workspace.look("make") is Published.INTACT


def test_medium_privacy_and_job_folders_may_lie_on_other_disks(mounted, tmp_path):
    index_line = line_below(tmp_path)
    storage = Storage(**(vars(index_line.storage) | {"medium": mounted, "jobs": mounted / "jobs"}))
    storage.prepare()
    index_path = tmp_path / "ws.json"
    line = Line(storage, Workspace(storage, "ws", index_path), index_path)
    made, _ = line.run("make", {"a.csv": MODERATE, "b": HIGH}, {"a.csv": "n\n1\n", "b": "1"})
    assert (line.high / "b").read_text() == "1"
    assert (line.medium / "a.csv").read_text() == "n\n1\n"
    line.run("read", {}, {}, needs=[need(made)])


def test_holes_stay_holes_in_inputs(line):
    def sparse(folder: Path) -> None:
        with (folder / "sparse.bin").open("wb") as file:
            file.truncate(256 << 20)
            file.seek(100 << 20)
            file.write(b"data")

    made, _ = line.run("make", {"sparse.bin": HIGH}, sparse)
    job = line.lay_out(line.made("read", {}), [need(made)])
    about = (job.workspace / "sparse.bin").stat()
    assert about.st_size == 256 << 20
    assert about.st_blocks * 512 < 1 << 20
    with (job.workspace / "sparse.bin").open("rb") as file:
        file.seek(100 << 20)
        assert file.read(4) == b"data"
    shutil.rmtree(job.home)


def test_jobs_that_end_together_are_all_entered(line):
    """Twenty-four jobs of one workspace, published from six threads."""
    jobs = []
    for number in range(24):
        made = line.made(f"make_{number}", {f"out/{number}.csv": MODERATE})
        job = line.lay_out(made)
        line.work(job, {f"out/{number}.csv": f"n\n{number}\n"})
        jobs.append((job, made, line.outcome(line.collect(job, made))))
    failures: list[BaseException] = []

    def publish(some: list[tuple]) -> None:
        try:
            for job, made, outcome in some:
                line.workspace.publish(job, made, outcome)
                line.workspace.finish(made.action, made.job)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    threads = [threading.Thread(target=publish, args=(jobs[n::6],)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failures == []
    assert set(line.workspace.index().actions) == {f"make_{n}" for n in range(24)}
    manifest = (line.high / "metadata/manifest.json").read_text()
    assert all(f'"out/{number}.csv"' in manifest for number in range(24))
    assert all((line.medium / f"out/{number}.csv").exists() for number in range(24))


@pytest.mark.parametrize("cause", [Cause.MEMORY, Cause.TIME, Cause.ADMIN])
def test_a_job_that_was_stopped_keeps_its_log_and_what_it_had_made(line, cause):
    line.run("make", {"a.csv": MODERATE}, {"a.csv": "n\n1\n"}, exit_code=137, cause=cause)
    assert (line.medium / "metadata/make.failed/a.csv").exists()
    assert not (line.medium / "a.csv").exists()
    assert "it ran" in (line.high / "metadata/make.log").read_text()


def test_a_folder_that_is_kept_stays_kept_when_that_is_done_again(line: Line) -> None:
    """A line that could not clear its container, because the engine was away, comes here again."""
    line.storage.lay_out("sr-1-a-1")
    (line.storage.jobs / "sr-1-a-1.part").rename(line.storage.jobs / "sr-1-a-1")
    line.storage.keep("sr-1-a-1")
    line.storage.keep("sr-1-a-1")
    assert (line.storage.kept / "sr-1-a-1/workspace").is_dir()
