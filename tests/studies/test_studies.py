"""The studies that the demo and other tests run are themselves right."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spoolrunner import project

HERE = Path(__file__).parent
NUMBERS_OF_PEOPLE = {"people", "review", "steroid_course"}


def read(study: str) -> project.Project:
    return project.read((HERE / study / "project.yaml").read_bytes())


def run_all(study: str, folder: Path) -> Path:
    """Run every action in the order of the file, as a researcher without spoolrunner would."""
    shutil.copytree(HERE / study, folder, dirs_exist_ok=True)
    for action in read(study).actions.values():
        _, _, *script = action.run
        subprocess.run([sys.executable, *script], cwd=folder, check=True, timeout=60)
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("study", "actions"), [("asthma-reviews", 6), ("diamond", 4), ("seed", 2)])
def test_a_study_s_project_is_valid(study, actions):
    found = read(study)
    assert len(found.actions) == actions
    assert not found.broken


@pytest.fixture(scope="module")
def asthma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_all("asthma-reviews", tmp_path_factory.mktemp("asthma"))


def test_the_asthma_study_makes_every_output_it_declares(asthma):
    declared = {
        pattern for action in read("asthma-reviews").actions.values() for pattern in action.patterns
    }
    made = {str(path.relative_to(asthma)) for path in asthma.glob("output/*")}
    assert made == declared


def test_the_asthma_study_finds_what_was_put_into_its_patients(asthma):
    estimates = {
        row["term"]: row
        for row in table(asthma / "output/odds_ratios.csv")
        if row["model"] == "adjusted"
    }
    put_in = {"Asthma review in the last year": 0.75, "Female": 1.30, "Current smoker": 1.51}
    for term, odds_ratio in put_in.items():
        assert float(estimates[term]["lower"]) < odds_ratio < float(estimates[term]["upper"])


def test_the_asthma_study_releases_no_exact_number_of_people(asthma):
    for name in ("flow.csv", "characteristics.csv"):
        rows = table(asthma / "output" / name)
        numbers = [int(row[column]) for row in rows for column in NUMBERS_OF_PEOPLE & row.keys()]
        assert numbers
        assert {number % 6 for number in numbers if number} == {3}


def test_the_asthma_study_makes_the_same_report_every_time(asthma, tmp_path):
    again = run_all("asthma-reviews", tmp_path / "again")
    name = "output/report.html"
    assert (again / name).read_bytes() == (asthma / name).read_bytes()


def test_the_diamond_s_last_action_has_both_branches_in_it(tmp_path):
    both = run_all("diamond", tmp_path) / "output/both.txt"
    assert both.read_text() == "338350\n10000\n"
