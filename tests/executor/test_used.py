"""What a job used, as the kernel tells it in the moment of its end."""

from typing import Any

from spoolrunner.executor import Launch, Limits, Used
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


def test_children_count_and_so_does_what_a_daemon_did_until_it_was_ended(house: House) -> None:
    count = "sh -c 'x=0; while [ $x -lt 200000 ]; do x=$((x+1)); done; touch done; sleep 60'"
    script = f"{count} & while [ ! -e done ]; do sleep 0.01; done"
    _, used = counted(house, script)
    assert used.cpu_s is not None
    assert used.cpu_s > 0.05


def test_what_nobody_saw_end_is_not_known_and_a_strange_process_is_not_taken_for_it() -> None:
    accounts = Accounts()
    assert accounts.closed("sr-12345678-job-1") == Used()
    accounts.open("sr-12345678-job-1", "0123456789abcdef", 1)
    assert accounts.closed("sr-12345678-job-1") == Used()
    accounts.forget("sr-12345678-job-1")
