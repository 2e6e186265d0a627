"""Commands: flags, config, database access, reusable actions (reference 2.5, 5.8)."""

import pytest

from spoolrunner.errors import BadProject
from spoolrunner.project import database_access, image_of, read, reusable

PATHS = "highly_sensitive: {a: out/a.csv, b: out/b.csv}"
RUNTIMES = ("python", "r", "ehrql", "sqlrunner")


def command(run: str, *, dummy: bool = False, more: str = "", outputs: str = PATHS) -> list[str]:
    text = f"""\
version: 3
expectations: {{population_size: 77}}
actions:
  it:
    run: {run}
    outputs: {{{outputs}}}
    {more}
"""
    return list(read(text.encode()).command("it", dummy_data=dummy)[2:])


@pytest.mark.parametrize("version", ["cohortextractor:v1", "cohortextractor:latest"])
def test_cohortextractor_is_told_its_folder(version: str) -> None:
    assert command(f"{version} generate_cohort") == ["--output-dir=out"]
    assert command(f"{version} generate_dataset") == ["--output-dir=out"]


def test_the_root_is_a_dot() -> None:
    assert command(
        "cohortextractor:v1 generate_cohort", outputs="highly_sensitive: {a: a.csv}"
    ) == ["--output-dir=."]


def test_flags_stand_in_the_order_config_dummy_data_folder() -> None:
    run = "cohortextractor:v1 generate_cohort"
    assert command(run, dummy=True, more="config: {a: 1}") == [
        *("--config", '{"a": 1}', "--expectations-population=77", "--output-dir=out")
    ]
    assert command(run, dummy=True, more="dummy_data_file: d.csv") == [
        *("--dummy-data-file=d.csv", "--output-dir=out")
    ]


def test_a_path_with_a_space_stays_one_word() -> None:
    outputs = "highly_sensitive: {a: my out/a.csv}"
    assert command("cohortextractor:v1 generate_cohort", outputs=outputs) == ["--output-dir=my out"]


def test_several_folders_need_an_output_dir_of_ones_own() -> None:
    outputs = "highly_sensitive: {a: a/a.csv, b: b/b.csv}"
    own = ["--output-dir", "a"]
    run = "cohortextractor:v1 generate_cohort --output-dir a"
    assert command(run, outputs=outputs) == own
    with pytest.raises(BadProject, match="one folder"):
        command("cohortextractor:v1 generate_dataset", outputs=outputs)


def test_other_commands_get_no_flags() -> None:
    assert command("cohortextractor:v1 generate_measures", dummy=True) == []
    assert command("python:v2 generate_cohort", dummy=True) == []


def test_its_successors_must_name_their_output_and_their_dummy_data() -> None:
    run = "databuilder:v0 generate_dataset --output out/a.csv"
    assert command(run) == ["--output", "out/a.csv"]
    with pytest.raises(BadProject, match="--dummy-data-file"):
        command(run, dummy=True)
    with pytest.raises(BadProject, match="--output"):
        command("databuilder:v0 generate_dataset --output out/c.csv")


@pytest.mark.parametrize("image", ["databuilder:v0", "cohortextractor-v2:latest"])
@pytest.mark.parametrize("verb", ["generate_cohort", "generate_dataset"])
def test_its_successors_get_no_flags_on_either_backend(image: str, verb: str) -> None:
    words = ["--dummy-data-file", "d.csv", "--output", "out/a.csv"]
    run = f"{image} {verb} {' '.join(words)}"
    assert command(run) == command(run, dummy=True) == words
    more = "config: {a: 1}"
    assert command(run, more=more) == command(run, dummy=True, more=more)
    assert command(run, more=more)[-2:] == ["--config", '{"a": 1}']


def test_from_version_4_nothing_is_appended_but_the_config() -> None:
    text = b"""\
version: 4
actions:
  it:
    run: ehrql:v1 generate-dataset d.py --output out/a.csv
    dummy_data_file: d.csv
    config: {a: 1}
    outputs: {highly_sensitive: {a: out/a.csv}}
"""
    for dummy in (True, False):
        assert read(text).command("it", dummy_data=dummy) == (
            *("ehrql:v1", "generate-dataset", "d.py", "--output", "out/a.csv"),
            *("--config", '{"a": 1}'),
        )


