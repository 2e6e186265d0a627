"""`validate` and `graph`: what they print, how they end, and that they need only the file."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoolrunner.report.problems import Severity, Told, annotation
from tests.study_verbs import drawing
from tests.study_verbs.conftest import Do

GOOD = """\
version: 5
actions:
  cohort:
    run: python:v2 a.py
    outputs: {highly_sensitive: {a: a.csv}}
  model:
    run: python:v2 b.py
    needs: [cohort]
    outputs: {moderately_sensitive: {b: b.csv}}
"""
BAD = """\
version: 5
actions:
  cohort:
    run: python a.py
    outputs: {highly_sensitive: {a: a.csv}}
  model:
    run: python:v2 b.py
    needs: [cohrt]
    output: {moderately_sensitive: {b: ../b.csv}}
"""
OLD = GOOD.replace("version: 5", "version: 2")
PLACE = re.compile(r"(?P<file>[^:]+):(?P<line>\d+):(?P<column>\d+): (error|warning): (?P<what>.+)")


@pytest.fixture(autouse=True)
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a researcher is in. Settings that no service would start with do no harm."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPOOL_DIR", "/nowhere")
    monkeypatch.setenv("MAX_WORKERS", "many")
    return tmp_path


def piped(words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Under a shell, in a process of its own."""
    command = words.replace("spoolrunner", f"{sys.executable} -m spoolrunner")
    here = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        input=stdin,
        env={**here, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_problem_is_told_with_its_place_and_in_order(study: Path, do: Do) -> None:
    (study / "project.yaml").write_text(BAD)
    status, out, err = do("validate")
    found = [PLACE.fullmatch(line) for line in out.splitlines()]
    assert [(int(one["line"]), int(one["column"])) for one in found if one] == [
        (4, 10),
        (7, 5),
        (8, 13),
        (9, 5),
    ]
    assert "needs 'cohrt', which does not exist. Did you mean 'cohort'? [needs]" in out
    assert "[invalid_project, exit 3]" in err
    assert "4 problems" in err
    assert status == 3


def test_a_valid_study_is_told_with_its_number_of_actions(study: Path, do: Do) -> None:
    (study / "project.yaml").write_text(GOOD)
    assert do("validate") == (0, "project.yaml is valid: 2 actions.\n", "")


def test_warnings_are_told_and_stop_nothing(study: Path, do: Do) -> None:
    (study / "old.yaml").write_text(OLD)
    status, out, err = do("validate", "old.yaml")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "old.yaml:1:10: warning: `version` 2 is old. Newest is 5. [version]",
        "old.yaml is valid: 2 actions, 1 warning.",
    ]


@pytest.mark.parametrize("option", ["--json", "--format=json"])
def test_programs_get_a_list_of_objects(study: Path, do: Do, option: str) -> None:
    (study / "project.yaml").write_text(BAD)
    status, out, _ = do("validate", option)
    told = json.loads(out)
    assert status == 3
    assert len(told) == 4
    assert told[2] == {
        "severity": "error",
        "file": "project.yaml",
        "line": 8,
        "column": 13,
        "action": "model",
        "key": "needs",
        "message": "action 'model': needs 'cohrt', which does not exist. Did you mean 'cohort'?",
    }


def test_programs_get_an_empty_list_for_a_valid_study(study: Path, do: Do) -> None:
    (study / "project.yaml").write_text(GOOD)
    assert do("validate", "--json") == (0, "[]\n", "")


def test_a_problem_of_the_whole_file_has_no_line(study: Path, do: Do) -> None:
    (study / "project.yaml").write_bytes(b"\xff\xfe\xfa")
    status, out, _ = do("validate", "--json")
    assert (status, json.loads(out)[0]["line"]) == (3, None)
    assert do("validate")[1].startswith("project.yaml: error: ")
    assert "line=" not in do("validate", "--format", "github")[1]


def test_github_gets_annotations_escaped_by_its_rules(study: Path, do: Do) -> None:
    (study / "a,b:c%.yaml").write_text(BAD.replace("[cohrt]", "['100%']"))
    status, out, _ = do("validate", "a,b:c%.yaml", "--format", "github")
    assert status == 3
    assert out.splitlines()[2] == (
        "::error file=a%2Cb%3Ac%25.yaml,line=8,col=13,title=model needs::action 'model': needs"
        " '100%25', which does not exist. Correct it, or add that action."
    )


