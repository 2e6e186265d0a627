"""Patterns claim files; the most private level wins."""

import pytest

from spoolrunner.outputs import (
    MAX_NAME_BYTES,
    Matcher,
    Pattern,
    claim,
    collisions,
    name_problem,
    shown,
)
from spoolrunner.request import Level

HIGH, MODERATE, MINIMAL = Level


@pytest.mark.parametrize(
    ("pattern", "path", "claims"),
    [
        ("output/a.csv", "output/a.csv", True),
        ("output/a", "output/a.csv", False),  # a prefix was enough from 2020 to 2025
        ("*.txt", "x.txt.gz", False),
        ("*.csv", "output/a.csv", False),
        ("output/*.csv", "output/deep/a.csv", False),
        ("output/*/a.csv", "output/deep/a.csv", True),
        ("*.csv", ".hidden.csv", True),
        ("output/*.csv", "output/a\nb.csv", True),
        ("a.csv", "a.csv\n", False),
        ("a.csv", "aXcsv", False),
        ("a[1].csv", "a1.csv", False),
        ("a[1].csv", "a[1].csv", True),
        ("a+b.csv", "a+b.csv", True),
        ("*.csv", "A.CSV", False),
        ("a*c*e.csv", "abcde.csv", True),
        ("output/*", "output/", True),
    ],
)
def test_a_pattern_matches_a_whole_name_and_a_star_stays_in_its_folder(pattern, path, claims):
    found = claim([path], [Pattern(HIGH, pattern)])
    assert (path in found.levels) is claims
    assert found.unmatched == ([] if claims else [pattern])


@pytest.mark.attack("a second pattern lowers the level of an output")
def test_the_most_private_level_wins_whatever_the_order_and_the_clash_is_told():
    for patterns in (
        [Pattern(MINIMAL, "o/*.csv"), Pattern(MODERATE, "o/a.csv"), Pattern(HIGH, "o/a*")],
        [Pattern(HIGH, "o/a*"), Pattern(MODERATE, "o/a.csv"), Pattern(MINIMAL, "o/*.csv")],
    ):
        found = claim(["o/a.csv", "o/b.csv"], patterns)
        assert found.levels == {"o/a.csv": HIGH, "o/b.csv": MINIMAL}
        assert found.clashes == {"o/a.csv": [HIGH, MODERATE, MINIMAL]}
        assert found.unmatched == []


def test_one_pattern_written_at_two_levels_is_a_clash_too():
    found = claim(["a"], [Pattern(MODERATE, "a"), Pattern(HIGH, "a")])
    assert found.levels == {"a": HIGH}
    assert found.clashes == {"a": [HIGH, MODERATE]}


def test_folders_where_outputs_would_lie_concern_a_pattern():
    matcher = Matcher([Pattern(HIGH, "output/*/x.csv")])
    concerned = ["output", "output/any", "output/any/x.csv"]
    assert [path for path in [*concerned, "other", "output/any/y"] if matcher.concerns(path)] == (
        concerned
    )


@pytest.mark.parametrize(
    "path",
    [
        "metadata/manifest.json",
        "Metadata/x.log",
        "o/.draft-0123456789abcdef",
        "o/new\nline.csv",
        "o/bell\x07.csv",
        "o/\u202egnp.csv",
        "o/zero\u200bwidth.csv",
        "o/not-utf8-\udcff.csv",
        "o/" + "x" * (MAX_NAME_BYTES + 1),
        "/".join(["x" * 200] * 6),
    ],
)
def test_a_name_that_could_mislead_or_break_something_is_refused_with_a_reason(path):
    assert name_problem(path)


@pytest.mark.parametrize("path", ["o/a b'.csv", "o/é漢.csv", ".hidden.csv", "x" * MAX_NAME_BYTES])
def test_an_ordinary_name_is_fine(path):
    assert name_problem(path) == ""


def test_names_that_differ_only_in_case_are_all_refused():
    assert set(collisions(["o/A.csv", "o/a.csv", "o/b.csv", "o/É", "o/e\u0301"])) == {
        "o/A.csv",
        "o/a.csv",
        "o/É",
        "o/e\u0301",
    }


def test_a_hostile_name_is_shown_without_its_effect():
    assert shown("a\nb\udcff\u202e") == "a\\nb\\udcff\\u202e"
    assert shown("ordinary é.csv") == "ordinary é.csv"
