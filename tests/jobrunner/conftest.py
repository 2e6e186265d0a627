"""An old installation, and the commands of a new one that is given nothing but its folder."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from spoolrunner.cli import group
from tests.jobrunner.old import Old
from tests.site import PROJECT


class New:
    """settings: the file that `import-jobrunner` writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.settings = folder / "etc" / "spoolrunner.env"

    def try_to(self, *words: str, **environment: str) -> Result:
        given = {"SPOOL_DIR": str(self.spool), "SPOOLRUNNER_ENV": str(self.settings)}
        own = {"PATH": os.environ["PATH"], "EXECUTOR": "process", **given, **environment}
        cleared = dict.fromkeys(os.environ)
        return CliRunner().invoke(group, list(words), env={**cleared, **own})

    def do(self, *words: str, **environment: str) -> str:
        result = self.try_to(*words, **environment)
        if result.exception:
            raise result.exception
        return result.output

    def drain(self) -> None:
        """In a process of its own."""
        given = {"SPOOLRUNNER_ENV": str(self.settings), "EXECUTOR": "process"}
        words = [sys.executable, "-m", "spoolrunner", "run", "--drain"]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), **given}
        subprocess.run(words, env=environment, check=True, timeout=60)

    def told(self, old: Old, *words: str) -> dict[tuple[str, str], dict[str, str]]:
        """What the import tells: (kind, name) -> the rest."""
        said = self.do("import-jobrunner", str(old.home), "--json", *words)
        return {(one["kind"], one["name"]): one for one in json.loads(said)}

    def index(self, workspace: str = "ws") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            (self.spool / "workspaces" / f"{workspace}.json").read_bytes()
        )
        return found

    def seen(self) -> dict[str, bytes]:
        """All that lies in the spool, but for what only says when."""
        files = (path for path in self.spool.rglob("*") if path.is_file())
        kept = (path for path in sorted(files) if path.parent.name != "audit")
        return {str(path): path.read_bytes() for path in kept}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Old]:
    def made(**about: Any) -> Old:
        (tmp_path / "job-runner").mkdir()
        return Old(tmp_path / "job-runner", **about)

    return made


@pytest.fixture
def old(make: Callable[..., Old]) -> Old:
    return make()


@pytest.fixture
def new(tmp_path: Path) -> New:
    return New(tmp_path / "new")
