"""The drawing of a DAG shows all of it, in an order in which it could run."""

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoolrunner import project
from spoolrunner.errors import BadProject
from spoolrunner.project import Action
from spoolrunner.report import dag
from spoolrunner.request import Level
from tests.plan.studies import projects
from tests.study_verbs import drawing

CORPUS = Path(__file__).parents[3] / "shared/corpus/project_yaml"
MANY = 2_500
MORE = re.compile(r"and \d+ more")

Needs = Mapping[str, Sequence[str]]
SHAPES: dict[str, Needs] = {
    "chain": {f"a{n}": [f"a{n - 1}"] if n else [] for n in range(MANY)},
    "star": {"hub": [], **{f"a{n}": ["hub"] for n in range(MANY)}},
    "funnel": {**{f"a{n}": [] for n in range(MANY)}, "end": [f"a{n}" for n in range(MANY)]},
    "comb": {
        **{f"a{n}": [f"a{n - 1}"] if n else [] for n in range(MANY // 2)},
        **{f"leaf{n}": [f"a{n}"] for n in range(MANY // 2)},
    },
    "backwards": {f"a{n}": [f"a{n + 1}"] if n < MANY - 1 else [] for n in range(MANY)},
    "layers": {
        f"a{n}_{k}": [f"a{n - 1}_{j}" for j in range(10)] if n else []
        for n in range(MANY // 10)
        for k in range(10)
    },
}


def study(needs: Needs) -> dict[str, Action]:
    outputs = ((Level.HIGH, "a.csv"), (Level.MODERATE, "b.csv"))
    return {name: Action(name, (), tuple(needed), outputs) for name, needed in needs.items()}


def check(actions: Mapping[str, Action], width: int | None) -> None:
    order, edges = drawing.read(dag.lines(actions, width, every_need=True))
    assert sorted(order) == sorted(actions)
    assert edges == {(one.name, need) for one in actions.values() for need in one.needs}
    place = {action: number for number, action in enumerate(order)}
    assert all(place[need] < place[action] for action, need in edges)


def check_short(actions: Mapping[str, Action], width: int | None) -> None:
    """What is left out follows from what is shown, or there were too many."""
    order, edges = drawing.read(dag.lines(actions, width))
    assert sorted(order) == sorted(actions)
    shown: dict[str, set[str]] = {name: set() for name in actions}
    for action, need in edges:
        shown[action].add(need)
    above: dict[str, set[str]] = {}
    for action in order:
        more = {need for need in shown[action] if MORE.fullmatch(need)}
        direct = shown[action] - more
        needs = set(actions[action].needs)
        assert direct <= needs
        above[action] = needs.union(*(above[need] for need in needs))
        follows = set[str]().union(*(above[need] for need in needs))
        assert not direct & follows
        left = len(needs - direct - follows)
        assert more == ({f"and {left} more"} if left else set())


@given(projects(), st.sampled_from([None, 1, 40, 200]))
def test_every_action_stands_once_after_its_needs_and_every_edge_is_shown(
    needs: dict[str, list[str]], width: int | None
) -> None:
    actions = study({name: dict.fromkeys(needed) for name, needed in needs.items()})
    check(actions, width)
    check_short(actions, width)


def took_s(actions: dict[str, Action]) -> float:
    """Processor time."""
    began_s = time.process_time()
    list(dag.lines(actions, 100))
    return time.process_time() - began_s


@pytest.mark.parametrize("shape", SHAPES)
def test_a_study_of_2500_actions_is_drawn_whole_in_half_a_second(shape: str) -> None:
    actions = study(SHAPES[shape])
    assert min(took_s(actions) for _ in range(3)) < 0.5  # caches are shared with other tests
    check(actions, 100)
    assert len(list(dag.lines(actions, 100))) >= len(actions)


@pytest.mark.parametrize("shape", ["chain", "backwards", "comb", "star", "funnel"])
def test_a_long_way_goes_straight_down(shape: str) -> None:
    assert max(node.column for node in dag.layout(SHAPES[shape])) <= 1


def test_a_drawing_reads_as_its_description_says() -> None:
    needs = {
        "cohort": [],
        "describe": ["cohort"],
        "model": ["cohort"],
        "table": ["model"],
        "paper": ["model", "describe", "table", "cohort"],
        "alone": [],
        "alone_too": [],
    }
    assert list(dag.lines(study(needs), 60)) == [
        "○ cohort  (high, moderate)",
        "├─● describe  (high, moderate)",
        "● model  (high, moderate)",
        "● table  (high, moderate)",
        "● paper  (high, moderate)  also needs describe",
        "",
        "○ alone  (high, moderate)",
        "○ alone_too  (high, moderate)",
    ]
    every = list(dag.lines(study(needs), 80, every_need=True))
    assert every[4] == "● paper  (high, moderate)  also needs model, describe, cohort"


def test_of_many_needs_the_first_are_named() -> None:
    needs: dict[str, list[str]] = {**{f"a{n}": [] for n in range(20)}}
    needs["end"] = [*needs]
    assert list(dag.lines(study(needs), None))[-1] == (
        "● end  (high, moderate)  also needs a0, a1, a2, a3, a4, and 14 more"
    )


def test_what_does_not_fit_is_wrapped_between_names() -> None:
    needs = {**{f"cohort_{n}": [] for n in range(9)}, "all": [f"cohort_{n}" for n in range(9)]}
    needs["next"] = ["all"]
    lines = list(dag.lines(study(needs), 40, every_need=True))
    assert max(map(len, lines)) <= 40
    assert lines[-3:] == [
        "│   cohort_2, cohort_3, cohort_4,",
        "│   cohort_5, cohort_6, cohort_7",
        "● next  (high, moderate)",
    ]


def test_each_level_of_outputs_is_named() -> None:
    outputs = ((Level.MINIMAL, "c.csv"), (Level.HIGH, "a.csv"), (Level.HIGH, "b.csv"))
    (line,) = dag.lines({"it": Action("it", (), (), outputs)}, None)
    assert line == "○ it  (high, minimal)"


def test_an_empty_study_is_no_line() -> None:
    assert list(dag.lines({}, 80)) == []


if CORPUS.exists():  # beside the checkout; a fresh clone has none, and the others need nothing

    @pytest.mark.parametrize("path", sorted(CORPUS.glob("*.yaml")), ids=lambda path: path.stem)
    def test_real_studies_are_drawn_whole_and_narrow(path: Path) -> None:
        try:
            actions = project.read(path.read_bytes()).actions
        except BadProject:
            return
        check(actions, 100)
        check_short(actions, 100)
        needs = {name: one.needs for name, one in actions.items()}
        assert max((node.column for node in dag.layout(needs)), default=0) <= 5
