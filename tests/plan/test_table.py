"""The decision table, whole: each of 4,320 situations against the rules, written down once more.

The rules are those of reference/opensafely.md 4.5 (today's) and of the issue, not of our code:

    What another request has pending or running is waited for, whoever asks and how.
    What is asked for by its name runs. What never ran, or failed when it last ran, runs.
    What succeeded is used again, and the person is told if it was made from another commit; but it
    runs if all is forced, and if its outputs are gone or were changed, which the person is told.
    A cancelled run never was. An action that the project no longer has can't be asked for and is
    nowhere mentioned. What nobody asked for, and nothing that runs needs, is not looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from types import SimpleNamespace
from typing import cast

import pytest

from spoolrunner.errors import CannotExpand
from spoolrunner.index import ActionState, Run, WorkspaceIndex
from spoolrunner.plan import Plan
from spoolrunner.request import RUN_ALL, Job, Request, Status, WorkspaceRef, job_identifier
from spoolrunner.runner.known import known
from spoolrunner.runner.reading import Reading
from spoolrunner.workspace import Published
from tests.plan.studies import ELSEWHERE, HERE, OTHERS, OURS, a_plan

OLD = "old"  # the request whose run is the newest that ended

ASKED = {
    "by name": ["x"],
    "by run_all": [RUN_ALL],
    "by run_all and by name": [RUN_ALL, "x"],
    "as a need": ["reader"],
    "not at all": ["other"],
}
LATEST = (None, Status.SUCCEEDED, Status.FAILED)
ELSEWHERES = (None, "pending", "running", "pending, cancelled", "running, cancelled", "failed")


@dataclass(frozen=True)
class Case:
    """latest: of the runs of x that ended. elsewhere: what another active request has of x."""

    latest: Status | None
    elsewhere: str | None
    files: Published
    sha: str
    asked: str
    force: bool
    cancelled: bool
    removed: bool

    @property
    def active(self) -> bool:
        return self.elsewhere in ("pending", "running")

    @property
    def named(self) -> bool:
        return "by name" in self.asked

    @property
    def looked_at(self) -> bool:
        """`reader` has never run, so it runs whenever it is asked for, and needs x."""
        return not self.removed and self.asked != "not at all"


def cases() -> Iterator[Case]:
    two = (False, True)
    return (
        Case(*one)
        for one in product(LATEST, ELSEWHERES, Published, (HERE, ELSEWHERE), ASKED, two, two, two)
    )


def outcome(case: Case) -> str:
    """The rules. One word for what becomes of x."""
    if case.removed and case.named:
        return "refused"
    if not case.looked_at:
        return "nowhere"
    if case.active:
        return "awaited"
    if case.named or case.latest is not Status.SUCCEEDED:
        return "runs"
    if case.force or case.files is not Published.INTACT:
        return "runs"
    return "reused"


def told(case: Case) -> set[str]:
    """What the person must be told of x."""
    by_itself = case.looked_at and not case.active and not case.named
    told = set()
    if case.looked_at and case.active:
        told.add("has them scheduled")
    if by_itself and case.latest is Status.FAILED:
        told.add("their last run failed")
    if by_itself and case.latest is Status.SUCCEEDED and case.files is Published.GONE:
        told.add("are gone")
    if by_itself and case.latest is Status.SUCCEEDED and case.files is Published.CHANGED:
        told.add("were changed")
    if outcome(case) == "reused" and case.sha != HERE:
        told.add("made from another commit")
    return told


EVERYTHING_TOLD = (
    *("has them scheduled", "their last run failed", "are gone", "were changed"),
    "made from another commit",
)


def plan(case: Case) -> Plan:
    """Through what the runner knows: an index on disk, and requests under way."""
    needs = {"x": ["source"], "source": [], "reader": ["x"], "other": []}
    if case.removed:
        needs = {"source": [], "reader": [], "other": []}
    index = WorkspaceIndex(name="ws", folder="ws", repo="r", branch="b", db="d")
    index.actions["source"] = ActionState(newest=_run("source", Status.SUCCEEDED, HERE))
    if case.latest:
        index.actions["x"] = ActionState(newest=_run("x", case.latest, case.sha))
    files = {"x": case.files, "source": Published.INTACT}
    reading = cast(Reading, SimpleNamespace(needs=needs, files=files))
    return a_plan(
        needs,
        *ASKED[case.asked],
        known=known(index, _others(case.elsewhere), reading),
        force=case.force,
        cancelled=["x"] if case.cancelled else [],
    )


def _run(action: str, status: Status, sha: str) -> Run:
    job = job_identifier(OLD, action)
    return Run(request=OLD, job=job, sequence=1, status=status, sha=sha, completed_at="")


def _others(elsewhere: str | None) -> list[Request]:
    if elsewhere is None:
        return []
    status, _, cancelled = elsewhere.partition(", ")
    job = Job(identifier=job_identifier(OTHERS, "x"), sequence=3, action="x")
    job.status, job.cancel = Status(status), "user" if cancelled else ""
    where = WorkspaceRef(name="ws", repo="r", branch="b")
    other = Request(
        identifier=OTHERS,
        sequence=2,
        backend="b",
        workspace=where,
        requested_actions=["x"],
        created_at="",
        sha=ELSEWHERE,
        jobs=[job],
    )
    return [other]


def seen(made: Plan) -> set[str]:
    """What became of x, in all places where a plan could say so."""
    return {
        *("runs" for job in made.jobs if job.action == "x"),
        *("reused" for one in made.reused if one.action == "x"),
        *("awaited" for one in made.awaited if one.action == "x"),
    } or {"nowhere"}


def check(case: Case) -> None:
    if outcome(case) == "refused":
        with pytest.raises(CannotExpand, match="no such action: 'x'"):
            plan(case)
        return
    made = plan(case)
    assert seen(made) == {outcome(case)}
    about = [note for note in made.notes if "'x'" in note]
    assert {words for words in EVERYTHING_TOLD if any(words in note for note in about)} == told(
        case
    )
    assert made.cancelled == (("x",) if case.cancelled and outcome(case) == "runs" else ())
    assert bool(made.nothing_to_do) == (not made.jobs)
    check_whose_outputs_are_read(case, made)


def check_whose_outputs_are_read(case: Case, made: Plan) -> None:
    whose = {"runs": OURS, "awaited": OTHERS, "reused": OLD}
    for job in made.jobs:
        for need in job.needs:
            if need.action == "x":
                assert need.request == whose[outcome(case)]
                assert need.job == job_identifier(need.request, "x")
    actions = [job.action for job in made.jobs]
    assert len(actions) == len(set(actions))
    if "reader" in actions and "x" in actions:
        assert actions.index("x") < actions.index("reader")


def test_every_situation_is_decided_by_the_rules() -> None:
    every, wrong = list(cases()), []
    for case in every:
        try:
            check(case)
        except (AssertionError, CannotExpand) as error:
            wrong.append(f"{case}: {error}")
    assert len(every) == len(set(every)) == 4_320
    assert not wrong, f"{len(wrong)} of them, first: {wrong[0]}"


def test_each_outcome_and_each_sentence_is_among_them() -> None:
    every = list(cases())
    assert {outcome(case) for case in every} == {"runs", "reused", "awaited", "nowhere", "refused"}
    assert {words for case in every for words in told(case)} == set(EVERYTHING_TOLD)
