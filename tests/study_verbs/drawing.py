"""Reads a drawing of a DAG back, by its legend alone: what it does not show is not found."""

import re
from collections.abc import Iterable

NODE = re.compile(r"((?:│ )*)(├─)?([○●]) ([^ ]+)(.*)")
BESIDE = re.compile(r"also needs (.+)$")

Edges = set[tuple[str, str]]


def read(lines: Iterable[str]) -> tuple[list[str], Edges]:
    """Actions from top to bottom, and (action, what it needs)."""
    order: list[str] = []
    edges: Edges = set()
    columns: list[str] = []
    for line in _joined(lines):
        found = NODE.fullmatch(line)
        assert found, line
        bars, branch, mark, action, beside = found.groups()
        column = len(bars) // 2 + bool(branch)
        if mark == "●":
            edges.add((action, columns[column - bool(branch)]))
        columns[column:] = [action]
        order.append(action)
        named = BESIDE.search(beside)
        also = named[1].split(", ") if named else []
        assert len({*also}) == len(also)
        assert not edges & {(action, name) for name in also}, "an edge is shown twice"
        edges |= {(action, name) for name in also}
    return order, edges


def _joined(lines: Iterable[str]) -> list[str]:
    """What was wrapped, on one line again."""
    joined: list[str] = []
    for line in lines:
        if NODE.fullmatch(line):
            joined.append(line)
        elif line:
            joined[-1] += f" {line.lstrip(' │')}"
    return joined
