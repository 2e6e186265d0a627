"""The rows of reference/opensafely.md 2.1 to 2.6, each under version 3 and version 5.

"old" in a table: accepted with a warning, as job-runner 2.52.3 does; "today": today's parser takes
it and 2.52.3 doesn't; "ok": both do; "no": refused.
"""

import pytest

from spoolrunner.errors import BadProject
from spoolrunner.project import Problem, Project, read
from spoolrunner.request import Level

HEAD = {
    "3": "version: '3.0'\nexpectations: {population_size: 1000}\n",
    "5": "version: '5.0'\n",
}
ACTION = "  first: {run: 'python:v2 a.py', outputs: {highly_sensitive: {a: a.csv}}}\n"
NEEDS_X = "  y: {run: 'r:v2 x', needs: x, outputs: {highly_sensitive: {c: c.csv}}}\n"
NEEDS_1 = "  x: {run: 'r:v2 x', needs: [1], outputs: {highly_sensitive: {c: c.csv}}}\n"


def project(version: str, actions: str) -> bytes:
    return f"{HEAD[version]}actions:\n{actions}".encode()


def verdict(data: bytes) -> str:
    """ "no", "ok", or "warned" if taken with more than the remark about its version."""
    try:
        found = read(data)
    except BadProject:
        return "no"
    return "warned" if any("is old" not in warning for warning in found.warnings) else "ok"


def entry(run: str = "python:v2 b.py", level: str = "highly_sensitive", path: str = "b.csv") -> str:
    return f"  it: {{run: {run}, outputs: {{{level}: {{b: {path}}}}}}}\n"


def problems(data: bytes) -> tuple[Problem, ...]:
    with pytest.raises(BadProject) as refused:
        read(data)
    assert all(isinstance(problem, Problem) for problem in refused.value.problems)
    return refused.value.problems  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        *(("", "no"), ("null", "no"), ("text", "no"), ("[5]", "no"), ("6", "no"), ("99", "no")),
        *(("1", "ok"), ("'1'", "ok"), ("1.0", "ok"), ("true", "ok"), ("0", "ok"), ("-2", "ok")),
        *(("0.5", "ok"), (".nan", "ok"), ("1.5", "warned"), ("2", "ok"), ("4", "ok")),
        *(
            ("5", "ok"),
            ("'5.0'", "ok"),
            ("4.5", "ok"),
            (".inf", "no"),
            ("3", "no"),
            ("3.5", "warned"),
        ),
    ],
)
def test_a_version_is_known_or_refused(version: str, expected: str) -> None:
    assert verdict(f"version: {version}\nactions:\n{ACTION}".encode()) == expected


@pytest.mark.parametrize(
    ("expectations", "at_3", "at_4"),
    [
        ("{population_size: 1000}", "ok", "no"),
        ("{population_size: '1000'}", "ok", "no"),
        ("{population_size: 10.7}", "ok", "no"),
        ("{population_size: 1, more: 2}", "warned", "no"),
        ("null", "no", "ok"),
        ("{}", "no", "no"),
        ("{population_size: null}", "no", "no"),
        ("{population_size: abc}", "no", "no"),
        ("{population_size: .inf}", "no", "no"),
        ("[population_size]", "no", "no"),
    ],
)
def test_expectations_belong_to_version_3(expectations: str, at_3: str, at_4: str) -> None:
    for version, expected in (("3", at_3), ("4", at_4)):
        text = f"version: {version}\nexpectations: {expectations}\nactions:\n{ACTION}"
        assert verdict(text.encode()) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "[1]", "5", "# nothing", "a: b: c", "a:\n\t- b", "a: 1\na: 2"),
        *(
            "version: 5",
            "version: 5\nactions:",
            "version: 5\nactions: []",
            "version: 5\nactions: x",
        ),
        *("a: &a [*a]", "a: *b", "a: !!python/object:os.system x", "a: !!bool maybe"),
        *(
            "a: 2020-13-45",
            "--- a\n--- b",
            "a: <<",
            "? [a]\n: b",
            "<<<<<<< HEAD\na: b",
            "a: =",
            "<<: 1",
        ),
    ],
)
def test_what_is_no_project_is_refused(text: str) -> None:
    assert verdict(text.encode()) == "no"


