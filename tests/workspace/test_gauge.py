"""A job's folder is counted as the disk has it: what others write is not its own."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from spoolrunner.workspace import Gauge
from spoolrunner.workspace.gauge import LONGEST_REST_S, taken_bytes

MB = 1 << 20


def grow(folder: Path, name: str, size_bytes: int) -> None:
    with (folder / name).open("wb") as file:
        file.write(os.urandom(size_bytes))
        os.fsync(file.fileno())


def test_a_folder_is_over_when_it_takes_more_than_it_may(tmp_path: Path) -> None:
    gauge = Gauge(tmp_path, 8 * MB)
    assert not gauge.is_over()
    grow(tmp_path, "a", 5 * MB)
    assert not gauge.is_over()
    grow(tmp_path, "b", 5 * MB)
    deadline_s = time.monotonic() + LONGEST_REST_S  # between two counts it rests
    while not gauge.is_over():
        assert time.monotonic() < deadline_s


def test_without_a_limit_nothing_is_over(tmp_path: Path) -> None:
    grow(tmp_path, "a", MB)
    assert not Gauge(tmp_path, 0).is_over()


def test_what_others_write_is_not_the_jobs(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    gauge = Gauge(mine, 4 * MB)
    assert not gauge.is_over()
    grow(tmp_path, "theirs", 10 * MB)
    assert not gauge.is_over()


@pytest.mark.parametrize(
    ("make", "least", "most"),
    [
        ("truncate -s 1T sparse", 0, MB),
        ("head -c 2M /dev/urandom > a; ln a b; ln a c", 2 * MB, 3 * MB),
        ("ln -s / everything; mkfifo pipe; printf x > 'a\nb'", 0, MB),
        (
            "for i in $(seq 2000); do mkdir d && cd -P d; done; head -c 3M /dev/urandom > x",
            3 * MB,
            32 * MB,
        ),
    ],
    ids=["sparse", "hard links", "odd names", "two thousand deep"],
)
def test_what_a_job_may_leave_counts_as_what_it_takes(
    tmp_path: Path, make: str, least: int, most: int
) -> None:
    subprocess.run(["sh", "-c", make], cwd=tmp_path, check=True)
    taken = taken_bytes(tmp_path)
    subprocess.run(["rm", "-rf", tmp_path], check=True)
    assert taken is not None
    assert least <= taken <= most