@given(st.text(), st.text())
def test_an_annotation_is_one_line_that_reads_back(file: str, message: str) -> None:
    told = Told(
        severity=Severity.ERROR, file=file, line=1, column=2, action="", key="", message=message
    )
    found = re.fullmatch(
        r"::error (?:file=([^,:\r\n]*),)?line=1,col=2,title=project.yaml::([^\r\n]*)",
        annotation(told),
    )
    assert found
    assert (unescaped(found[1] or ""), unescaped(found[2])) == (file, message)


def unescaped(text: str) -> str:
    for code, letter in (("0D", "\r"), ("0A", "\n"), ("3A", ":"), ("2C", ","), ("25", "%")):
        text = text.replace(f"%{code}", letter)
    return text


@pytest.mark.parametrize("verb", ["validate", "graph"])
@pytest.mark.parametrize("name", ["project.yaml", "."])
def test_a_file_that_is_not_there_is_the_person_s_to_mend(do: Do, verb: str, name: str) -> None:
    status, out, err = do(verb, name)
    assert (status, out) == (3, "")
    assert f"{name} can't be read." in err


def test_a_study_is_read_from_a_pipe() -> None:
    done = piped("spoolrunner validate - | cat", GOOD)
    assert (done.returncode, done.stdout) == (0, "<stdin> is valid: 2 actions.\n")
    done = piped("spoolrunner validate - | cat", BAD)
    assert (done.returncode, done.stdout.count("<stdin>:")) == (3, 4)


def test_a_reader_that_goes_away_is_no_error(study: Path) -> None:
    names = [f"a{n}" for n in range(2_000)]
    entry = "  {0}: {{run: 'python:v2 {0}', outputs: {{highly_sensitive: {{x: {0}.csv}}}}}}\n"
    text = "version: 5\nactions:\n" + "".join(entry.format(name) for name in names)
    (study / "project.yaml").write_text(text)
    done = piped("spoolrunner graph | head -1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "○ a0  (high)\n", "")


def test_what_a_terminal_can_not_write_is_written_otherwise(study: Path) -> None:
    (study / "project.yaml").write_text(GOOD)
    assert piped("spoolrunner graph", PYTHONIOENCODING="ascii").stdout.splitlines() == [
        "o cohort  (high)",
        "* model  (moderate)",
    ]
    (study / "project.yaml").write_text(GOOD.replace("[cohort]", "[é]"), encoding="utf-8")
    done = piped("spoolrunner validate", PYTHONIOENCODING="ascii")
    assert done.returncode == 3
    assert "needs '\\xe9'" in done.stdout


def test_no_library_for_screens_is_loaded_for_a_pipe(study: Path) -> None:
    (study / "project.yaml").write_text(GOOD)
    for verb in ("validate", "graph"):
        loaded = piped(f"spoolrunner {verb}", PYTHONPROFILEIMPORTTIME="1").stderr
        assert "ruamel" in loaded
        assert not re.search(r"\b(rich|docker|requests)\b", loaded)


def test_the_drawing_shows_the_study(study: Path, do: Do) -> None:
    (study / "project.yaml").write_text(GOOD)
    status, out, err = do("graph")
    assert (status, err) == (0, "")
    assert drawing.read(out.splitlines()) == (["cohort", "model"], {("model", "cohort")})


def test_the_drawing_for_programs_has_needs_and_outputs_in_order(study: Path, do: Do) -> None:
    (study / "project.yaml").write_text(GOOD)
    assert json.loads(do("graph", "--json")[1]) == [
        {
            "action": "cohort",
            "needs": [],
            "outputs": [{"level": "highly_sensitive", "pattern": "a.csv"}],
        },
        {
            "action": "model",
            "needs": ["cohort"],
            "outputs": [{"level": "moderately_sensitive", "pattern": "b.csv"}],
        },
    ]


def test_what_is_not_valid_is_not_drawn(study: Path, do: Do) -> None:
    (study / "project.yaml").write_text(BAD)
    status, out, err = do("graph")
    assert (status, out) == (3, "")
    assert "Did you mean 'cohort'?" in err
