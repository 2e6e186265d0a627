"""The README's five-minute tour: every line of it, as somebody types it who has cloned this."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.readme_blocks import ROOT, tour

CLONED = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "spoolrunner", "spool")
STUDY = "tests/studies/asthma-reviews"
AUTHOR = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org"}
COMMITTER = {"GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org"}
WITHIN_S = 300  # a package index is asked


def test_every_line_of_the_tour_does_what_it_says(folder: Path) -> None:
    clone = folder / "clone"
    clone.mkdir()
    for name in CLONED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, clone / name)
    shutil.copytree(ROOT / STUDY, clone / STUDY)
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    typed = subprocess.run(
        ["bash", "-ex", "-c", tour()],
        cwd=clone,
        env={**kept, **AUTHOR, **COMMITTER, "PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert typed.returncode == 0, typed.stdout + typed.stderr
    assert "succeeded" in typed.stdout
    assert "6/6" in typed.stdout
    assert "output  output/report.html".split() in [line.split()[:2] for line in lines(typed)]
    medium = clone / "spool/storage/medium_privacy/workspaces/default/output"
    assert (medium / "report.html").is_file()


def lines(typed: subprocess.CompletedProcess[str]) -> list[str]:
    return typed.stdout.splitlines()
