"""The whole decision table: every state, every truth about the files, every way of being asked."""

from itertools import product

import pytest

from spoolrunner.plan import Files, Known, State, Why, decide
from spoolrunner.request import RUN_ALL
from tests.plan.studies import a_plan, run

# state of the newest run, its outputs: asked for by name, else, else with force
TABLE = """
    never     intact   asked_for  never_ran        never_ran
    never     gone     asked_for  never_ran        never_ran
    never     changed  asked_for  never_ran        never_ran
    pending   intact   awaited    awaited          awaited
    pending   gone     awaited    awaited          awaited
    pending   changed  awaited    awaited          awaited
    running   intact   awaited    awaited          awaited
    running   gone     awaited    awaited          awaited
    running   changed  awaited    awaited          awaited
    succeeded intact   asked_for  reused           forced
    succeeded gone     asked_for  outputs_gone     outputs_gone
    succeeded changed  asked_for  outputs_changed  outputs_changed
    failed    intact   asked_for  failed_before    failed_before
    failed    gone     asked_for  failed_before    failed_before
    failed    changed  asked_for  failed_before    failed_before
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]
CELLS = [
    (State(state), Files(files), named, force, Why(why))
    for state, files, by_name, otherwise, forced in ROWS
    for named, force, why in [
        (True, False, by_name),
        (True, True, by_name),
        (False, False, otherwise),
        (False, True, forced),
    ]
]


def test_the_table_has_every_combination_once() -> None:
    assert sorted(cell[:4] for cell in CELLS) == sorted(
        product(State, Files, (True, False), (True, False))
    )


@pytest.mark.parametrize(("state", "files", "named", "force", "why"), CELLS)
def test_the_verdict_is_what_the_table_says(
    state: State, files: Files, named: bool, force: bool, why: Why
) -> None:
    assert decide(Known(state, files=files), named=named, force=force) is why


ASKINGS = {  # -> is that by name, what is requested
    "by name": (True, ["x"]),
    "by run_all and by name": (True, [RUN_ALL, "x"]),
    "as a need": (False, ["reader"]),
    "by run_all": (False, [RUN_ALL]),
}
PLANS = [
    (state, files, force, requested, why)
    for state, files, named, force, why in CELLS
    for by_name, requested in ASKINGS.values()
    if by_name == named
]


@pytest.mark.parametrize(("state", "files", "force", "requested", "why"), PLANS)
@pytest.mark.parametrize("cancelled", [[], ["x", "removed"]])
def test_a_whole_plan_follows_the_table_however_the_action_is_asked_for(
    state: State, files: Files, force: bool, requested: list[str], why: Why, cancelled: list[str]
) -> None:
    known = {"x": run("x", state, files), "removed": run("removed", State.FAILED)}
    needs = {"x": [], "reader": ["x"]}
    plan = a_plan(needs, *requested, known=known, force=force, cancelled=cancelled)
    assert [job.why for job in plan.jobs if job.action == "x"] == ([why] if why.runs else [])
    assert [one.action for one in plan.reused] == (["x"] if why is Why.REUSED else [])
    assert [one.action for one in plan.awaited] == (["x"] if why is Why.AWAITED else [])
    assert plan.cancelled == (("x",) if cancelled and why.runs else ())