@pytest.mark.parametrize(
    ("actions", "at_3", "at_5"),
    [
        ("  it: x\n", "no", "no"),
        ("  it: {outputs: {highly_sensitive: {b: b.csv}}}\n", "no", "no"),
        ("  it: {run: 'python:v2 x'}\n", "no", "no"),
        (entry() + "  more: 1\n", "no", "no"),
        (entry(run="5"), "no", "no"),
        (entry(run="''"), "no", "no"),
        (entry(run="'  '"), "no", "no"),
        (entry(run='"python:v2 \'x"'), "no", "no"),
        (entry(run="python x"), "no", "no"),
        (entry(run="'python: x'"), "no", "no"),
        (entry(run="python:1.0 x"), "warned", "no"),
        (entry(run="python:v1.2.3 x"), "ok", "ok"),
        (entry(run="python:v1-pre x"), "ok", "ok"),
        (entry(run="python:v1-rc1 x"), "warned", "no"),
        (entry(run="python:dev x"), "ok", "ok"),
        (entry(run="python:latest x"), "ok", "no"),
        (entry(run="cohortextractor:v1 measures"), "ok", "no"),
        (entry().replace("run:", "extra: 1, run:"), "warned", "no"),
        (entry().replace("run:", "needs: null, run:"), "warned", "ok"),
        (entry().replace("run:", "needs: [], run:"), "ok", "ok"),
        (entry().replace("run:", "needs: first, run:"), "no", "no"),
        (entry().replace("run:", "needs: [first, first], run:"), "ok", "ok"),
        (entry().replace("it:", "x:") + NEEDS_X, "warned", "no"),
        (entry().replace("it:", "x:").replace("run:", "needs: x, run:"), "no", "no"),
        (entry().replace("it:", "x:").replace("run:", "needs: {x: 1}, run:"), "no", "no"),
        (entry().replace("run:", "needs: [first second], run:"), "no", "no"),
        (entry().replace("run:", "needs: [1], run:"), "no", "no"),
        (entry().replace("run:", "needs: [[first]], run:"), "no", "no"),
        (entry().replace("run:", "needs: [nobody], run:"), "no", "no"),
        (entry().replace("it:", "1:"), "ok", "ok"),
        (entry().replace("it:", "1:") + NEEDS_1, "warned", "no"),
        (entry().replace("run:", "config: [1], run:"), "warned", "no"),
        (entry().replace("run:", "dummy_data_file: 1, run:"), "warned", "no"),
        (entry().replace("{highly_sensitive: {b: b.csv}}", "[b.csv]"), "no", "no"),
        (entry().replace("{highly_sensitive: {b: b.csv}}", "{}"), "warned", "no"),
        (entry().replace("{b: b.csv}", "null"), "no", "no"),
        (entry().replace("{b: b.csv}", "{}"), "ok", "ok"),
        (entry().replace("{b: b.csv}", "[b.csv]"), "no", "no"),
        (entry().replace("{b: b.csv}}", "{b: b.csv}, moderately_sensitive: null}"), "warned", "ok"),
        (entry(level="highly sensitive"), "no", "no"),
        (entry(path="5"), "no", "no"),
        (entry(path="[b.csv]"), "no", "no"),
        (entry().replace("it:", "run_all:"), "warned", "no"),
        (entry(run="python:v2 a.py"), "no", "no"),
        (entry(run="python:v1 a.py"), "warned", "ok"),
        (entry(run="python:v2  a.py"), "warned", "ok"),
        (entry(path="a.csv"), "no", "no"),
    ],
)  # fmt: skip
def test_an_entry_is_read_as_the_originals_do(actions: str, at_3: str, at_5: str) -> None:
    assert verdict(project("3", ACTION + actions)) == at_3
    assert verdict(project("5", ACTION + actions)) == at_5


