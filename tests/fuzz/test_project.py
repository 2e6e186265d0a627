"""The short form of the fuzzer, and that it can say no."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# What `project.read` must never do.
BROKEN = """
import time
from spoolrunner import project
from spoolrunner.errors import BadProject
from tests.fuzz import project as fuzz

def raises(): raise RecursionError
def takes_long():
    until_s = time.process_time() + 0.6
    while time.process_time() < until_s: pass
def takes_much(): bytearray(310 << 20)
def breaks_lines(): raise BadProject([project.Problem("a\\nb")])
def knows_no_place(): raise BadProject(["a"])
def is_a_circle(): return project.Project(5.0, {"a": project.Action("a", ("x:v1",), ("a",), ())})
def has_no_words(): return project.Project(5.0, {"a": project.Action("a", (), (), ())})

fuzz.MOST_S = 0.5
for broken in (raises, takes_long, takes_much, breaks_lines, knows_no_place, is_a_circle,
               has_no_words):
    project.read = lambda data: broken() or project.Project(5.0, {})
    print(broken.__name__, fuzz.main(["2", "1"]))
"""


def python(tmp_path: Path, *words: str) -> str:
    """What it prints. Inputs that are kept go with the test."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_two_thousand_inputs_are_read_or_refused(tmp_path: Path) -> None:
    printed = python(tmp_path, "-m", "tests.fuzz.project", "2000", "2022")
    assert printed.endswith("violations 0\n")
    told = re.search(r"^all +2,000 +([\d,]+) +([\d,]+)$", printed, re.MULTILINE)
    assert told
    assert all(int(number.replace(",", "")) > 400 for number in told.groups())


def test_it_says_no_to_all_that_must_not_be(tmp_path: Path) -> None:
    printed = python(tmp_path, "-c", BROKEN)
    verdicts = re.findall(r"^(\w+) ([01])$", printed, re.MULTILINE)
    assert len(verdicts) == 7
    assert {verdict for _, verdict in verdicts} == {"1"}, printed
    assert len(list(tmp_path.glob("fuzz-project-*/1-0.yaml"))) == 7
