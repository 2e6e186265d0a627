"""Turns, minute by minute: a real house whose jobs are never begun, and a clock that we turn."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spoolrunner import config, plan
from spoolrunner.cli import build
from spoolrunner.request import Code, Job, Phase, Request, Status, WorkspaceRef
from spoolrunner.runner import turns
from spoolrunner.runner.house import House
from spoolrunner.runner.line import Line
from spoolrunner.runner.turns import Turns
from spoolrunner.runner.waiting import Waiting
from spoolrunner.spool import flags
from spoolrunner.spool import rooms as spool_rooms
from tests.site import Site

WEIGHTS = r"""
[busy]
heavy.* = 2
[default]
stata-mp:.* = 2
(python|sqlrunner):v2 half = 0.5
(python|sqlrunner):v2 two = 2
(python|sqlrunner):v2 nothing = 0
"""


class Hours:
    """A service whose jobs end when the test says so. Minutes pass when the test says so."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.waiting = Waiting()
        self.turns = Turns(house, self.waiting)
        self.lines: dict[str, Line] = {}
        self.now_s = 1_000.0
        self._sequence = 0

    def add(self, action: str, workspace: str, command: str = "python:v2 x") -> Job:
        """A job that waits for nothing but its turn, of a request of its own."""
        self._sequence += 2
        request = Request(
            identifier=f"r{self._sequence}",
            sequence=self._sequence,
            backend="expectations",
            workspace=WorkspaceRef(name=workspace, repo="/study", branch="main"),
            requested_actions=[action],
            created_at="",
            expanded=True,
        )
        job = Job(
            identifier=f"job-{action}",
            sequence=self._sequence + 1,
            action=action,
            run_command=command,
            requires_db=command.startswith("sqlrunner"),
        )
        request.jobs = [job]
        self.house.book.add(request)
        self.waiting.add(request, job, {})
        return job

    def minute(self, *ended: str) -> list[str]:
        """A minute later these have ended; the actions that start then."""
        self.now_s += 60
        for action in ended:
            line = self.lines.pop(action)
            line.job.phase, line.job.status = Phase.ENDED, Status.SUCCEEDED
        started = self.turns.take(flags.flags(self.house.rooms), self.lines.values())
        for request, job in started:
            self.waiting.started(request, job)
            job.phase, job.status = Phase.STARTED, Status.RUNNING
            self.lines[job.action] = Line(self.house, request, job, print, print)
        return [job.action for _, job in started]


@pytest.fixture
def hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Hours]:
    def make(**settings: str) -> Hours:
        weights = tmp_path / "weights.ini"
        weights.write_text(WEIGHTS)
        site = Site(tmp_path / "site", JOB_RESOURCE_WEIGHTS=str(weights), **settings)
        loaded = config.load(site.environment(), [Path("/dev/null")])
        made = Hours(build.house(loaded, spool_rooms.open_spool(site.spool)))
        monkeypatch.setattr(turns.time, "monotonic", lambda: made.now_s)
        return made

    return make


def test_a_heavy_job_beside_an_endless_stream_of_small_ones_starts_at_last(
    hours: Callable[..., Hours],
) -> None:
    day = hours(MAX_WORKERS="2")
    day.add("small0", "busy")
    day.minute()
    heavy = day.add("heavy", "busy")
    for number in range(1, 11):
        day.add(f"small{number}", "stream")
        assert day.minute(*([f"small{number - 2}"] if number > 1 else [])) == [f"small{number}"]
    assert heavy.status_code is Code.WAITING_ON_WORKERS
    assert heavy.status_message == "Waiting on available workers: it counts for 2."
    # ten minutes after it was first for the first time nobody passes it any more
    day.add("small11", "stream")
    assert day.minute("small9") == []
    assert day.minute("small10") == ["heavy"]
    assert day.minute("heavy") == ["small11"]


def test_who_is_passed_by_counts_on_although_others_come_before_it_for_a_while(
    hours: Callable[..., Hours],
) -> None:
    """Each new workspace has fewer running than its own, and is first while all are busy."""
    day = hours(MAX_WORKERS="2")
    day.add("small0", "busy")
    day.add("other0", "w0")
    assert day.minute() == ["small0", "other0"]
    day.add("heavy", "busy")
    for number in range(1, 30):
        # one worker is free, the heavy one is first and is passed by
        day.add(f"small{number}", "busy")
        if not day.minute(f"small{number - 1}"):
            break
        # all are busy, and one of a new workspace is first
        day.add(f"other{number}", f"w{number}")
        assert day.minute() == []
        if not day.minute(f"other{number - 1}"):
            break
    assert number == 4  # three minutes each
    (left,) = day.lines
    assert day.minute(left) == ["heavy"]


