"""What a job used, as the kernel tells it in the moment of its end."""

from pathlib import Path
from typing import Any

import pytest

from spoolrunner.executor import Launch, Limits, Used, accounts
from spoolrunner.executor.accounts import Accounts
from tests.executor.conftest import House

WRITTEN_BYTES = 24 << 20
BRIEF = "x=0; while [ $x -lt 200000 ]; do x=$((x+1)); done; "
BRIEF += "dd if=/dev/zero of=big bs=1M count=24 conv=fsync 2>/dev/null"
LIMITS = Limits(memory_bytes=1 << 30)
MOST_TRIES = 10


def counted(house: House, script: str, **changes: Any) -> tuple[Launch, Used]:
    """A job that has ended, and its figures. On a busy machine the engine may take a container's
    group away before anybody has read it; then they are not known, and another job is asked."""
    for number in range(1, MOST_TRIES + 1):
        launch = house.launch("sh", "-c", script, number=number, **changes)
        house.executor.start(launch)
        house.executor.look(launch.name)  # as whoever starts one does
        used = house.end_of(launch).used
        if house.kind != "docker" or used.cpu_s is not None:
            return launch, used
    raise AssertionError(f"the figures of none of {MOST_TRIES} jobs are known")


def test_a_job_of_a_moment_has_its_figures_and_keeps_them(house: House) -> None:
    launch, used = counted(house, BRIEF, limits=LIMITS)
    assert used.cpu_s is not None
    assert 0.02 < used.cpu_s < 30
    assert used.memory_peak_bytes is not None
    assert 1 << 18 < used.memory_peak_bytes <= LIMITS.memory_bytes
    if house.kind != "docker":  # there version 1 of control groups does not count it
        assert used.written_bytes is not None
        assert WRITTEN_BYTES <= used.written_bytes < 2 * WRITTEN_BYTES
    assert house.end_of(launch).used == used


COUNT = "sh -c 'x=0; while [ $x -lt 200000 ]; do x=$((x+1)); done; touch done; DAEMON'"


def test_children_count(house: House) -> None:
    _, used = counted(house, COUNT.replace("DAEMON", "true"))
    assert used.cpu_s is not None
    assert used.cpu_s > 0.05


def test_what_a_daemon_did_until_it_was_ended_counts_unless_it_ends_with_its_sandbox(
    house: House,
) -> None:
    """There the kernel ends it, and adds the time of such to nobody's: pid_namespaces(7)."""
    daemon = COUNT.replace("DAEMON", "sleep 60")
    _, used = counted(house, f"{daemon} & while [ ! -e done ]; do sleep 0.01; done")
    assert used.cpu_s is not None
    assert used.cpu_s > (0 if house.kind == "process" else 0.05)


def test_what_nobody_saw_end_is_not_known_and_a_strange_process_is_not_taken_for_it() -> None:
    accounts = Accounts()
    assert accounts.closed("sr-12345678-job-1") == Used()
    accounts.open("sr-12345678-job-1", "0123456789abcdef", 1)
    assert accounts.closed("sr-12345678-job-1") == Used()
    accounts.forget("sr-12345678-job-1")


def test_version_2_of_control_groups_tells_all(tmp_path: Path) -> None:
    """This machine has version 1 with a hybrid 2; so these are files of our own, as cgroups(7)."""
    (tmp_path / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1000000\n")
    (tmp_path / "memory.peak").write_text("123456\n")
    disks = "8:0 rbytes=100 wbytes=2000 rios=1 wios=2\n8:16 rbytes=1 wbytes=2 rios=1 wios=1\n"
    (tmp_path / "io.stat").write_text(disks)
    account = accounts._Account(-1, tmp_path, tmp_path / "none")
    used = accounts._counted(account)
    assert used == Used(cpu_s=1.5, memory_peak_bytes=123456, read_bytes=101, written_bytes=2002)
    (tmp_path / "io.stat").unlink()
    assert accounts._counted(account).written_bytes is None


def test_where_version_2_is_not_mounted_nothing_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cgroup").write_text("4:memory:/docker/0123456789abcdef\n")
    monkeypatch.setattr(accounts, "PROC", tmp_path)
    assert accounts._opened("0123456789abcdef", 7) is None
