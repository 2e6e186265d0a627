"""What becomes of those who wait when a run of another request is cancelled.

The examples first; then a spool that hypothesis plays: requests of different commits are accepted,
started, ended and cancelled in any order, and it must never come to a stop before all has ended.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from spoolrunner.plan import (
    Known,
    Plan,
    Planned,
    Reader,
    Replanned,
    State,
    Why,
    blocked_by_readers,
    make,
    replan,
)
from spoolrunner.request import Need, job_identifier
from tests.plan.studies import CHAIN, HERE, OTHERS, OURS, run

LOST = job_identifier(OTHERS, "model")
WAITING = {"figure": (Need(action="model", request=OTHERS, job=LOST),)}


def again(
    known: Mapping[str, Known],
    *,
    waiting: Mapping[str, Sequence[Need]] = WAITING,
    ours: Collection[str] = ("figure",),
    force: bool = False,
    cancelled: Collection[str] = (),
) -> Replanned:
    return replan(
        CHAIN,
        waiting,
        {LOST},
        ours=ours,
        force=force,
        cancelled=cancelled,
        known=known,
        request=OURS,
        sha=HERE,
    )


NOTHING = Replanned(Plan(jobs=(), reused=(), awaited=()), {})


def our(action: str) -> Need:
    return Need(action=action, request=OURS, job=job_identifier(OURS, action))


def test_the_action_becomes_a_job_of_those_who_waited_with_what_it_needs() -> None:
    found = again({})
    assert [(job.action, job.why) for job in found.plan.jobs] == [
        ("cohort", Why.NEVER_RAN),
        ("model", Why.NEVER_RAN),
    ]
    assert found.plan.jobs[1].needs == (our("cohort"),)
    assert found.needs == {"figure": (our("model"),)}


def test_only_as_much_as_necessary_is_planned_again() -> None:
    found = again({"cohort": run("cohort", State.SUCCEEDED)})
    assert [job.action for job in found.plan.jobs] == ["model"]


def test_an_earlier_success_counts_again() -> None:
    earlier = Known(State.SUCCEEDED, "earlier", "earlierjob", HERE)
    found = again({"model": earlier})
    assert found.plan.jobs == ()
    assert found.needs == {"figure": (Need(action="model", request="earlier", job="earlierjob"),)}


def test_a_job_of_ours_is_used_even_if_it_failed_and_never_made_a_second_time() -> None:
    found = again({"cohort": run("cohort", State.FAILED)}, ours=("figure", "cohort"))
    assert [job.action for job in found.plan.jobs] == ["model"]
    assert found.plan.jobs[0].needs == (our("cohort"),)
    assert found.plan.awaited == ()


def test_force_is_kept_but_not_for_what_this_request_has_run_itself() -> None:
    known = {"cohort": run("cohort", State.SUCCEEDED)}
    assert len(again(known, force=True).plan.jobs) == 2
    assert len(again(known, force=True, ours=("figure", "cohort")).plan.jobs) == 1


def test_an_action_the_person_cancelled_is_handed_over_as_cancelled() -> None:
    assert again({}, cancelled=["model"]).plan.cancelled == ("model",)


def test_every_waiting_job_reads_what_is_made_anew_and_keeps_its_other_needs() -> None:
    """Reading an older run of what this request makes anew would race with its publication."""
    old = Need(action="cohort", request=OTHERS, job=job_identifier(OTHERS, "cohort"))
    waiting = {**WAITING, "table": (old, our("else"))}
    found = again({"cohort": run("cohort", State.FAILED)}, waiting=waiting)
    assert found.needs["table"] == (our("cohort"), our("else"))


def test_a_lost_job_of_this_very_request_is_none_of_its_business() -> None:
    mine = {"figure": (Need(action="model", request=OURS, job=LOST),)}
    assert again({}, waiting=mine) == NOTHING


def test_replanning_twice_changes_nothing_more() -> None:
    first = again({})
    waiting = {**first.needs, **{job.action: job.needs for job in first.plan.jobs}}
    second = again({}, waiting=waiting, ours=("figure", "cohort", "model"))
    assert second == NOTHING


ACTIONS = ["a", "b", "c", "d"]
commits = st.permutations(ACTIONS).flatmap(
    lambda names: st.fixed_dictionaries(
        {
            name: st.lists(st.sampled_from(names[:place]), max_size=2) if place else st.just([])
            for place, name in enumerate(names)
        }
    )
)


@dataclass
class AJob:
    action: str
    identifier: str
    needs: tuple[Need, ...]
    status: str = "pending"  # running, succeeded, failed, cancelled


@dataclass
class ARequest:
    name: str
    accepted: int
    needs: Mapping[str, list[str]]
    force: bool
    jobs: dict[str, AJob] = field(default_factory=dict)

    def take(self, planned: Iterable[Planned]) -> None:
        for one in planned:
            assert one.action not in self.jobs, "an action twice in one request"
            identifier = job_identifier(self.name, one.action)
            self.jobs[one.action] = AJob(one.action, identifier, one.needs)


class AWorkspace(RuleBasedStateMachine):
    """One workspace, its requests, and a runner that is as free as the rules allow."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[ARequest] = []
        self.jobs: dict[str, AJob] = {}
        self.newest: dict[str, Known] = {}
        self.published: dict[str, str] = {}

    @rule(
        needs=commits,
        asked=st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=3),
        force=st.booleans(),
    )
    def accept(self, needs: dict[str, list[str]], asked: list[str], force: bool) -> None:
        number = len(self.requests)
        request = ARequest(f"r{number}", number, needs, force)
        plan = make(
            needs,
            asked,
            force=force,
            cancelled=(),
            known=self._known(number),
            request=request.name,
            sha=HERE,
        )
        request.take(plan.jobs)
        self.requests.append(request)
        self._settle()

    @precondition(lambda self: any(self._startable()))
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(list(self._startable())))
        for need in job.needs:
            assert self.published[need.action] == need.job, "it would read another run's outputs"
        job.status = "running"

    @precondition(lambda self: any(self._with("running")))
    @rule(data=st.data(), well=st.booleans())
    def end(self, data: st.DataObject, well: bool) -> None:
        request, job = data.draw(st.sampled_from(list(self._with("running"))))
        self._end(request, job, well=well)

    @precondition(lambda self: any(self._with("pending", "running")))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        _, job = data.draw(st.sampled_from(list(self._with("pending", "running"))))
        job.status = "cancelled"
        self._settle()

    @invariant()
    def something_can_always_happen(self) -> None:
        if any(self._with("pending")):
            assert any(self._with("running")) or any(self._startable()), "they wait for each other"

    def teardown(self) -> None:
        for _ in range(10_000):
            if not any(self._with("pending", "running")):
                return
            self.something_can_always_happen()
            for job in list(self._startable())[:1]:
                job.status = "running"
            for request, job in list(self._with("running")):
                self._end(request, job, well=True)
        raise AssertionError("it never ends")

    def _end(self, request: ARequest, job: AJob, *, well: bool) -> None:
        job.status = "succeeded" if well else "failed"
        state = State.SUCCEEDED if well else State.FAILED
        self.newest[job.action] = Known(state, request.name, job.identifier, HERE)
        if well:
            self.published[job.action] = job.identifier
        self._settle()

    def _settle(self) -> None:
        """What follows from the last event, in order of acceptance, until nothing more does."""
        self.jobs = {job.identifier: job for one in self.requests for job in one.jobs.values()}
        for request in self.requests:
            self._fail_dependants(request)
            self._replan(request)
            self.jobs.update((job.identifier, job) for job in request.jobs.values())
            self._fail_dependants(request)  # what is planned anew may need what was cancelled

    def _fail_dependants(self, request: ARequest) -> None:
        while bad := [
            job
            for job in request.jobs.values()
            if job.status == "pending" and any(self._hopeless(request, one) for one in job.needs)
        ]:
            for job in bad:
                job.status = "failed"
                self.newest[job.action] = Known(State.FAILED, request.name, job.identifier, HERE)

    def _hopeless(self, request: ARequest, need: Need) -> bool:
        status = self.jobs[need.job].status
        return status == "failed" or (status == "cancelled" and need.request == request.name)

    def _replan(self, request: ARequest) -> None:
        waiting = {
            one.action: one.needs for one in request.jobs.values() if one.status == "pending"
        }
        lost = {need.job for needs in waiting.values() for need in needs if self._lost(need)}
        found = replan(
            request.needs,
            waiting,
            lost,
            ours=set(request.jobs),
            force=request.force,
            cancelled=(),
            known=self._known(request.accepted),
            request=request.name,
            sha=HERE,
        )
        request.take(found.plan.jobs)
        for action, needs in found.needs.items():
            request.jobs[action].needs = needs

    def _lost(self, need: Need) -> bool:
        job = self.jobs[need.job]
        replaced = job.status == "succeeded" and self.published[need.action] != need.job
        return job.status == "cancelled" or replaced

    def _known(self, accepted: int) -> dict[str, Known]:
        """What a request sees: all that ended, and what earlier requests have scheduled."""
        seen = dict(self.newest)
        for request in self.requests[: accepted + 1]:
            for job in request.jobs.values():
                if job.status in ("pending", "running"):
                    seen[job.action] = Known(State(job.status), request.name, job.identifier, HERE)
        return seen

    def _with(self, *statuses: str) -> Iterator[tuple[ARequest, AJob]]:
        for request in self.requests:
            for job in request.jobs.values():
                if job.status in statuses:
                    yield request, job

    def _startable(self) -> Iterator[AJob]:
        busy = {job.action for _, job in self._with("running")}
        for request, job in self._with("pending"):
            met = all(self.jobs[need.job].status == "succeeded" for need in job.needs)
            readers = [
                Reader(other.identifier, need.job, one.accepted)
                for one, other in self._with("pending")
                for need in other.needs
                if need.action == job.action
            ]
            free = not blocked_by_readers(job.identifier, request.accepted, readers)
            if met and free and job.action not in busy:
                yield job


AWorkspace.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestASpoolOfRequestsOfDifferentCommitsAlwaysComesToItsEnd = AWorkspace.TestCase
