"""Whatever the bytes are: a Project or BadProject. Longer runs: SPOOLRUNNER_FUZZ=200000."""

import os
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from spoolrunner.errors import BadProject
from spoolrunner.project import Project, read

EXAMPLES = int(os.environ.get("SPOOLRUNNER_FUZZ", "400"))
CORPUS = Path(__file__).parents[3] / "shared/corpus/project_yaml"

SEED = b"""\
version: '3.0'
expectations: {population_size: 1000}
actions:
  cohort: &c
    run: >
      cohortextractor:v1 generate_cohort
      --study-definition 'a b'
    outputs: {highly_sensitive: {cohort: output/input_*.csv.gz}}
    config: {a: [1, 2.5, null, true, 2020-01-01], b: "it's"}
  model:
    <<: *c
    run: r:latest x.R
    needs: [cohort]
    outputs:
      moderately_sensitive:
        table: output/x.csv
  3: {run: 'ehrql:v1 generate-dataset --output o.arrow', outputs: {highly_sensitive: {d: o.arrow}}}
"""
TEXTS = [SEED] + [
    path.read_bytes() for path in sorted(CORPUS.glob("*.yaml")) if path.stat().st_size < 6_000
]
PIECES = (
    *(
        b": ",
        b"- ",
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b"&a ",
        b"*a",
        b"<<: *a",
        b"<<",
        b"!!int ",
        b"!x ",
    ),
    *(
        b"|\n",
        b">\n",
        b"#",
        b'"',
        b"'",
        b"\\",
        b"\t",
        b"\r",
        b"\n",
        b"\n\n  ",
        b"?",
        b"%",
        b"@",
        b"`",
    ),
    *(b"\0", b"\xff", b"\xc3\xa9", b"\xe2\x80\xa8", b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf", b"---\n"),
    *(
        b"null",
        b"true",
        b"1e999",
        b"0x1f",
        b"2020-13-45",
        b".nan",
        b"=",
        b"'\\0'",
        b'"\\ud800"',
        b"~",
    ),
)

# Values of any kind wherever a file has one.
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.text(max_size=20),
    st.sampled_from(["run", "a:v1 b", "python:v2", "../x", "a.csv", "first", "run_all", "**"]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(scalars, st.sampled_from(["outputs", "needs", "run"])), inner, max_size=4
        ),
    ),
    max_leaves=8,
)
LEVELS = ("highly_sensitive", "moderately_sensitive", "minimally_sensitive")


def either(*usual: object) -> st.SearchStrategy[object]:
    return st.one_of(st.sampled_from(usual), values)


outputs = st.dictionaries(
    st.one_of(st.sampled_from(LEVELS), scalars),
    st.one_of(st.dictionaries(scalars, either("a.csv", "b/*.csv", "b.pdf"), max_size=3), values),
    max_size=3,
)
entries = st.fixed_dictionaries(
    {},
    optional={
        "run": either(
            "python:v2 a", "cohortextractor:v1 generate_cohort", "databuilder:v0 generate_dataset"
        ),
        "needs": st.one_of(st.lists(either("first", "second"), max_size=3), values),
        "outputs": st.one_of(outputs, values),
        "config": values,
        "dummy_data_file": values,
    },
)


def _hashable(key: object) -> bool:
    return not isinstance(key, list | dict)


projects = st.fixed_dictionaries(
    {
        "version": either(1, 2, 3, "3.0", 4, 5, "5.0"),
        "expectations": either({"population_size": 1000}, None),
        "actions": st.one_of(
            st.dictionaries(either("first", "second", "run_all").filter(_hashable), entries),
            values,
        ),
    }
)


def is_read_or_refused(data: bytes) -> None:
    try:
        project = read(data)
    except BadProject:
        return
    assert isinstance(project, Project)
    for name in project.actions:
        for dummy_data in (True, False):
            try:
                words = project.command(name, dummy_data=dummy_data)
            except BadProject:
                continue
            assert words
            assert all(isinstance(word, str) for word in words)


def as_yaml(value: object) -> str:
    """Flow style; not always what was meant, nor always YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_yaml(k)}: {as_yaml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_yaml, value)) + "]"
    return {None: "null", True: "true", False: "false"}.get(value, repr(value))  # type: ignore[call-overload, no-any-return]


calm = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@seed(20)
@calm
@given(projects)
def test_any_tree_of_values_is_read_or_refused(value: object) -> None:
    is_read_or_refused(as_yaml(value).encode("utf-8", "surrogatepass"))


@seed(21)
@calm
@given(
    st.sampled_from(TEXTS),
    st.lists(
        st.tuples(st.integers(0, 6_000), st.integers(0, 12), st.sampled_from(PIECES)),
        min_size=1,
        max_size=4,
    ),
)
def test_any_change_of_a_real_file_is_read_or_refused(
    text: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    for at, gone, piece in changes:
        start = at % (len(text) + 1)
        text = text[:start] + piece + text[start + gone :]
    is_read_or_refused(text)


@seed(22)
@calm
@given(st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(PIECES)).map(b"".join)))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    is_read_or_refused(data)


if CORPUS.exists():  # beside the checkout; a fresh clone has none

    def test_the_corpus_is_among_the_texts() -> None:
        assert len(TEXTS) > 20
