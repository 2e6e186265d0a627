"""The DAG of a study as text, for a screen of any width.

    ○ cohort  (high)
    ├─● describe  (moderate)
    ● model  (high)
    ├─● table  (moderate)
    ● paper  (moderate)  also needs describe, table

Each action stands once, after everything it needs, and below the one of its needs that was drawn
last: straight below it, or on a branch from it. Its other needs are named beside it, but for those
that follow from them: who needs the paper needs the cohort. ○ needs none.
The longest way goes straight on and the shorter ones branch off before it, so that a chain of
2,500 actions is one column, and the whole of a real study rarely more than ten.
Drawn so rather than in lanes, as `git log --graph` does: real studies have actions that need a
hundred others, which would be a hundred lanes. Pure. Knows: project, request.
"""

import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from graphlib import TopologicalSorter
from operator import or_

from spoolrunner.project import Action
from spoolrunner.request import Level

LEVELS = {Level.HIGH: "high", Level.MODERATE: "moderate", Level.MINIMAL: "minimal"}
PLAIN = str.maketrans("○●├│─", "o*|||") | {ord("─"): "-"}
NARROWEST = 30  # what is named beside an action gets so many columns, however deep it stands
MOST_NAMED = 6  # beside one action: real studies have some that need a hundred others

Needs = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Node:
    """above: the need it stands below, or "". also: its other needs that do not follow from these.
    branches: it is not straight below. goes_on: another stands straight below it."""

    action: str
    above: str
    also: tuple[str, ...]
    column: int
    branches: bool
    goes_on: bool


def lines(
    actions: Mapping[str, Action], width: int | None, *, every_need: bool = False
) -> Iterator[str]:
    """The drawing. width: of the screen; None: a line for each action, however long.

    every_need: name all needs of each action, also those that follow from others.
    """
    trees = [list(tree) for tree in _trees(layout({n: a.needs for n, a in actions.items()}))]
    for before, tree in zip([[], *trees], trees, strict=False):
        if before and len(before) + len(tree) > 2:
            yield ""
        for node in tree:
            action = actions[node.action]
            also = _all_but(action.needs, node.above) if every_need else _shortened(node.also)
            yield from _drawn(node, action, also, width)


def layout(needs: Needs) -> Iterator[Node]:
    """The nodes from top to bottom. needs: acyclic, every name in it a key."""
    needs = _without_what_follows(needs)
    dependants: dict[str, list[str]] = defaultdict(list)
    for action, needed in needs.items():
        for name in needed:
            dependants[name].append(action)
    heights = _heights(needs, dependants)
    missing = {action: len(needed) for action, needed in needs.items()}
    waiting = [(action, "", 0, False) for action in reversed([*needs]) if not missing[action]]
    while waiting:
        action, above, column, branches = waiting.pop()
        below = []
        for name in dependants[action]:
            missing[name] -= 1
            if not missing[name]:
                below.append(name)
        below.sort(key=heights.__getitem__)
        also = _all_but(needs[action], above)
        yield Node(action, above, also, column, branches, bool(below))
        waiting.extend((name, action, column, False) for name in below[-1:])
        waiting.extend((name, action, column + 1, True) for name in reversed(below[:-1]))


def _without_what_follows(needs: Needs) -> Needs:
    """Each action's needs without those that another of its needs needs, at whatever distance.

    Sets of actions are bits of a number: 2,500 actions that need hundreds each take milliseconds.
    """
    bits = {action: 1 << place for place, action in enumerate(needs)}
    above: dict[str, int] = {}
    kept: dict[str, list[str]] = {}
    for action in TopologicalSorter(needs).static_order():
        followed = reduce(or_, (above[name] for name in needs[action]), 0)
        kept[action] = [name for name in needs[action] if not followed & bits[name]]
        above[action] = reduce(or_, (bits[name] for name in kept[action]), followed)
    return {action: kept[action] for action in needs}


def _heights(needs: Needs, dependants: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How many actions must follow one after the other, at most."""
    heights: dict[str, int] = {}
    for action in reversed([*TopologicalSorter(needs).static_order()]):
        above = [heights[name] for name in dependants.get(action, ())]
        heights[action] = 1 + max(above, default=0)
    return heights


def _trees(nodes: Iterator[Node]) -> Iterator[list[Node]]:
    """The nodes, each that needs nothing with all that stands below it."""
    tree: list[Node] = []
    for node in nodes:
        if tree and not node.above:
            yield tree
            tree = []
        tree.append(node)
    if tree:
        yield tree


def _all_but(names: Iterable[str], above: str) -> tuple[str, ...]:
    return tuple(name for name in names if name != above)


def _shortened(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) <= MOST_NAMED:
        return names
    return (*names[: MOST_NAMED - 1], f"and {len(names) - MOST_NAMED + 1} more")


def _drawn(node: Node, action: Action, others: tuple[str, ...], width: int | None) -> Iterator[str]:
    before = "│ " * (node.column - 1) + "├─" if node.branches else "│ " * node.column
    levels = ", ".join(word for level, word in LEVELS.items() if level in _levels(action))
    line = f"{before}{'●' if node.above else '○'} {node.action}"
    line += f"  ({levels})" if levels else ""
    also = f"also needs {', '.join(others)}" if others else ""
    if not also or width is None or len(line) + 2 + len(also) <= width:
        yield f"{line}  {also}".rstrip()
        return
    yield line
    indent = "│ " * node.column + ("│   " if node.goes_on else "    ")
    room = max(width - len(indent), NARROWEST)
    for part in textwrap.wrap(also, room, break_long_words=False, break_on_hyphens=False):
        yield indent + part


def _levels(action: Action) -> set[Level]:
    return {level for level, _ in action.outputs}
