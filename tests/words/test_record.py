"""Other people's JSON is read strictly; ours is typed."""

import subprocess
import sys

import pytest

from spoolrunner.errors import BadMachine, BadRequest
from spoolrunner.record import MAX_DEPTH, NEWER, from_json, parse_foreign, to_json
from spoolrunner.request import Request, WorkspaceRef
from spoolrunner.workspace.storage import Marker


@pytest.mark.parametrize(
    "data",
    [b'{"a": "\xc3\xa4"}', b'\xef\xbb\xbf{"a": "\xc3\xa4"}', b'{\r\n"a": "\\u00e4"\r\n}\r\n'],
    ids=["plain", "byte order mark", "carriage returns"],
)
def test_an_object_is_read_however_an_editor_saved_it(data: bytes) -> None:
    assert parse_foreign(data) == {"a": "ä"}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "not_json"),
        (b'{"a": 1', "not_json"),
        (b'{"a": 1} {', "not_json"),
        (b'{"a": NaN}', "not_json"),
        (b'{"a": -Infinity}', "not_json"),
        (b'{"a": ' + b"9" * 5000 + b"}", "bad_number"),
        (b"\xff\xfe{\0}\0", "not_utf8"),
        (b'{"a": "\xc3', "not_utf8"),
        (b"[1, 2]", "not_an_object"),
        (b"12", "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"a": 1, "a": 2}', "doubled_key"),
        (b'{"x": {"a": 1, "\\u0061": 2}}', "doubled_key"),
        (b'{"a": "\\ud800"}', "bad_text"),
        (b'{"\\udfff": 1}', "bad_text"),
        (b'{"a":' * 100_000, "too_deep"),
        (b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "too_deep"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_not_one_clean_object_is_refused_by_its_kind(data: bytes, kind: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_foreign(data)
    assert caught.value.kind == kind


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert parse_foreign(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_no_prefix_of_an_object_is_an_object() -> None:
    data = to_json({"a": [1, {"b": "ä\\"}], "c": 12.5, "d": None})
    for length in range(len(data.rstrip())):
        with pytest.raises(BadRequest) as caught:
            parse_foreign(data[:length])
        assert caught.value.kind in ("not_json", "not_utf8")


def test_a_record_comes_back_as_it_was_and_a_newer_ones_fields_are_not_dropped() -> None:
    request = Request(
        identifier="r1",
        sequence=1,
        backend="tpp",
        workspace=WorkspaceRef(name="ws", repo="r", branch="main"),
        requested_actions=["a"],
        created_at="2026-11-22T10:00:00Z",
    )
    data = to_json(request)
    assert from_json(data, Request, "r1") == request
    with pytest.raises(BadMachine):
        from_json(data.replace(b'"sequence"', b'"tomorrow": 1, "sequence"'), Request, "r1")


def test_a_file_of_a_later_format_is_told_from_a_torn_one() -> None:
    for text in (b'{"format": 99}', b'{"format": 99, "level": "high"}'):
        with pytest.raises(BadMachine) as caught:
            from_json(text, Marker, "a file")
        assert caught.value.kind == NEWER
    with pytest.raises(BadMachine) as caught:
        from_json(b'{"format": 1, "lev', Marker, "a file")
    assert caught.value.kind == "unreadable_record"


def test_what_has_no_format_is_read_as_it_is() -> None:
    assert from_json(b'"a word"', str, "a file") == "a word"
    assert from_json(b"[7]", list[int], "a file") == [7]


MEETS_HALF_WAY = """
import threading
from spoolrunner import record

entered, opened = threading.Event(), threading.Event()

class Gate:
    def __class_getitem__(cls, item):
        entered.set()
        opened.wait()
        return int

class Inner(record.Record):
    x: "Gate[0]"

class Outer(record.Record):
    inner: Inner

def read():
    assert record.from_json(b'{"inner": {"x": 1}}', Outer, "x").inner.x == 1

first, second = (threading.Thread(target=read) for _ in range(2))
first.start()
entered.wait()
second.start()
second.join(0.2)  # it would crash within this time
opened.set()
first.join()
second.join()
"""


def test_two_threads_may_meet_a_type_for_the_first_time_at_once() -> None:
    """It ended the interpreter: msgspec shows a type that it has taken apart by half."""
    done = subprocess.run([sys.executable, "-c", MEETS_HALF_WAY], check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
