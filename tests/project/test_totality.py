"""Whatever the bytes are: a Project or BadProject. What fails here is made small by hypothesis.

Many more, and faster: `python -m tests.fuzz.project`.
"""

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.inputs import CORPUS, PIECES, texts
from tests.fuzz.project import check

EXAMPLES = 400

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
    check(as_yaml(value).encode("utf-8", "surrogatepass"))


@seed(21)
@calm
@given(
    st.sampled_from(texts()),
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
    check(text)


@seed(22)
@calm
@given(st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(PIECES)).map(b"".join)))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    check(data)


if CORPUS.exists():  # beside the checkout; a fresh clone has none

    def test_the_corpus_is_among_the_texts() -> None:
        assert len(texts()) > 20
