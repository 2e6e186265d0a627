"""What the README shows of `validate`, `graph` and `plan` is what they print."""

import shutil
from pathlib import Path

import pytest

from tests.readme_blocks import shown
from tests.site import STUDIES, Site, commit
from tests.study_verbs.conftest import Do

STUDY = STUDIES / "asthma-reviews"
SLIPS = {
    "needs: [clean]\n    outputs:\n      moderately_sensitive:\n        table": (
        "needs: [claen]\n    outputs:\n      moderatly_sensitive:\n        table"
    ),
    "run: python:v2 python analysis/figure.py": "run: python python analysis/figure.py",
    "report: output/report.html": "report: ../report.html",
}
WHEN = "2026-11-02T09:30:00Z"
PLACE = "/home/jane/asthma-reviews"


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "study"
    shutil.copytree(STUDY, folder)
    monkeypatch.chdir(folder)
    return folder


def test_validate(study: Path, do: Do) -> None:
    text = (study / "project.yaml").read_text()
    for right, wrong in SLIPS.items():
        assert text.count(right) == 1
        text = text.replace(right, wrong)
    (study / "project.yaml").write_text(text)
    words, expected = shown("validate")
    status, out, err = do(*words)
    assert out + err == expected
    assert status == 3


def test_graph(study: Path, do: Do) -> None:
    words, expected = shown("graph")
    assert do(*words) == (0, expected, "")


def test_graph_names_every_need_where_all_are_asked_for(study: Path, do: Do) -> None:
    last = do("graph", "--all")[1].splitlines()[-1]
    assert last == "● report  (moderate)  also needs clean, describe, model"
    assert do("graph")[1].splitlines()[-1] == "● report  (moderate)  also needs describe"


def test_plan(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit has the same name wherever it is made, if its author, files and times are."""
    monkeypatch.setenv("GIT_AUTHOR_DATE", WHEN)
    monkeypatch.setenv("GIT_COMMITTER_DATE", WHEN)
    study = site.kept_study("asthma-reviews")
    about = {"name": "asthma"}
    site.drop(site.request(study, "model", identifier="k3j2h4g5", workspace=about))
    site.drain()
    (study / "README.md").write_text("Changed since.\n")
    commit(study)
    (site.high / "workspaces/asthma/output/patients.csv").unlink()
    words, expected = shown("plan")
    printed = site.do(*(str(study) if word == PLACE else word for word in words))
    assert printed.replace(str(study), PLACE) == expected
