"""Who starts next: limits, fair shares, and nobody passed over for ever."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoolrunner.plan import Candidate, Choice, Load, Reader, blocked_by_readers, choose, load_of
from spoolrunner.plan.order import PATIENCE_S
from spoolrunner.request import Code


def a_job(
    number: int, workspace: str = "w", *, db: bool = False, weight: float = 1, first_s: float = 0
) -> Candidate:
    return Candidate(f"j{number}", workspace, number, db, weight, first_s)


def chosen(
    candidates: Sequence[Candidate], load: Load | None = None, workers: int = 4, db: int = 4
) -> Choice:
    return choose(candidates, load or Load(), max_workers=workers, max_db_workers=db)


def test_the_oldest_of_a_workspace_starts_first() -> None:
    assert chosen([a_job(3), a_job(1), a_job(2)], workers=2).start == ("j1", "j2")


def test_a_large_request_does_not_hog_the_workers() -> None:
    large = [a_job(n, "large") for n in range(100)]
    small = [a_job(100 + n, "small") for n in range(2)]
    assert chosen(large + small).start == ("j0", "j100", "j1", "j101")


def test_the_workspace_with_the_fewest_running_goes_first_although_its_job_is_younger() -> None:
    load = Load(weight=3, workspaces={"busy": 3})
    assert chosen([a_job(1, "busy"), a_job(2, "idle")], load).start == ("j2",)


def test_a_database_job_counts_in_both_limits() -> None:
    jobs = [a_job(1, db=True), a_job(2, db=True), a_job(3), a_job(4)]
    found = chosen(jobs, workers=2, db=1)
    assert found.start == ("j1", "j3")
    assert found.wait == {"j2": Code.WAITING_ON_DB_WORKERS, "j4": Code.WAITING_ON_WORKERS}


def test_a_job_that_does_not_fit_is_overtaken_by_one_that_does() -> None:
    found = chosen([a_job(1, weight=3), a_job(2)], Load(weight=2))
    assert found.start == ("j2",)
    assert found.first == {Code.WAITING_ON_WORKERS: "j1"}


def test_after_ten_minutes_no_other_takes_the_workers_it_lacks() -> None:
    patient = a_job(9, "busy", weight=3, first_s=PATIENCE_S)
    load = Load(weight=2, workspaces={"busy": 2})
    found = chosen([a_job(1, "idle"), a_job(2, "idle", db=True), patient], load)
    assert found.start == ()
    assert set(found.wait.values()) == {Code.WAITING_ON_WORKERS}


def test_an_impatient_database_job_keeps_only_database_jobs_back() -> None:
    jobs = [a_job(1, db=True, first_s=PATIENCE_S), a_job(2, db=True), a_job(3)]
    assert chosen(jobs, Load(weight=1, database=1), db=1).start == ("j3",)


def test_no_worker_is_kept_for_a_job_that_could_not_start_for_want_of_a_database_worker() -> None:
    jobs = [a_job(1, db=True, weight=4, first_s=PATIENCE_S), a_job(2)]
    assert chosen(jobs, Load(weight=1, database=1), db=1).start == ("j2",)


def test_as_soon_as_it_fits_the_one_that_waited_longest_starts_before_all_others() -> None:
    jobs = [a_job(1), a_job(2, weight=3, first_s=700), a_job(3, weight=4, first_s=900)]
    assert chosen(jobs).start == ("j3",)


def test_a_heavy_job_beside_an_endless_stream_of_small_ones_starts_at_last() -> None:
    """Minute by minute; the small ones belong to another workspace, which has fewer running."""
    heavy, since, waited_s, running = a_job(0, "busy", weight=3), None, 0.0, ["busy"]
    for minute in range(1, 30):
        candidates = [a_job(0, "busy", weight=3, first_s=waited_s), a_job(minute, "stream")]
        found = chosen(candidates, Load(len(running), 0, Counter(running)))
        if heavy.job in found.start:
            break
        since = minute if since is None and heavy.job in found.first.values() else since
        waited_s = 60.0 * (minute - since) if since else 0.0
        running = ["busy", *("stream" for job in found.start if job != heavy.job)]
    assert heavy.job in found.start
    assert 10 <= minute <= 13


def test_who_is_passed_by_is_named_until_it_starts() -> None:
    jobs = [a_job(1, weight=3), a_job(2)]
    assert chosen(jobs, Load(weight=2)).overtaken == "j1"
    assert chosen(jobs, Load(weight=3)).overtaken == "j1"  # a worker is free, and j2 takes it
    assert chosen(jobs, Load(weight=4)).overtaken == ""  # nobody starts
    assert chosen(jobs).overtaken == ""  # it starts itself
    database = [a_job(1, db=True), a_job(2)]
    assert chosen(database, Load(database=4)).overtaken == ""  # what started is of another kind


def test_a_job_of_half_a_worker_that_starts_first_passes_nobody() -> None:
    jobs = [a_job(1, "idle"), a_job(2, "busy", weight=4)]
    found = chosen(jobs, Load(weight=1, workspaces={"busy": 1}))
    assert (found.start, found.overtaken) == (("j1",), "")


def test_what_can_never_fit_is_reported_and_in_nobodys_way() -> None:
    jobs = [
        a_job(1, weight=5, first_s=9999),
        a_job(2, weight=float("nan")),
        a_job(3, db=True),
        a_job(4),
    ]
    found = chosen(jobs, workers=4, db=0)
    assert found.never == ("j1", "j2", "j3")
    assert found.start == ("j4",)
    assert found.first == {}


def test_fractions_add_up_to_whole_workers() -> None:
    parts = [a_job(n, weight=n / 10) for n in (1, 2, 3, 4)]
    assert len(chosen(parts, workers=1).start) == 4
    assert chosen([a_job(9)], load_of(parts), workers=2).start == ("j9",)


def test_the_load_is_the_sum_of_what_runs() -> None:
    found = load_of([a_job(1, "a", db=True, weight=2.5), a_job(2, "a"), a_job(3, "b")])
    assert found == Load(4.5, 1, {"a": 2, "b": 1})


@pytest.mark.parametrize(
    ("reader", "blocks"),
    [
        (Reader("r", reads="older", accepted=4), True),
        (Reader("r", reads="mine", accepted=4), False),  # it wants the new outputs
        (Reader("r", reads="older", accepted=5), False),  # of the same request
        (Reader("r", reads="older", accepted=6), False),  # accepted later: planned again instead
    ],
)
def test_a_job_waits_only_for_earlier_requests_to_read_what_it_replaces(
    reader: Reader, blocks: bool
) -> None:
    found = blocked_by_readers("mine", 5, [Reader("x", "mine", 1), reader])
    assert found == ("r" if blocks else "")


candidates = st.lists(
    st.builds(
        Candidate,
        job=st.uuids().map(str),
        workspace=st.sampled_from("abc"),
        sequence=st.integers(0, 10**6),
        needs_db=st.booleans(),
        weight=st.sampled_from([0.0, 0.5, 1.0, 2.0, 6.0, 9.0]),
        first_waited_s=st.sampled_from([0.0, 0.0, 0.0, 599.0, 600.0, 5000.0]),
    ),
    max_size=30,
    unique_by=(lambda one: one.job, lambda one: one.sequence),
)
limits = st.integers(0, 8)


@given(candidates, candidates, limits, limits)
def test_no_limit_is_exceeded_and_every_job_has_one_answer(
    waiting: list[Candidate], running: list[Candidate], workers: int, db: int
) -> None:
    load = load_of(running)
    found = chosen(waiting, load, workers, db)
    assert sorted([*found.start, *found.wait, *found.never]) == sorted(one.job for one in waiting)
    started = [one for one in waiting if one.job in found.start]
    if any(one.weight for one in started):
        assert load.weight + sum(one.weight for one in started) <= workers
    if any(one.needs_db for one in started):
        assert load.database + sum(one.needs_db for one in started) <= db
    assert set(found.first.values()) <= set(found.wait)


@given(candidates, limits, limits)
def test_while_nobody_is_overdue_no_worker_stays_idle_that_somebody_could_use(
    waiting: list[Candidate], workers: int, db: int
) -> None:
    waiting = [one for one in waiting if one.first_waited_s < PATIENCE_S]
    found = chosen(waiting, workers=workers, db=db)
    load = load_of([one for one in waiting if one.job in found.start])
    left = [one for one in waiting if one.job not in found.start]
    assert chosen(left, load, workers, db).start == ()


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=40), st.integers(1, 20))
def test_equal_jobs_are_shared_out_evenly_between_workspaces(
    workspaces: list[str], workers: int
) -> None:
    jobs = [a_job(n, name) for n, name in enumerate(workspaces)]
    started = set(chosen(jobs, workers=workers).start)
    share = Counter(one.workspace for one in jobs if one.job in started)
    for name, wanted in Counter(workspaces).items():
        if share[name] < wanted:  # it would have liked more: nobody has over one more than it
            assert share[name] >= max(share.values()) - 1


@given(candidates, limits, limits)
def test_the_order_in_which_candidates_are_listed_does_not_matter(
    waiting: list[Candidate], workers: int, db: int
) -> None:
    backwards = chosen(waiting[::-1], workers=workers, db=db)
    assert chosen(waiting, workers=workers, db=db).start == backwards.start
