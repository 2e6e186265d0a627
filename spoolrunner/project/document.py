"""One YAML document: bytes -> plain values, each with its place, in bounded time and memory.

Built from ruamel.yaml's events, not with its loader: the loader recurses as deep as the file
nests, copies what `<<` merges without end and stops at the first repeated key. Built this way
it is also faster than the loader, so lines and columns come for free (issue 4, point 4). What a
plain scalar means is still ruamel's to say (YAML 1.2 unless the file says 1.1).
Knows: errors.
"""

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.tag import Tag

from spoolrunner.errors import BadProject

# The largest public study has 1.3 MB and nests 6 deep; see reference/opensafely.md 2 and the corpus.
MOST_BYTES = 3 * 1024 * 1024
DEEPEST = 100
# Characters and values, aliases counted as often as they are used.
MOST_EXPANDED = 6 * 1024 * 1024

TAG = "tag:yaml.org,2002:"
# Nothing outside can take these: a NUL ends a C string, half a surrogate pair has no bytes.
UNSAFE = re.compile("[\0\ud800-\udfff]")

Place = tuple[int, int]
"""Line and column, from 1; (0, 0): the whole file."""


class _Merge:
    """What a plain `<<` stands for."""


class _Missing:
    """No key is waiting for its value."""


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

    def place(self, path: tuple[Hashable, ...], at_key: bool = False) -> Place:
        """Where path leads, or the last known place on the way there."""
        place, here = (0, 0), self.value
        for depth, key in enumerate(path):
            marks = self.marks.get(id(here), {}).get(key)
            if marks is None:
                break
            place = _place(marks[0 if at_key and depth == len(path) - 1 else 1])
            here = here[key]
        return place


class _Frame:
    """A mapping or list whose end has not come yet. size_before: `expanded` when it began."""

    def __init__(self, event: Event, size_before: int) -> None:
        self.mark = event.start_mark
        self.anchor = event.anchor
        self.size_before = size_before
        self.is_map = type(event) is MappingStartEvent
        self.value: Any = {} if self.is_map else []
        self.marks: dict[Hashable, tuple[Any, Any]] = {}
        self.key: Any = _Missing
        self.key_mark: Any = None
        self.merged: Any = _Missing