@pytest.mark.parametrize(
    ("more", "at_3", "at_5"),
    [
        *(("needs: ''", "warned", "no"), ("needs: {}", "warned", "no"), ("needs: 5", "no", "no")),
        *(("needs: false", "no", "no"), ("needs: none", "no", "no"), ("needs: [5]", "no", "no")),
        *(("config: null", "ok", "ok"), ("config: {}", "ok", "ok"), ("config: 0", "warned", "no")),
        *(("config: x", "warned", "no"), ("action_id: x", "warned", "no")),
        *(("dummy_data_file: null", "ok", "ok"), ("dummy_data_file: ../x", "ok", "ok")),
    ],
)
def test_another_key_is_read_as_the_originals_do(more: str, at_3: str, at_5: str) -> None:
    actions = ACTION + entry().replace("run:", f"{more}, run:")
    assert verdict(project("3", actions)) == at_3
    assert verdict(project("5", actions)) == at_5


@pytest.mark.parametrize(
    ("outputs", "at_3", "at_5"),
    [
        ("{highly_sensitive: {b: b}}", "warned", "no"),
        ("{highly_sensitive: {b: 'out/*'}}", "warned", "no"),
        ("{highly_sensitive: {b: '*.*'}}", "warned", "no"),
        ("{highly_sensitive: {b: a/.csv}}", "warned", "no"),
        ("{highly_sensitive: {b: .hidden.csv}}", "ok", "ok"),
        ("{highly_sensitive: {b: b.CSV}}", "ok", "ok"),
        ("{highly_sensitive: {b: b.csv.gz}}", "ok", "ok"),
        ("{highly_sensitive: {1: b.csv}}", "ok", "ok"),
        ("{highly_sensitive: {b: b.csv, c: c.csv}}", "ok", "ok"),
        ("{highly_sensitive: {b: b.csv, c: b.csv}}", "no", "no"),
        ("{highly_sensitive: {b: 'b*.csv'}, moderately_sensitive: {b: b.csv}}", "ok", "ok"),
        ("{highly_sensitive: {b: b.csv}, moderately_sensitive: {}}", "ok", "ok"),
        ("{highly_sensitive: {b: b.csv}, highly: {c: c.csv}}", "no", "no"),
        ("{highly_sensitive: {b: b.csv}, highly: null}", "no", "no"),
        ("{highly_sensitive: null}", "no", "no"),
        ("{minimally_sensitive: {b: b.pdf}}", "ok", "ok"),
        ("{minimally_sensitive: {b: b}}", "warned", "no"),
        ("{moderately_sensitive: {b: b.tsv}}", "warned", "no"),
    ],
)
def test_levels_and_labels_are_read_as_the_originals_do(outputs: str, at_3: str, at_5: str) -> None:
    actions = ACTION + f"  it: {{run: 'python:v2 b', outputs: {outputs}}}\n"
    assert verdict(project("3", actions)) == at_3
    assert verdict(project("5", actions)) == at_5


@pytest.mark.parametrize(
    ("run", "at_3", "at_5"),
    [
        *(("a/b:v1 x", "warned", "warned"), ("python:v1:2 x", "warned", "no")),
        *(("python:v. x", "ok", "ok"), ("python:v2-pre x", "ok", "ok")),
        (":v1 x", "warned", "warned"),
        *(("python:sha256-1 x", "warned", "no"), ("Python:v2 x", "ok", "ok")),
        *(("cohortextractor-v2:v1 generate_measures", "ok", "no"), ("python:v2", "ok", "ok")),
    ],
)  # fmt: skip
def test_an_image_is_read_as_the_originals_do(run: str, at_3: str, at_5: str) -> None:
    actions = ACTION + entry(run=f"'{run}'")
    assert verdict(project("3", actions)) == at_3
    assert verdict(project("5", actions)) == at_5


@pytest.mark.parametrize(
    ("top", "at_3", "at_5"),
    [("extra: 1", "warned", "no"), ("5: x", "warned", "no"), ("Actions: {}", "warned", "no")],
)
def test_another_key_at_the_top_is_ignored_by_2_52_3_alone(top: str, at_3: str, at_5: str) -> None:
    assert verdict(f"{top}\n".encode() + project("3", ACTION)) == at_3
    assert verdict(f"{top}\n".encode() + project("5", ACTION)) == at_5


def test_a_project_may_have_no_actions_yet() -> None:
    assert dict(read(b"version: 5\nactions: {}\n").actions) == {}