def test_being_first_is_not_remembered_of_one_that_nobody_passed(
    hours: Callable[..., Hours],
) -> None:
    day = hours(MAX_WORKERS="1")
    day.add("long", "busy")
    day.minute()
    day.add("next", "busy")
    for _ in range(8):
        day.minute()
    day.add("other", "idle")  # its workspace has fewer running
    for _ in range(8):
        day.minute()
    assert day.minute("long") == ["next"]  # none runs in either now, and it is older


def test_newcomers_while_all_are_busy_do_not_set_its_clock_back(
    hours: Callable[..., Hours],
) -> None:
    day = hours(MAX_WORKERS="2")
    day.add("a", "w1")
    day.add("b", "w2")
    day.minute()
    day.add("heavy", "busy")
    for number in range(10):
        day.minute()
        day.add(f"new{number}", "w1")
    day.minute()
    assert day.minute("a") == []  # ten minutes have passed: the worker is kept
    assert day.minute("b") == ["heavy"]


def test_a_weight_by_command_counts_and_a_database_job_counts_twice(
    hours: Callable[..., Hours],
) -> None:
    day = hours(MAX_WORKERS="4", MAX_DB_WORKERS="1")
    day.add("stata", "w1", "stata-mp:latest a.do")
    day.add("records", "w2", "sqlrunner:v1 a.sql")
    waits = day.add("more_records", "w3", "sqlrunner:v1 b.sql")
    day.add("small", "w4")
    over = day.add("over", "w5")
    assert day.minute() == ["stata", "records", "small"]
    assert waits.status_code is Code.WAITING_ON_DB_WORKERS
    assert over.status_code is Code.WAITING_ON_WORKERS
    assert day.minute("records") == ["more_records"]


def test_a_job_that_is_held_keeps_nobody_back_however_long_it_has_waited(
    hours: Callable[..., Hours],
) -> None:
    day = hours(MAX_WORKERS="2")
    day.add("small", "w1")
    day.minute()
    heavy = day.add("heavy", "busy")
    for _ in range(12):
        day.minute()
    day.add("other", "w2")
    assert day.minute() == []
    day.house.hold(heavy, for_s=3600)  # an image is missing
    assert day.minute() == ["other"]


def test_what_became_too_heavy_ends_with_what_the_operator_must_set(
    hours: Callable[..., Hours],
) -> None:
    day = hours(MAX_WORKERS="1")
    heavy = day.add("heavy", "busy")
    day.add("small", "busy")
    assert day.minute() == ["small"]
    assert (heavy.status, heavy.status_code) == (Status.FAILED, Code.JOB_ERROR)
    assert "counts for 2 workers on this server, which has 1" in heavy.status_message
    assert "operator to raise MAX_WORKERS" in heavy.status_message


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    folder = tmp_path_factory.mktemp("turns")
    (folder / "weights.ini").write_text(WEIGHTS)
    own = {"JOB_RESOURCE_WEIGHTS": str(folder / "weights.ini"), "MAX_WORKERS": "3"}
    site = Site(folder / "site", MAX_DB_WORKERS="2", **own)
    loaded = config.load(site.environment(), [Path("/dev/null")])
    return build.house(loaded, spool_rooms.open_spool(site.spool))


commands = st.builds(
    "{}:v2 {}".format,
    st.sampled_from(["python", "sqlrunner"]),
    st.sampled_from(["one", "one", "one", "half", "two", "nothing"]),
)
jobs = st.lists(st.tuples(st.sampled_from("aab"), commands), min_size=8, max_size=30)


RECORDS, OTHER = ("a", "sqlrunner:v2 one"), ("a", "python:v2 one")


@settings(max_examples=100, deadline=None)
@example([RECORDS] * 4 + [OTHER], [0], 0)
@given(jobs, st.lists(st.integers(0, 29), max_size=12), st.integers(0, 3))
def test_who_is_not_looked_at_would_not_have_started(
    house: House, waiting: list[tuple[str, str]], ending: list[int], already: int
) -> None:
    """Round by round the same jobs start as if every job were a candidate each time."""
    day = Hours(house)
    added = [day.add(f"{number}", *job) for number, job in enumerate(waiting)]
    for turn in [already, *ending]:
        ready = [day.turns._candidate(*pair) for pair in day.waiting.ready.values()]
        executing = [day.turns._candidate(one.request, one.job) for one in day.lines.values()]
        load = plan.load_of(executing)
        if load.weight < 3:
            wanted = plan.choose(ready, load, max_workers=3, max_db_workers=2)
            started = [f"job-{action}" for action in day.minute()]
            assert started == list(wanted.start)
        if str(turn) in day.lines:
            day.minute(str(turn))
    told = {job.status_code for job in added if job.phase is Phase.WAITING}
    assert told <= {Code.WAITING_ON_WORKERS, Code.WAITING_ON_DB_WORKERS}
