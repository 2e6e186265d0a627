"""What `status --watch` shows fits into every screen, and what matters most stays longest."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from spoolrunner.report.fitted import fitted
from spoolrunner.report.load import Load
from spoolrunner.report.overview import Counts, Disk, Flags, Overview, Runner
from spoolrunner.report.watched import Watched, brief, watched_sheet
from spoolrunner.spool.board import ActiveJob
from spoolrunner.spool.recent import Ended

SCREENS = [(40, 24), (60, 24), (80, 24), (120, 24), (200, 50)]

WELL = Flags(paused=False, reboot=False, db_maintenance=False, db_maintenance_by="", db_drain=False)


def minute_ago() -> str:
    return (datetime.now(UTC) - timedelta(seconds=60)).isoformat()


def job(number: int, status: str = "running") -> ActiveJob:
    return ActiveJob(
        identifier=f"job{number}",
        job_request_id="k3j2h4g5f6d7s8a9",
        workspace="covid-vaccine-effectiveness",
        action=f"model_effectiveness_by_age_{number}",
        status=status,
        status_code="executing",
        status_message="Running." if status == "running" else f"Waits for the {number}th reason.",
        attempt=1,
        executor="docker",
        created_at=minute_ago(),
        updated_at=minute_ago(),
        started_at=minute_ago() if status == "running" else None,
    )


def overview(*jobs: ActiveJob, recent: int = 3) -> Overview:
    ended = Ended(
        identifier="r1",
        workspace="w",
        status="failed",
        message="Failed. " * 20,
        jobs=3,
        failed=1,
        completed_at=minute_ago(),
    )
    return Overview(
        spool="/srv/spool",
        backend="tpp",
        runner=Runner(alive=True, drained_at=""),
        flags=WELL,
        counts=Counts(inbox=0, pending=0, running=len(jobs), rejected=0, outbox=0),
        free_bytes=10**12,
        disks=[Disk(name="spool", path="/", free_bytes=10**12, total_bytes=2 * 10**12)],
        storage_trouble="",
        jobs=list(jobs),
        recent=[ended] * recent,
        left_in_inbox=[],
        last_rejected=[],
        reports_trouble="",
        reports_fact="",
        reports_refused=[],
    )


KNOWN = Watched(
    loads={"job0": Load(cpus=1.93, memory_bytes=2 * 10**9), "job1": Load(None, 10**6)},
    disk_bytes={"job0": 14 * 10**9},
    expected_s={"job0": 240.0, "job1": 30.0},
)


def shown(now: Overview, width: int, height: int) -> list[str]:
    return [line.plain for line in fitted(watched_sheet(now, KNOWN), width, height)]


@pytest.mark.parametrize("number", [0, 3, 40])
@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_nothing_is_wider_or_longer_than_the_screen(width: int, height: int, number: int) -> None:
    jobs = [job(one) for one in range(number)]
    lines = shown(overview(*jobs, *[job(99, "pending")] * (number > 0)), width, height)
    assert max(map(len, lines)) <= width
    assert len(lines) <= height
    assert lines[0].startswith("spool      /srv/spool")
    running = [line for line in lines if line.startswith("model_effect")]
    hidden = [int(line.split()[1]) for line in lines if line.startswith("and ")]
    assert len(running) + sum(hidden[:1]) == number
    assert bool(hidden) == (number == 40)
    assert any(line.startswith("pending") for line in lines) == (number > 0)


def test_a_wide_screen_tells_all_of_a_job_in_one_line() -> None:
    first, second, third = (
        line for line in shown(overview(*map(job, range(3))), 200, 50) if "model" in line
    )
    assert re.search(r"  1:0\d min  ━━────── 2:5\d min left  1.9   2.0 GB  14.0 GB  covid", first)
    assert re.search(r"━━━━━━━━ \d\d s over \s+ - \s+ 1.0 MB ", second)
    assert third.split()[3:7] == ["-"] * 4, "of what nothing is known nothing is told"


def test_what_does_not_fit_beside_stands_below_with_its_name() -> None:
    lines = shown(overview(job(0)), 80, 24)
    (at,) = (number for number, line in enumerate(lines) if line.startswith("model"))
    assert "disk 14.0 GB" in lines[at] + lines[at + 1]
    assert "workspace covid-vaccine-effectiveness" in lines[at + 1]


def test_what_ended_goes_before_what_runs() -> None:
    lines = shown(overview(*map(job, range(12)), recent=8), 120, 24)
    running = sum(line.startswith("model") for line in lines)
    ended = sum(line.startswith("failed") for line in lines)
    assert running == 12
    assert 1 <= ended < 8


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.9, "59 s"), (125, "2:05 min"), (11045, "3:04 h"), (190000, "2 d 4 h")],
)
def test_times_are_short(seconds: float, words: str) -> None:
    assert brief(seconds) == words
