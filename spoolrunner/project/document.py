"""One YAML document: plain values, and the place of each.

Knows: problem.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from spoolrunner.project.problem import Place


@dataclass(frozen=True)
class Repeated:
    """A key that stands twice in one mapping. first: the line of the first."""

    place: Place
    key: Hashable
    first: int


@dataclass
class Document:
    """value: None, bool, int, float, str, date, bytes, list or dict. repeated: see Repeated."""

    filename: str
    value: Any = None
    repeated: list[Repeated] = field(default_factory=list)
    # By id() of the mapping or list: key or index -> marks of the key and of its value.
    marks: dict[int, dict[Hashable, tuple[Any, Any]]] = field(default_factory=dict)
    # Held only so that no id() in marks is given to another value.
    dropped: list[Any] = field(default_factory=list)

    def place(self, path: tuple[Hashable, ...], at_key: bool = False) -> Place:
        """Where path leads, or the last known place on the way there."""
        place, here = (0, 0), self.value
        for depth, key in enumerate(path):
            marks = self.marks.get(id(here), {}).get(key)
            if marks is None:
                break
            place = place_of(marks[0 if at_key and depth == len(path) - 1 else 1])
            here = here[key]
        return place


def place_of(mark: Any) -> Place:
    """Of ruamel's mark, which counts from 0."""
    return (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
