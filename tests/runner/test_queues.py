"""Seeing only the heads of the queues, the same jobs start as if every ready job were looked at."""

from hypothesis import given, settings
from hypothesis import strategies as st

from spoolrunner import plan
from spoolrunner.plan import Candidate, Load
from spoolrunner.request import Code, Job, Request, WorkspaceRef
from spoolrunner.runner.queues import Queues

WORKSPACE = WorkspaceRef(name="ws", repo="r", branch="main")
REQUEST = Request(
    identifier="r1",
    sequence=1,
    backend="expectations",
    workspace=WORKSPACE,
    requested_actions=["run_all"],
    created_at="2026-01-01T00:00:00Z",
)

shapes = st.tuples(
    st.sampled_from(["ws", "other"]),
    st.booleans(),
    st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5, 3.0]),
)
crowds = st.lists(shapes, max_size=40)
limits = st.tuples(st.integers(1, 4), st.integers(0, 4), st.sampled_from([0.0, 1.0, 1.75]))


def candidates(crowd):
    """The sequence is mixed: jobs become ready in any order."""
    order = sorted(range(len(crowd)), key=lambda n: (n * 7) % 41)
    return [
        Candidate(f"j{n}", workspace, sequence, needs_db, weight)
        for sequence, (n, (workspace, needs_db, weight)) in enumerate((n, crowd[n]) for n in order)
    ]


def job(one: Candidate) -> Job:
    return Job(identifier=one.job, sequence=one.sequence, action=one.job)


@settings(max_examples=200, deadline=None)
@given(crowds, limits, st.sets(st.integers(0, 39)), st.sets(st.integers(0, 39)))
def test_the_heads_start_as_all_would(crowd, limit, left, held):
    max_workers, max_db_workers, load = limit
    everybody = candidates(crowd)
    ready = {("r1", one.job): (REQUEST, job(one)) for one in everybody if one.sequence not in left}
    queues = Queues()
    for one in everybody:
        queues.add(("r1", one.job), one)
        queues.add(("r1", one.job), one)

    def may_start(_: Request, one: Job) -> bool:
        return one.sequence not in held

    heads = queues.heads(ready, may_start, max_workers)
    assert queues.heads(ready, may_start, max_workers) == heads
    may = [one for one in everybody if one.sequence not in left | held]
    seen = [one for one in may if ("r1", one.job) in heads]
    room = {"max_workers": max_workers, "max_db_workers": max_db_workers}
    alone = plan.choose(may, Load(load), **room)
    with_heads = plan.choose(seen, Load(load), **room)
    assert with_heads.start == alone.start
    # Of the database's limit the first may be another: who lacks a worker lacks a database worker,
    # too, once a lighter job has taken that, however deep in its queue it stands.
    workers = Code.WAITING_ON_WORKERS
    assert with_heads.first.get(workers) == alone.first.get(workers)


def test_few_are_looked_at_however_many_are_ready():
    queues, ready = Queues(), {}
    for number in range(2500):
        one = Candidate(f"j{number}", "ws", number, False)
        queues.add(("r1", one.job), one)
        ready["r1", one.job] = (REQUEST, job(one))
    looked_at = []
    heads = queues.heads(ready, lambda _, one: looked_at.append(one) or True, 4)
    assert [name for _, name in heads] == ["j0", "j1", "j2", "j3", "j4"]
    assert len(looked_at) == 5


def test_one_who_comes_back_is_in_line_again():
    queues, one = Queues(), Candidate("j", "ws", 1, False)
    ready = {("r1", "j"): (REQUEST, job(one))}
    queues.add(("r1", "j"), one)
    assert queues.heads({}, lambda *_: True, 1) == []
    queues.add(("r1", "j"), one)
    assert queues.heads(ready, lambda *_: True, 1) == [("r1", "j")]