class _Builder:
    """Events -> document, one after the other, on a stack of our own."""

    def __init__(self, filename: str) -> None:
        self.document = Document(filename)
        self.yaml = YAML(typ="safe")
        self.plain: dict[str, Any] = {}
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.stack: list[_Frame] = []
        self.expanded = 0
        self.documents = 0

    def build(self, events: Iterator[Event]) -> Document:
        for event in events:
            kind = type(event)
            if kind is ScalarEvent:
                self.expanded += 1 + len(event.value)
                self.put(self.scalar(event), event.start_mark, event.anchor, 1 + len(event.value))
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                self.open(event)
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                self.close()
            elif kind is AliasEvent:
                self.alias(event)
            elif kind is DocumentStartEvent:
                self.begin(event)
        return self.document

    def begin(self, event: DocumentStartEvent) -> None:
        self.documents += 1
        if self.documents > 1:
            self.refuse(event.start_mark, "A second YAML document starts here (`---`). Keep one.")
        if event.version == (1, 1):
            self.yaml.version = "1.1"

    def open(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        if event.tag not in (None, "!", f"{TAG}map", f"{TAG}seq"):
            self.refuse(event.start_mark, "A YAML tag stands here that can't be used. Remove it.")
        if len(self.stack) == DEEPEST:
            self.refuse(event.start_mark, f"Nested more than {DEEPEST} deep. Make it flatter.")
        self.expanded += 1
        self.stack.append(_Frame(event, self.expanded))

    def close(self) -> None:
        frame = self.stack.pop()
        if frame.merged is not _Missing:
            self.merge(frame)
        self.document.marks[id(frame.value)] = frame.marks
        self.put(frame.value, frame.mark, frame.anchor, self.expanded - frame.size_before + 1)

    def alias(self, event: AliasEvent) -> None:
        if event.anchor not in self.anchors:
            self.refuse(
                event.start_mark,
                f"'*{event.anchor}' stands here, but no '&{event.anchor}' ends before it. Correct one.",
            )
        value, size = self.anchors[event.anchor]
        self.grow(size, event.start_mark)
        self.put(value, event.start_mark, None, 0)

    def grow(self, size: int, mark: Any) -> None:
        self.expanded += size
        if self.expanded > MOST_EXPANDED:
            self.refuse(mark, "With its aliases (`*`) written out the file is too long. Use fewer.")

    def put(self, value: Any, mark: Any, anchor: str | None, size: int) -> None:
        """A finished value takes its place in what is open around it."""
        if anchor is not None:
            self.anchors[anchor] = (value, size)
        if not self.stack:
            if value is _Merge:
                self.refuse(mark, "'<<' can only be a key.")
            self.document.value = value
            return
        frame = self.stack[-1]
        if not frame.is_map:
            self.element(frame, value, mark)
        elif frame.key is _Missing:
            self.key(frame, value, mark)
        else:
            self.pair(frame, value, mark)

    def element(self, frame: _Frame, value: Any, mark: Any) -> None:
        if value is _Merge:
            self.refuse(mark, "'<<' can only be a key. Put it in quotes if text is meant.")
        frame.marks[len(frame.value)] = (mark, mark)
        frame.value.append(value)

    def key(self, frame: _Frame, value: Any, mark: Any) -> None:
        if isinstance(value, list | dict):
            self.refuse(mark, "A list or mapping stands where a name is due. Use text.")
        frame.key, frame.key_mark = value, mark

    def pair(self, frame: _Frame, value: Any, mark: Any) -> None:
        key, key_mark = frame.key, frame.key_mark
        frame.key = _Missing
        if value is _Merge:
            self.refuse(mark, "'<<' can only be a key. Put it in quotes if text is meant.")
        if key is _Merge:
            if frame.merged is not _Missing:
                self.refuse(key_mark, "'<<' stands twice in one mapping. Use one with a list.")
            frame.merged = value
        elif key in frame.marks:
            first = _place(frame.marks[key][0])[0]
            self.document.repeated.append(Repeated(_place(key_mark), key, first))
        else:
            frame.marks[key] = (key_mark, mark)
            frame.value[key] = value

    def merge(self, frame: _Frame) -> None:
        """`<<`: what is merged comes first and is overridden; of a list the earlier one wins."""
        sources = frame.merged if isinstance(frame.merged, list) else [frame.merged]
        if not all(isinstance(source, dict) for source in sources):
            self.refuse(frame.mark, "'<<' can only take mappings.")
        own, own_marks = dict(frame.value), dict(frame.marks)
        frame.value.clear()
        frame.marks.clear()
        for source in reversed(sources):
            self.grow(len(source), frame.mark)
            frame.value.update(source)
            frame.marks.update(self.document.marks[id(source)])
        frame.value.update(own)
        frame.marks.update(own_marks)

    def scalar(self, event: ScalarEvent) -> Any:
        value: str = event.value
        if event.ctag is None and event.implicit[0]:
            if value not in self.plain:
                self.plain[value] = self.resolve(event)
            return self.plain[value]
        if event.style == '"' and UNSAFE.search(value):
            self.refuse(event.start_mark, "An escape stands for a character no text can hold.")
        if event.ctag is None or event.tag == "!":
            return value
        return self.construct(event, event.ctag)

    def resolve(self, event: ScalarEvent) -> Any:
        """What a scalar without quotes means: most are text by their first letter alone."""
        value, resolver = event.value, self.yaml.resolver
        if value and value[0] not in resolver.versioned_resolver:
            return value
        tag = resolver.resolve(ScalarNode, value, (True, False))
        if str(tag) == f"{TAG}str":
            return value
        return _Merge if str(tag) == f"{TAG}merge" else self.construct(event, tag)

    def construct(self, event: ScalarEvent, tag: Tag) -> Any:
        node = ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        try:
            return self.yaml.constructor.construct_object(node, deep=True)
        except (YAMLError, LookupError, ValueError, AttributeError, TypeError, ArithmeticError) as e:
            # int(), date() and ruamel's own tables raise what they like: !!bool maybe, 2020-13-45
            self.refuse(
                event.start_mark,
                "This value can't be read as what it looks like. Put it in quotes if text is meant.",
                f"{type(e).__name__}: {e}",
            )

    def refuse(self, mark: Any, text: str, detail: str = "") -> Any:
        raise _bad(self.document.filename, _place(mark), text, detail)


def _place(mark: Any) -> Place:
    return (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
