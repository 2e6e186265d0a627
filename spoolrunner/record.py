"""Records: every JSON file of ours as a typed, versioned record; others' JSON, strictly read.

Our own files are written by us alone, so they are decoded straight into their type; fields of a
newer version that we can't keep are refused, never dropped. What others wrote is read with the
standard library, because that can tell doubled keys and NaN, which msgspec lets pass.
Knows: errors. The only module that knows msgspec.
"""

import codecs
import json
import threading
from typing import Any, TypeVar

import msgspec

from spoolrunner.errors import BadMachine, BadRequest

MAX_DEPTH = 32
# A type is taken apart at its first use. Where a second thread comes upon it half-way msgspec 0.22
# follows a null pointer (seen as a segmentation fault of a runner that had just started).
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_one_at_a_time = threading.Lock()
NEWER = "newer_format"


class Record(msgspec.Struct, forbid_unknown_fields=True):
    """Base of all records."""


class Frozen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record that is a value: hashable, never changed."""


R = TypeVar("R")


def changed(record: R, **fields: Any) -> R:
    """A copy of the record with these fields replaced."""
    return msgspec.structs.replace(record, **fields)  # type: ignore[type-var]


def to_json(value: object) -> bytes:
    """Indented, keys in the order of the fields, a newline at the end: people read these files."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def to_line(value: object) -> bytes:
    """One line of JSON with its newline, for files that are appended to."""
    return msgspec.json.encode(value) + b"\n"


def from_json(data: bytes, kind: type[R], name: str) -> R:
    """Decode a file of ours; name is its path, for the message.

    Raises BadMachine if it is torn or of another shape, and with the kind NEWER if it says it is of
    a later format: that one is nobody's to repair, move or replace.
    """
    newest = _known_format(kind)
    try:
        found: R = _decoder(kind).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if newest and _format_of(data) > newest:
            raise _newer(name) from error
        raise BadMachine(
            f"{name} is not a file this version of spoolrunner wrote: {error}.",
            kind="unreadable_record",
            hint="Run `spoolrunner check`.",
        ) from error
    if newest and getattr(found, "format", 0) > newest:
        raise _newer(name)
    return found


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    with _one_at_a_time:
        if kind not in _decoders:
            _decoders[kind] = msgspec.json.Decoder(kind)
        return _decoders[kind]


def _known_format(kind: Any) -> int:
    """The default of its field `format` is the newest one we know; 0 for what has no such field."""
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return 0
    names, defaults = kind.__struct_fields__, kind.__struct_defaults__
    known = dict(zip(reversed(names), reversed(defaults), strict=False))
    return int(known.get("format", 0))


def _format_of(data: bytes) -> int:
    """The format a file says it has, 0 if it says nothing."""
    try:
        found = parse_foreign(data).get("format")
    except BadRequest:
        return 0
    return found if isinstance(found, int) else 0


def _newer(name: str) -> BadMachine:
    return BadMachine(
        f"{name} was written by a newer spoolrunner.",
        kind=NEWER,
        hint="Go on with that version; this one leaves the file as it is.",
    )


def convert(value: object, kind: type[R]) -> R:
    """Turn parsed JSON into a record. Raises BadRequest saying which field is wrong and why."""
    _decoder(kind)
    try:
        return msgspec.convert(value, type=kind)
    except msgspec.ValidationError as error:
        raise BadRequest(f"A field has the wrong type: {error}.", kind="wrong_type") from error


def builtins(value: object) -> Any:
    """A record as plain dicts and lists, for `--json`."""
    return msgspec.to_builtins(value)


def parse_foreign(data: bytes) -> dict[str, Any]:
    """One JSON object written by somebody else: UTF-8, with or without BOM.

    Raises BadRequest: kind "not_utf8", "not_json" (incomplete or broken), "not_an_object",
    "doubled_key", "too_deep", "bad_number" (of thousands of digits), "bad_text" (lone surrogates,
    which no JSON file of ours could keep).
    """
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise BadRequest("The file is not UTF-8 text.", kind="not_utf8") from error
    value = _parse(text)
    if not isinstance(value, dict):
        raise BadRequest("The file holds JSON, but not one object {...}.", kind="not_an_object")
    _check(value, MAX_DEPTH)
    return value


def _parse(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_no_doubles, parse_constant=_no_constant)
    except RecursionError as error:
        raise BadRequest("The JSON is nested too deeply.", kind="too_deep") from error
    except json.JSONDecodeError as error:
        raise BadRequest(
            f"The file is not JSON: line {error.lineno}, column {error.colno}: {error.msg}.",
            kind="not_json",
        ) from error
    except ValueError as error:
        raise BadRequest("The JSON holds a number that is too long.", kind="bad_number") from error


def _no_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    seen: dict[str, object] = {}
    for key, value in pairs:
        if key in seen:
            raise BadRequest(f"The key {key!a} stands twice in one object.", kind="doubled_key")
        seen[key] = value
    return seen


def _no_constant(word: str) -> object:
    raise BadRequest(f"{word} is not JSON.", kind="not_json")


def _check(value: object, depth: int) -> None:
    if depth == 0:
        raise BadRequest("The JSON is nested too deeply.", kind="too_deep")
    if isinstance(value, str):
        if not value.isascii() and any(0xD800 <= ord(letter) <= 0xDFFF for letter in value):
            raise BadRequest("A text holds half a character (a lone surrogate).", kind="bad_text")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check(key, depth)
            _check(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, depth - 1)
