"""Every ordinary output is shown, no leak is; wherever a leak stands, in whatever form."""

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spoolrunner.release import Rules
from spoolrunner.release.logs import without_tables
from tests.outputs import leaks, ordinary
from tests.outputs.cases import finding, held_back, is_contained

PLACES = {
    "t.csv": ordinary.TABLES,
    "t.txt": ordinary.TEXTS,
    "t.log": {what: case for what, case in ordinary.LOGS.items() if case[0] == "t.log"},
    "t.md": ordinary.TEXTS,
    "t.html": ordinary.PAGES,
}
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"]
NAMES = ["patient_id", "PATIENT_ID", "PatientID", "Patient Id", "patient-id", "patient.id"]


def test_both_sets_are_as_large_as_was_asked():
    assert len(ordinary.ALL) >= 60
    assert len(leaks.ALL) >= 40


@pytest.mark.parametrize("what", ordinary.ALL)
def test_an_ordinary_output_is_shown(what):
    assert held_back(*ordinary.ALL[what]) == ""


@pytest.mark.attack("patients are to be seen at medium privacy ({what})")
@pytest.mark.parametrize("what", leaks.ALL)
def test_a_leak_is_held_back(what):
    assert is_contained(*leaks.ALL[what])


def lines_of(place: str) -> list[list[str]]:
    """The lines of every ordinary file of this type that is plain text."""
    found = []
    for name, data in PLACES[place].values():
        if name == place and len(data) < 20_000 and not data.startswith((b"\xff\xfe", b"\xef")):
            try:
                found.append(data.decode("utf-8").splitlines())
            except UnicodeDecodeError:
                continue
    return found


@st.composite
def tables(draw, delimiters=(",", "\t", ";", "|")):
    """The lines of a table that identifies patients."""
    delimiter = draw(st.sampled_from(delimiters))
    quote = draw(st.sampled_from(["", '"']))
    width = draw(st.integers(1, 4))
    column = draw(st.integers(0, width))
    names = [f"name{n}" for n in range(width)]
    names.insert(column, draw(st.sampled_from(NAMES)))
    rows = draw(st.integers(2, 5))
    cells = [
        [
            str(draw(st.integers(1, 10**9))) if n == column else draw(st.sampled_from("FMx5"))
            for n in range(width + 1)
        ]
        for _ in range(rows)
    ]
    return [delimiter.join(f"{quote}{cell}{quote}" for cell in row) for row in [names, *cells]]


@st.composite
def printed(draw):
    """The same as pandas and R print it: aligned to the right, with or without numbers of rows."""
    numbered = draw(st.booleans())
    width = draw(st.integers(1, 3))
    column = draw(st.integers(0, width))
    names = [f"name{n}" for n in range(width)]
    names.insert(column, draw(st.sampled_from(["patient_id", "PATIENT_ID", "PatientID"])))
    rows = [
        [str(draw(st.integers(1, 10**9))) for _ in names] for _ in range(draw(st.integers(2, 5)))
    ]
    wide = 12
    return [
        (" " * 4 if numbered and not n else f"{n:<4}" if numbered else "")
        + "".join(f"{cell:>{wide}}" for cell in row)
        for n, row in enumerate([names, *rows])
    ]


@pytest.mark.parametrize("place", ["t.csv", "t.txt", "t.log", "t.md"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_table_of_patients_is_found_wherever_it_stands(place, data):
    lines = list(data.draw(st.sampled_from(lines_of(place))))
    at = data.draw(st.integers(0, len(lines)))
    lines[at:at] = data.draw(tables() | printed())
    encoding = data.draw(st.sampled_from(ENCODINGS))
    ends = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = ends.join([*lines, ""]).encode(encoding, "replace")
    assert "identifies" in finding(place, text).reason


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_table_of_patients_is_found_anywhere_in_a_page(data):
    page = ordinary.R_MARKDOWN
    inner = data.draw(tables(delimiters=("\t", ",")).map("\n".join))
    if data.draw(st.booleans()):
        rows = [line.replace('"', "").replace(",", "\t").split("\t") for line in inner.split("\n")]
        made = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
        inner = "<table>" + "".join(f"<tr>{row}</tr>" for row in made) + "</table>"
    else:
        inner = f"<pre>\n{inner}\n</pre>"
    places = [at for at in range(len(page)) if page.startswith(("<p", "<img", "<br", "</body"), at)]
    at = data.draw(st.sampled_from(places))
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
    found = finding("t.html", (page[:at] + inner + page[at:]).encode(encoding))
    assert "identifies" in found.reason


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_table_of_patients_is_cut_out_of_a_log_wherever_the_chunks_end(data):
    what = data.draw(st.sampled_from(["a Python log", "an R log", "a Stata log"]))
    lines = ordinary.LOGS[f"{what} as the job's log"][1].decode().splitlines()
    at = data.draw(st.integers(0, len(lines)))
    table = data.draw(tables() | printed())
    text = "\n".join([*lines[:at], *table, *lines[at:], ""]).encode()
    size = data.draw(st.integers(1, len(text)))
    shown = b"".join(without_tables(text[n : n + size] for n in range(0, len(text), size))).decode()
    # what stands right below may go with it; what stands above, or below words, must not
    assert shown.startswith("\n".join(lines[:at]))
    assert not set(table) & set(shown.splitlines())
    assert shown.count("[spoolrunner:") >= 1


WORDS = (
    "the we of joined on patient_id rows 12 were kept, age: and (see x.csv) = <- df 3.5 by".split()
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(lines=st.lists(st.lists(st.sampled_from(WORDS), min_size=6, max_size=14), max_size=30))
def test_prose_is_not_taken_for_a_table(lines):
    """Sentences with the word among others; a number begins none, as it may in a table."""
    text = "\n".join(" ".join(["Then", *words, "done."]) for words in lines).encode()
    for name in ("t.txt", "t.md", "t.log"):
        assert held_back(name, text) == ""
    assert held_back("job.log", text) == ""


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.binary(max_size=300), name=st.sampled_from(sorted(Rules().file_types)))
def test_any_bytes_are_decided_upon_and_never_an_error(data, name):
    finding(f"t{name}", data)
    for start in (b"<svg ", b"<a ", b"[", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\x1f\x8b\x08\0"):
        finding(f"t{name}", start + data)
    assert len(b"".join(without_tables([data]))) <= len(data) + 200


def test_a_log_of_any_length_is_read_with_little_memory():
    chance = random.Random(1)
    line = (
        b"2026-11-22T17:30:46.123456789Z joined on patient_id "
        + chance.randbytes(20).hex().encode()
    )
    tracemalloc.start()
    try:
        size = sum(len(part) for part in without_tables(line + b"\n" for _ in range(3_000)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == 3_000 * (len(line) + 1)
    assert peak < 1_000_000
