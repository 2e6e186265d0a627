"""YAML: bytes -> a Document, in bounded time and memory. The only room of ruamel.yaml.

Built from ruamel.yaml's events, not with its loader: the loader recurses as deep as the file
nests, copies what `<<` merges without end and stops at the first repeated key. Built this way
it is also faster than the loader, so lines and columns come for free (issue 4, point 4). What a
plain scalar means is still ruamel's to say (YAML 1.2 unless the file says 1.1).
Knows: document, problem, errors.
"""

import re
from collections.abc import Hashable
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.tag import Tag

from spoolrunner.errors import BadProject
from spoolrunner.project.document import Document, Repeated, place_of
from spoolrunner.project.problem import Place, bad, quoted

# The largest public study has 1.3 MB and nests 6 deep (corpus README).
MOST_BYTES = 3 * 1024 * 1024
DEEPEST = 100
# The largest study of the corpus has 15,000 values; 2,000 of them numbers would be many.
MOST_VALUES = 150_000
MOST_NUMBERS = 20_000
# Python's parser needs up to 15 microseconds for a byte.
MOST_FOR_PYTHON = 64 * 1024
# Characters and values, aliases counted as often as they are used.
MOST_EXPANDED = 4 * 1024 * 1024

TAG = "tag:yaml.org,2002:"
# Nothing outside can take these: a NUL ends a C string, half a surrogate pair has no bytes.
UNSAFE = re.compile("[\0\ud800-\udfff]")


# int(), date() and ruamel's own tables raise what they like, at !!bool maybe or 2020-13-45.
_NOT_A_VALUE = (YAMLError, LookupError, ValueError, AttributeError, TypeError, ArithmeticError)


class _Merge:
    """What a plain `<<` stands for."""


class _Missing:
    """No key is waiting for its value."""


class _Frame:
    """A mapping or list whose end has not come yet. size_before: `expanded` when it began."""

    def __init__(self, event: MappingStartEvent | SequenceStartEvent, size_before: int) -> None:
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

    def __init__(self, filename: str, *, pure: bool = False) -> None:
        self.document = Document(filename)
        self.yaml = YAML(typ="safe", pure=pure)
        self.plain: dict[str, Any] = {}
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.stack: list[_Frame] = []
        self.expanded = 0
        self.values = 0
        self.numbers = 0
        self.documents = 0

    def build(self, data: bytes) -> Document:
        """Raises BadProject, YAMLError."""
        event: Any
        for event in self.yaml.parse(data):
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
            here, before = quoted(f"*{event.anchor}"), quoted(f"&{event.anchor}")
            text = f"{here} stands here, but no {before} ends before it. Correct it."
            self.refuse(event.start_mark, text)
        value, size = self.anchors[event.anchor]
        self.grow(size, event.start_mark)
        self.put(value, event.start_mark, None, 0)

    def grow(self, size: int, mark: Any) -> None:
        self.expanded += size
        if self.expanded > MOST_EXPANDED:
            self.refuse(mark, "With its aliases (`*`) written out the file is too long. Use fewer.")

    def put(self, value: Any, mark: Any, anchor: str | None, size: int) -> None:
        """A finished value takes its place in what is open around it."""
        self.values += 1
        if self.values > MOST_VALUES:
            self.refuse(mark, f"More than {MOST_VALUES:,} values. Split the study.")
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
            first = place_of(frame.marks[key][0])[0]
            self.document.repeated.append(Repeated(place_of(key_mark), key, first))
            self.document.dropped.append(value)
        else:
            frame.marks[key] = (key_mark, mark)
            frame.value[key] = value

    def merge(self, frame: _Frame) -> None:
        """`<<`: what is merged comes first and is overridden; of a list the earlier one wins."""
        sources = frame.merged if isinstance(frame.merged, list) else [frame.merged]
        if not all(isinstance(source, dict) for source in sources):
            self.refuse(frame.mark, "'<<' can only take mappings.")
        self.document.dropped.append(frame.merged)
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
        self.numbers += 1
        if self.numbers > MOST_NUMBERS:
            self.refuse(
                event.start_mark, f"More than {MOST_NUMBERS:,} numbers. Put them in a file."
            )
        node = ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        try:
            return self.yaml.constructor.construct_object(node, deep=True)
        except _NOT_A_VALUE as error:
            text = "This value can't be read as what it looks like. Put it in quotes if it is text."
            self.refuse(event.start_mark, text, f"{type(error).__name__}: {error}")

    def refuse(self, mark: Any, text: str, detail: str = "") -> Any:
        raise bad(self.document.filename, place_of(mark), text, detail)


def load(data: bytes, filename: str) -> Document:
    """Raises BadProject if it is no single YAML document, or larger than anything we know."""
    if len(data) > MOST_BYTES:
        text = f"The file is larger than {MOST_BYTES // 1024**2} MiB. Split the study."
        raise bad(filename, (0, 0), text)
    try:
        return _Builder(filename).build(data)
    except YAMLError as error:
        if len(data) > MOST_FOR_PYTHON:
            raise _unreadable(data, filename, error) from error
    # Both originals ask the parser written in Python when the one in C refuses; they disagree on
    # rare things such as line separators of Unicode.
    try:
        return _Builder(filename, pure=True).build(data)
    except YAMLError as error:
        raise _unreadable(data, filename, error) from error


def _unreadable(data: bytes, filename: str, error: YAMLError) -> BadProject:
    if not isinstance(error, MarkedYAMLError):
        text = "The file is not text in UTF-8, or it holds control characters. Save it as UTF-8."
        return bad(filename, (0, 0), text, str(error))
    place, text = _syntax(data, place_of(error.problem_mark or error.context_mark))
    return bad(filename, place, text, str(error))


def _syntax(data: bytes, place: Place) -> tuple[Place, str]:
    """The commonest causes by name (corpus README, oddity 8), with the line to look at."""
    lines = data.splitlines()
    for number, line in enumerate(lines, 1):
        if line.startswith((b"<<<<<<< ", b">>>>>>> ")):
            return (number, 1), "This is no YAML: Git left a conflict mark here. Resolve it."
    if any(b"\t" in line for line in lines[max(place[0] - 2, 0) : place[0]]):
        return place, "This is no YAML: a tab stands here or just above. Indent with spaces."
    return place, "This is no YAML. Look at indentation, colons and quotes here and just above."