def test_before_version_2_an_output_may_stand_twice() -> None:
    twice = ACTION + entry(path="a.csv")
    assert verdict(f"version: 1\nactions:\n{twice}".encode()) == "ok"
    assert verdict(f"version: 2\nactions:\n{twice}".encode()) == "no"


def test_a_command_is_the_same_by_words_for_2_52_3_and_by_letters_today() -> None:
    same = entry(run="python:v2 a.py").replace("run:", "config: {a: 1}, run:")
    assert verdict(project("3", ACTION + same)) == verdict(project("5", ACTION + same)) == "no"


@pytest.mark.parametrize(
    ("path", "at_3", "at_5"),
    [
        *(("'b\\c.csv'", "no", "no"), ("'**/b.csv'", "no", "no"), ("'b?.csv'", "no", "no")),
        *(("'b[1].csv'", "no", "no"), ("'out/*.csv'", "ok", "ok"), ("'out/b.*'", "warned", "no")),
        *(("b", "warned", "no"), ("'out/*'", "warned", "no"), (".csv", "warned", "no")),
        *(("'b c.csv'", "ok", "ok"), ('"b\\nc.csv"', "ok", "ok"), ("releases/b.csv", "ok", "ok")),
        *(("out/", "no", "no"), ("./b.csv", "no", "no"), ("a//b.csv", "no", "no")),
        *(("a/../b.csv", "no", "no"), ("''", "no", "no"), ("'.'", "no", "no"), ("..", "no", "no")),
        *(("metadata", "no", "no"), ("metadata/b.csv", "no", "no"), ("/b.csv", "no", "no")),
        *(("'C:/b.csv'", "no", "no"), ("b.csv.gz", "warned", "no"), ("b.CSV", "warned", "no")),
        *(("b.pdf", "warned", "no"), ("b.c*v", "warned", "no"), ("b.svgz", "ok", "ok")),
    ],
)
def test_a_level_4_path_is_read_as_the_originals_do(path: str, at_3: str, at_5: str) -> None:
    actions = ACTION + entry(level="moderately_sensitive", path=path)
    assert verdict(project("3", actions)) == at_3
    assert verdict(project("5", actions)) == at_5


@pytest.mark.attack("a project.yaml leaves its folder, takes our names, or never ends")
@pytest.mark.parametrize(
    "actions",
    [
        entry(path="../b.csv"),
        entry(path="Metadata/b.csv"),
        entry(path='"b\\0.csv"'),
        entry(path='"b\\ud800.csv"'),
        entry(run='"python:v2 \\0"'),
        entry().replace("it:", "../it:"),
        entry().replace("it:", "__error__:"),
        entry().replace("it:", "null:"),
        entry().replace("it:", f"{'x' * 129}:"),
        entry().replace("it:", "First:"),
        entry().replace("run:", "needs: [it], run:"),
        entry().replace("run:", "needs: [that], run:")
        + "  that: {run: 'r:v2 x', needs: [it], outputs: {highly_sensitive: {c: c.csv}}}\n",
        entry(run="'ehrql:v1  generate-dataset x --output b.csv'", level="moderately_sensitive"),
        entry(run="'\"ehrql:v1\" generate-dataset x --output b.csv'", level="minimally_sensitive"),
    ],
)
def test_what_is_unsafe_is_refused_in_every_version(actions: str) -> None:
    assert verdict(project("3", ACTION + actions)) == "no"
    assert verdict(project("5", ACTION + actions)) == "no"


@pytest.mark.parametrize(
    ("run", "path", "expected"),
    [
        ("ehrql:v1 generate-dataset x", "b.csv", "no"),
        ("ehrql:v1 generate-dataset x --output", "b.csv", "no"),
        ("ehrql:v1 generate-dataset x --output b.csv", "b.csv", "ok"),
        ("ehrql:v1 generate-dataset x --output=b.csv", "b.csv", "ok"),
        ("ehrql:v1 generate-dataset x --output c.csv", "b.csv", "no"),
        ("ehrql:v1  generate-dataset x --output c.csv", "b.csv", "no"),
        ("ehrql:v1 generate-dataset x --output out/:csv", "out/*.csv", "ok"),
        ("ehrql:v1 generate-dataset x --output out:csv", "out/b.csv", "ok"),
        ("ehrql:v1 generate-dataset x --output out:csv", "b.csv", "no"),
        ("databuilder:v1 generate_dataset x --output c.csv", "b.csv", "no"),
        ("ehrql:v1 generate-measures x --output c.csv", "b.csv", "ok"),
    ],
)
def test_ehrql_and_its_outputs_must_agree(run: str, path: str, expected: str) -> None:
    assert verdict(project("5", entry(run=run, path=f"'{path}'"))) == expected


