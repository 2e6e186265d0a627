"""The plan of a new request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoolrunner.errors import CannotExpand
from spoolrunner.plan import Files, Known, Plan, State, Why
from spoolrunner.request import RUN_ALL, Need, job_identifier
from tests.plan.studies import (
    CHAIN,
    ELSEWHERE,
    HERE,
    OTHERS,
    OURS,
    a_plan,
    jobs,
    projects,
    requests,
    run,
    workspaces,
)


def test_an_action_brings_what_it_needs_first_and_waits_for_those_very_jobs() -> None:
    plan = a_plan(CHAIN, "figure")
    assert jobs(plan) == ["cohort", "model", "figure"]
    assert [job.why for job in plan.jobs] == [Why.NEVER_RAN, Why.NEVER_RAN, Why.ASKED_FOR]
    assert plan.jobs[1].needs == (
        Need(action="cohort", request=OURS, job=job_identifier(OURS, "cohort")),
    )


def test_a_reused_action_is_read_from_the_run_that_made_it_and_nothing_above_it_is_looked_at() -> (
    None
):
    known = {"model": run("model", State.SUCCEEDED), "cohort": run("cohort", State.FAILED)}
    plan = a_plan(CHAIN, "figure", known=known)
    assert jobs(plan) == ["figure"]
    assert plan.jobs[0].needs == (
        Need(action="model", request=OTHERS, job=job_identifier(OTHERS, "model")),
    )
    assert [one.action for one in plan.reused] == ["model"]


def test_the_person_is_told_when_what_is_reused_lies_behind_what_runs_again() -> None:
    known = {"model": run("model", State.SUCCEEDED)}
    plan = a_plan(CHAIN, "figure", "cohort", known=known)
    assert jobs(plan) == ["figure", "cohort"]
    (note,) = plan.notes
    assert "made anew" in note
    assert "'model'" in note


def test_that_is_told_across_an_action_between_and_for_runs_of_other_requests() -> None:
    needs = {**CHAIN, "report": ["figure"]}
    known = {
        "figure": run("figure", State.SUCCEEDED),
        "model": run("model", State.SUCCEEDED),
        "cohort": run("cohort", State.RUNNING),
    }
    assert "'figure'" in a_plan(needs, "report", known=known).notes[0]


def test_a_pending_run_elsewhere_is_waited_for_even_if_asked_for_by_name() -> None:
    plan = a_plan(CHAIN, "model", "figure", known={"model": run("model", State.PENDING)})
    assert jobs(plan) == ["figure"]
    assert plan.jobs[0].needs[0].request == OTHERS
    assert [one.action for one in plan.awaited] == ["model"]
    assert plan.notes == ("Not run twice, because request others has them scheduled: 'model'.",)


def test_force_makes_everything_above_run_again() -> None:
    known = {name: run(name, State.SUCCEEDED) for name in CHAIN}
    plan = a_plan(CHAIN, "figure", known=known, force=True)
    assert [job.why for job in plan.jobs] == [Why.FORCED, Why.FORCED, Why.ASKED_FOR]


def test_run_all_is_every_action_in_file_order_but_needs_come_first() -> None:
    needs = {"late": ["early"], "other": [], "early": [], RUN_ALL: ["late"]}
    assert jobs(a_plan(needs, RUN_ALL)) == ["early", "late", "other"]


def test_run_all_leaves_what_has_run_and_runs_what_failed() -> None:
    known = {"cohort": run("cohort", State.SUCCEEDED), "model": run("model", State.FAILED)}
    plan = a_plan(CHAIN, RUN_ALL, known=known)
    assert jobs(plan) == ["model", "figure"]
    assert plan.notes == ("Run again, because their last run failed: 'model'.",)


def test_jobs_are_made_in_the_order_of_the_originals() -> None:
    """Depth first, needs in the order they are written (checked against the corpus's records)."""
    needs = {"x": [], "y": ["x"], "left": ["y"], "right": ["x"], "top": ["right", "left", "z"]}
    needs["z"] = []
    assert jobs(a_plan(needs, "top")) == ["x", "right", "y", "left", "z", "top"]


def test_a_need_that_stands_twice_is_one_need() -> None:
    assert len(a_plan({"a": [], "b": ["a", "a"]}, "b").jobs[1].needs) == 1


def test_a_chain_deeper_than_the_stack_of_python_is_planned() -> None:
    needs = {f"a{n}": [f"a{n - 1}"] if n else [] for n in range(5000)}
    assert jobs(a_plan(needs, "a4999")) == list(needs)


def test_cancelled_actions_are_planned_with_their_needs_and_handed_over_as_cancelled() -> None:
    plan = a_plan(CHAIN, "figure", cancelled=["model", "nonsense"])
    assert jobs(plan) == ["cohort", "model", "figure"]
    assert plan.cancelled == ("model",)


@pytest.mark.parametrize(
    ("states", "requested", "sentence"),
    [
        ([State.SUCCEEDED] * 3, [RUN_ALL], "already run."),
        ([State.PENDING, State.RUNNING, State.PENDING], [RUN_ALL], "are already scheduled."),
        ([State.SUCCEEDED, State.RUNNING, State.PENDING], [RUN_ALL], "run or are already"),
        ([State.SUCCEEDED, State.FAILED, State.PENDING], ["figure"], "are already scheduled."),
    ],
)
def test_nothing_to_do_is_a_sentence_and_never_an_error(
    states: list[State], requested: list[str], sentence: str
) -> None:
    known = {name: run(name, state) for name, state in zip(CHAIN, states, strict=True)}
    plan = a_plan(CHAIN, *requested, known=known)
    assert plan.jobs == ()
    assert sentence in plan.nothing_to_do


def test_outputs_of_another_commit_are_reused_and_that_is_said() -> None:
    known = {"model": run("model", State.SUCCEEDED, sha=ELSEWHERE)}
    plan = a_plan(CHAIN, "figure", known=known)
    assert plan.reused[0].sha == ELSEWHERE
    assert plan.notes == ("Reused, although made from another commit (bbbbbbb): 'model'.",)


@pytest.mark.parametrize(("files", "word"), [(Files.GONE, "gone"), (Files.CHANGED, "changed")])
def test_outputs_that_are_gone_or_changed_are_made_again_and_that_is_said(
    files: Files, word: str
) -> None:
    plan = a_plan(CHAIN, "figure", known={"model": run("model", State.SUCCEEDED, files)})
    assert jobs(plan) == ["cohort", "model", "figure"]
    assert word in plan.notes[0]


def test_all_unknown_actions_are_named_with_what_was_meant_and_what_there_is() -> None:
    with pytest.raises(CannotExpand) as caught:
        a_plan(CHAIN, "cohrt", "figure", "zzz", RUN_ALL)
    assert caught.value.kind == "unknown_action"
    assert caught.value.message == "The project has no such action: 'cohrt', 'zzz'."
    assert caught.value.hint == (
        "Did you mean 'cohort' instead of 'cohrt'? Its actions are: 'cohort', 'model', 'figure'."
    )


def test_thousands_of_unknown_actions_make_a_short_message() -> None:
    needs: dict[str, list[str]] = {f"action_{n}": [] for n in range(2500)}
    with pytest.raises(CannotExpand) as caught:
        a_plan(needs, *[f"actoin_{n}" for n in range(20_000)])
    assert len(caught.value.public) < 5000
    assert "and 19980 more" in caught.value.message


def test_a_request_for_nothing_is_refused() -> None:
    with pytest.raises(CannotExpand, match="no action"):
        a_plan(CHAIN)


def test_text_that_hides_in_a_name_is_shown_escaped() -> None:
    with pytest.raises(CannotExpand) as caught:
        a_plan(CHAIN, "x\x1b[31m\n")
    assert caught.value.public.isprintable()


cases = st.data()


def _any_plan(data: st.DataObject) -> tuple[dict[str, list[str]], dict[str, Known], Plan]:
    needs = data.draw(projects(), "needs")
    known = data.draw(workspaces(needs), "known")
    requested = data.draw(requests(needs), "requested")
    force = data.draw(st.booleans(), "force")
    return needs, known, a_plan(needs, *requested, known=known, force=force)


@given(cases)
def test_no_action_runs_twice_and_each_has_one_place(data: st.DataObject) -> None:
    _, _, plan = _any_plan(data)
    places = [*jobs(plan), *(one.action for one in (*plan.reused, *plan.awaited))]
    assert len(places) == len(set(places))
    assert "removed" not in places


@given(cases)
def test_every_need_is_an_earlier_job_of_the_plan_or_a_run_that_is_named(
    data: st.DataObject,
) -> None:
    needs, _, plan = _any_plan(data)
    there = {(one.action, one.request, one.job) for one in (*plan.reused, *plan.awaited)}
    for job in plan.jobs:
        assert [need.action for need in job.needs] == list(dict.fromkeys(needs[job.action]))
        assert all((need.action, need.request, need.job) in there for need in job.needs)
        there.add((job.action, OURS, job_identifier(OURS, job.action)))


@given(cases)
def test_nothing_scheduled_runs_and_there_is_either_a_job_or_a_sentence(
    data: st.DataObject,
) -> None:
    _, known, plan = _any_plan(data)
    assert not any(known[name].active for name in jobs(plan) if name in known)
    assert bool(plan.jobs) != bool(plan.nothing_to_do)


@given(cases)
def test_what_was_asked_for_is_all_there(data: st.DataObject) -> None:
    needs = data.draw(projects())
    known = data.draw(workspaces(needs))
    requested = data.draw(requests(needs))
    plan = a_plan(needs, *requested, known=known)
    asked = set(needs) if RUN_ALL in requested else set(requested)
    assert asked <= {*jobs(plan), *(one.action for one in (*plan.reused, *plan.awaited))}


@given(cases)
def test_planning_again_after_the_plan_was_taken_over_plans_nothing(data: st.DataObject) -> None:
    needs = data.draw(projects())
    known = data.draw(workspaces(needs))
    requested = data.draw(requests(needs))
    first = a_plan(needs, *requested, known=known)
    taken_over = {
        name: Known(State.PENDING, OURS, job_identifier(OURS, name), HERE) for name in jobs(first)
    }
    again = a_plan(needs, *requested, known={**known, **taken_over})
    assert again.jobs == ()


@given(cases)
def test_run_in_its_order_every_job_finds_its_needs_done_and_is_reused_afterwards(
    data: st.DataObject,
) -> None:
    needs, known, plan = _any_plan(data)
    succeeded = {one.job for one in (*plan.reused, *plan.awaited)}
    for job in plan.jobs:
        assert {need.job for need in job.needs} <= succeeded
        succeeded.add(job_identifier(OURS, job.action))
        known[job.action] = Known(State.SUCCEEDED, OURS, job_identifier(OURS, job.action), HERE)
    report = a_plan({**needs, "report": jobs(plan)}, "report", known=known)
    assert jobs(report) == ["report"]
