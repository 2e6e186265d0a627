"""The DAG of a study as text, for a screen of any width.

    ○ cohort  (high)
    ├─● describe  (moderate)
    ● model  (high)
    ├─● table  (moderate)
    ● paper  (moderate)  also needs describe, table

Each action stands once, after everything it needs, and below the one of its needs that was drawn
last: straight below it, or on a branch from it. Its other needs are named beside it. ○ needs none.
The longest way goes straight on and the shorter ones branch off before it, so that a chain of
2,500 actions is one column, and the whole of a real study rarely more than ten.
Drawn so rather than in lanes, as `git log --graph` does: real studies have actions that need a
hundred others, which would be a hundred lanes. Pure. Knows: project, request.
"""

import textwrap
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from spoolrunner.project import Action
from spoolrunner.request import Level

LEVELS = {Level.HIGH: "high", Level.MODERATE: "moderate", Level.MINIMAL: "minimal"}
PLAIN = str.maketrans("○●├│─", "o*|||") | {ord("─"): "-"}
NARROWEST = 30  # what is named beside an action gets so many columns, however deep it stands

Needs = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Node:
    """above: the need it stands below, or "". also: its other needs. branches: it is not straight
    below. goes_on: another stands straight below it."""

    action: str
    above: str
    also: tuple[str, ...]
    column: int
    branches: bool
    goes_on: bool


def lines(actions: Mapping[str, Action], width: int | None) -> Iterator[str]:
    """The drawing. width: of the screen; None: a line for each action, however long."""
    trees = [list(tree) for tree in _trees(layout({n: a.needs for n, a in actions.items()}))]
    for before, tree in zip([[], *trees], trees, strict=False):
        if before and len(before) + len(tree) > 2:
            yield ""
        for node in tree:
            yield from _drawn(node, actions[node.action], width)


def layout(needs: Needs) -> Iterator[Node]:
    """The nodes from top to bottom. needs: acyclic, every name in it a key."""
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
        also = tuple(name for name in needs[action] if name != above)
        yield Node(action, above, also, column, branches, bool(below))
        waiting.extend((name, action, column, False) for name in below[-1:])
        waiting.extend((name, action, column + 1, True) for name in reversed(below[:-1]))


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


def _drawn(node: Node, action: Action, width: int | None) -> Iterator[str]:
    before = "│ " * (node.column - 1) + "├─" if node.branches else "│ " * node.column
    levels = ", ".join(word for level, word in LEVELS.items() if level in _levels(action))
    line = f"{before}{'●' if node.above else '○'} {node.action}"
    line += f"  ({levels})" if levels else ""
    also = f"also needs {', '.join(node.also)}" if node.also else ""
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
