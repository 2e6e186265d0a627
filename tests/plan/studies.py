"""Studies and workspaces for the tests of the plan, made by hand or by hypothesis."""

from collections.abc import Collection, Mapping, Sequence

from hypothesis import strategies as st

from spoolrunner.plan import Files, Known, Plan, State, make
from spoolrunner.request import RUN_ALL, job_identifier

OURS, OTHERS = "ours", "others"
HERE, ELSEWHERE = "a" * 40, "b" * 40

CHAIN = {"cohort": [], "model": ["cohort"], "figure": ["model"]}


def run(action: str, state: State, files: Files = Files.INTACT, sha: str = HERE) -> Known:
    """The newest run of an action, by another request."""
    return Known(state, OTHERS, job_identifier(OTHERS, action), sha, files)


def a_plan(
    needs: Mapping[str, Sequence[str]],
    *requested: str,
    known: Mapping[str, Known] | None = None,
    force: bool = False,
    cancelled: Collection[str] = (),
) -> Plan:
    return make(
        needs,
        requested,
        force=force,
        cancelled=cancelled,
        known=known or {},
        request=OURS,
        sha=HERE,
    )


def jobs(plan: Plan) -> list[str]:
    return [job.action for job in plan.jobs]


@st.composite
def projects(draw: st.DrawFn) -> dict[str, list[str]]:
    """A project without cycles, whose needs point forward and backward in the file."""
    names = [f"action{number}" for number in range(draw(st.integers(1, 12)))]
    needs = {
        name: draw(st.lists(st.sampled_from(names[:place]), max_size=4)) if place else []
        for place, name in enumerate(names)
    }
    return {name: needs[name] for name in draw(st.permutations(names))}


@st.composite
def workspaces(draw: st.DrawFn, needs: Mapping[str, Sequence[str]]) -> dict[str, Known]:
    """What may be known of a project's actions, and of one that the project no longer has."""
    return {
        name: run(
            name,
            draw(st.sampled_from(State)),
            draw(st.sampled_from(Files)),
            draw(st.sampled_from([HERE, ELSEWHERE])),
        )
        for name in [*needs, "removed"]
        if draw(st.booleans())
    }


def requests(needs: Mapping[str, Sequence[str]]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from([*needs, RUN_ALL]), min_size=1, max_size=5)