def test_an_action_that_cannot_run_does_not_keep_others_from_running() -> None:
    text = b"""\
version: 5
actions:
  good: {run: python:v2 a, outputs: {highly_sensitive: {a: a.csv}}}
  bad: {run: python:v2 b, config: {day: 2020-01-01}, outputs: {highly_sensitive: {b: b.csv}}}
"""
    project = read(text)
    assert project.command("good", dummy_data=False) == ("python:v2", "a")
    with pytest.raises(BadProject, match=r"line 4, column 35: action 'bad': `config`"):
        project.command("bad", dummy_data=False)
    assert any("can't be run" in warning for warning in project.warnings)


@pytest.mark.parametrize("config", ["null", "{}"])
def test_an_empty_config_is_none(config: str) -> None:
    assert command("python:v2 a.py", more=f"config: {config}") == []


def test_config_is_json_in_file_order_without_an_apostrophe() -> None:
    assert command("python:v2 a.py", more='config: {z: "it\'s", a: [1, null, true]}') == [
        *("--config", '{"z": "it\\u0027s", "a": [1, null, true]}')
    ]


def test_words_are_those_of_a_posix_shell() -> None:
    run = "'python:v2 a.py \"b  c\" d\\ e ''f g'' $HOME *.csv ; x'"
    assert command(run) == ["b  c", "d e", "f g", "$HOME", "*.csv", ";", "x"]


def test_folded_text_makes_no_words_of_its_line_breaks() -> None:
    assert command(">\n      python:v2 a.py\n        --b\n      c\n") == ["--b", "c"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        *(("ehrql:v1 generate-dataset", True), ("ehrql:v1 generate-measures x", True)),
        *(("ehrql:v1 generate_dataset", False), ("ehrql:v1 --x generate-dataset", False)),
        *(("ehrql:v1", False), ("sqlrunner:v1", True), ("sqlrunner:v1 a b", True)),
        *(("cohortextractor:v1 generate_cohort", True), ("cohortextractor:v1", False)),
        *(("cohortextractor:v1 generate_codelist_report", True),),
        *(("cohortextractor:v1 generate_dataset", False),),
        *(("cohortextractor:v1 generate_measures", False),),
        *(("cohortextractor-v2:v1 generate_cohort", True),),
        *(("cohortextractor-v2:v1 generate_dataset", True),),
        *(("databuilder:v0 generate_dataset", True), ("databuilder:v0 generate-dataset", True)),
        *(
            ("python:v2 generate-dataset", False),
            ("ehrqlx:v1 generate-dataset", False),
            ("", False),
        ),
    ],
)
def test_only_trusted_commands_may_use_the_database(line: str, expected: bool) -> None:
    assert database_access(line.split()) is expected


def test_an_image_is_a_name_and_a_tag() -> None:
    assert image_of(["python:v2", "x"]) == ("python", "v2")
    assert image_of(["python"]) == ("python", "")
    assert image_of([]) == ("", "")


def test_a_reusable_action_runs_its_own_words_and_then_the_studys() -> None:
    argv = ("join:v1", "--lhs", "a b", "--config", "{}")
    assert reusable("join", b"run: python:v2 join.py 'x y'", argv, RUNTIMES) == (
        *("python:v2", "join.py", "x y", "--lhs", "a b", "--config", "{}"),
    )


@pytest.mark.parametrize(
    ("action_yaml", "argv"),
    [
        *((b"", ()), (b"- run", ()), (b"{}", ()), (b"run: 5", ()), (b"run: ''", ()), (b"a: [", ())),
        *((b'run: "python:v2 \'x"', ()), (b"run: python x", ()), (b"run: perl:v1 x", ())),
        *((b"run: 'python: x'", ()), (b"run: python:v1:2 x", ()), (b"run: sqlrunner:v1", ())),
        (b"run: ehrql:v1 generate-dataset x", ()),
        (b"run: ehrql:v1", ("generate-dataset", "x")),
    ],
)
def test_a_reusable_action_that_breaks_a_rule_is_refused(
    action_yaml: bytes, argv: tuple[str, ...]
) -> None:
    with pytest.raises(BadProject, match="join"):
        reusable("join", action_yaml, ("join:v1", *argv), RUNTIMES)
