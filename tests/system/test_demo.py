"""The demo runs, from the first time on, and tells the truth."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.site import PROJECT

NEEDED = ("bin", ".ci", "tests/studies/asthma-reviews")


def demo(clone: Path) -> str:
    """What it printed. It has to hold whatever the settings of this machine are."""
    done = subprocess.run(
        [clone / "bin/demo"],
        env={**os.environ, "SPOOL_DIR": "/nonexistent", "MAX_WORKERS": "many"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_demo_ends_with_six_jobs_and_the_paths_they_published(folder: Path) -> None:
    subprocess.run([PROJECT / ".ci/environment", "test"], check=True, timeout=300)
    clone = folder / "clone"
    for name in NEEDED:
        shutil.copytree(PROJECT / name, clone / name)
    shutil.copy(PROJECT / "setup.py", clone)
    (clone / ".venv").symlink_to(PROJECT / ".venv")
    demo(clone)
    told = demo(clone)  # what the first one left is in nobody's way
    assert "6 of 6 jobs succeeded" in told
    published = [Path(line.strip()) for line in told.splitlines() if "/workspaces/" in line]
    assert {path.name for path in published} > {"cohort.csv", "odds_ratios.csv", "report.html"}
    assert all(path.is_file() for path in published)
    medium = [path.name for path in published if "medium_privacy" in path.parts]
    assert "report.html" in medium
    assert "cohort.csv" not in medium
