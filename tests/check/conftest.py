"""A spool that a real runner filled: requests that ended, and requests that wait for a resume."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from spoolrunner.cli import group
from tests.site import Site
from tests.system.test_crash_points import QUICK, die_at

SETTINGS = {"REPORTS": "export", "MIN_FREE_DISK": "0", "MAX_WORKERS": "4"}


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """old1, old2 have ended; new1, new2 are accepted and wait for the operator's resume."""
    top = tmp_path_factory.mktemp("filled")
    for path in (top, *top.parents):
        if path.name.startswith(("pytest-", "filled")):
            path.chmod(0o755)
    site = Site(top / "site", **SETTINGS)
    study = site.study({"project.yaml": QUICK})
    site.drop(site.request(study, "run_all", identifier="old1"))
    die_at(site, "workspace.publishing:place")
    journal = site.high / "publishing/ws/first.json"
    shutil.copy(journal, site.folder / "journal-of-first.json")
    site.drain()
    site.drop(site.request(study, "second", identifier="old2"))
    site.drain()
    (site.spool / "control/paused").touch()
    for name, workspace in (("new1", "ws"), ("new2", "other")):
        about = {"name": workspace}
        asked = site.request(study, "first", "second", identifier=name, workspace=about)
        site.drop(asked, f"{name}.json")
    site.drain()
    return site.folder


class Copy(Site):
    """The same spool in another place; the storage moves with it."""

    def __init__(self, filled: Path, folder: Path) -> None:
        subprocess.run(["cp", "-a", str(filled), str(folder)], check=True)
        self.folder = folder
        self.spool = folder / "spool"
        self.settings = {
            "SPOOL_DIR": str(self.spool),
            "EXECUTOR": "process",
            **SETTINGS,
        }
        self.runners = []

    def check(self, *words: str) -> tuple[int, list[dict[str, str]]]:
        """The command itself, in this process: its exit status and what it found."""
        words = ("check", "--json", *words)
        done = CliRunner().invoke(group, words, env=self.settings, standalone_mode=False)
        if done.exception:
            raise done.exception
        return done.return_value or 0, json.loads(done.stdout)["findings"]

    def kinds(self, *words: str) -> set[str]:
        """What check finds, notes of this machine left out; its exit status must agree."""
        status, found = self.check(*words)
        worst = {one["grade"] for one in found}
        assert status == (4 if "unfit" in worst else 1 if "wrong" in worst else 0)
        machine = {"weak_executor", "image_missing", "cannot_start"}
        return {one["kind"] for one in found} - machine


@pytest.fixture
def copied(filled: Path, tmp_path: Path) -> Iterator[Callable[[], Copy]]:
    """Makes copies of the filled spool, each to be damaged as one likes."""
    for path in (tmp_path, *tmp_path.parents):
        if path.name.startswith("pytest-") or path == tmp_path:
            path.chmod(0o755)
    made: list[Copy] = []

    def make() -> Copy:
        made.append(Copy(filled, tmp_path / f"site{len(made)}"))
        return made[-1]

    yield make
    for one in made:
        one.close()
        for started in (one.spool / "processes").glob("*/started"):  # a job that goes on
            with contextlib.suppress(ProcessLookupError):
                os.kill(json.loads(started.read_bytes())["pid"], signal.SIGUSR1)