def test_all_problems_are_told_at_once_with_place_action_key_and_what_to_do() -> None:
    text = """\
version: "5.0"
extra: 1
actions:
  cohort:
    run: python:v2 a.py
    outputs:
      highly_sensitive:
        a: ../a.csv
      moderatly_sensitive:
        b: b.csv
  model:
    runn: r:v2 x
    needs: [cohrt, model]
    outputs:
      highly_sensitive: {c: c.csv}
"""
    found = problems(text.encode())
    assert [(one.line, one.column, one.action, one.key) for one in found] == [
        (2, 1, "", "extra"),
        (8, 12, "cohort", "outputs"),
        (9, 7, "cohort", "outputs"),
        (12, 5, "model", "run"),
        (12, 5, "model", "runn"),
        (13, 13, "model", "needs"),
        (13, 20, "model", "needs"),
    ]
    assert found[5] == (
        "project.yaml, line 13, column 13: action 'model': needs 'cohrt', which does not exist."
        " Did you mean 'cohort'?"
    )
    assert "Did you mean 'moderately_sensitive'?" in found[2]


def test_a_repeated_key_is_told_with_both_lines() -> None:
    (found,) = problems(b"version: 5\nactions: {}\nversion: 5\n")
    where = "project.yaml, line 3, column 1: "
    assert found == where + "'version' stands here again (first in line 1). Keep one."


def test_a_name_from_the_file_is_told_in_one_printable_line() -> None:
    (found,) = problems("a: *b\u2028c\n".encode())
    assert found.isprintable()
    assert "'*b" in found


def test_a_conflict_mark_is_named_where_it_stands() -> None:
    (found,) = problems(b"version: 5\n<<<<<<< HEAD\nactions: {}\n=======\n")
    assert found.line == 2
    assert "Git" in found


def test_what_is_merged_yields_to_the_entry_and_of_several_the_first_wins() -> None:
    text = b"""\
version: 5
actions:
  one: &one
    run: python:v2 a.py
    outputs: {highly_sensitive: {a: a.csv}}
    config: {from: one}
  two: &two
    run: python:v2 b.py
    needs: [one]
    outputs: {highly_sensitive: {b: b.csv}}
    config: {from: two}
  three:
    <<: [*two, *one]
    run: python:v2 c.py
    outputs: {moderately_sensitive: {c: c.csv}}
"""
    found = read(text).actions["three"]
    assert found.run == ("python:v2", "c.py")
    assert found.needs == ("one",)
    assert found.config == {"from": "two"}
    assert found.outputs == ((Level.MODERATE, "c.csv"),)


def test_outputs_keep_the_order_of_the_file_and_run_all_is_left_out() -> None:
    text = project("3", """\
  b:
    run: python:v2 b
    outputs: {moderately_sensitive: {z: z.csv, y: y.csv}, highly_sensitive: {x: x.csv}}
  run_all: {run: 'python:v2 c', outputs: {highly_sensitive: {w: w.csv}}}
  a: {run: 'python:v2 a', needs: [b], outputs: {highly_sensitive: {v: v.csv}}}
""")  # fmt: skip
    found = read(text)
    assert list(found.actions) == ["b", "a"]
    assert found.actions["b"].patterns == ("z.csv", "y.csv", "x.csv")
    assert found.actions["a"].needs == ("b",)


def test_the_seeds_example_is_read(seed_example: bytes) -> None:
    found = read(seed_example)
    assert isinstance(found, Project)
    assert found.population == 1000
    assert found.command("generate_study_population", dummy_data=True)[-2:] == (
        "--expectations-population=1000",
        "--output-dir=output",
    )
    assert found.actions["run_model"].needs == ("generate_study_population",)
