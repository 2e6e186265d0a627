"""Installed from one folder on a machine without any network, it does its work."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.site import PROJECT, Site
from tests.system.test_crash_points import QUICK

WITHIN_S = 300  # a package index is asked
NO_NETWORK = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--net")


class InstalledSite(Site):
    """Its commands are those of the installed program, in a world without a network."""

    program = ""

    def try_to(self, *words: str, inside: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment(), "PYTHONPATH": ""}
        return run([*NO_NETWORK, *inside, self.program, *words], environment)


def run(words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


@pytest.fixture
def bundle(folder: Path) -> Path:
    """What is carried to the other machine."""
    done = run([str(PROJECT / "bin/offline"), str(folder / "bundle")], dict(os.environ))
    assert done.returncode == 0, done.stderr
    return folder / "bundle"


def test_from_one_folder_without_a_network(bundle: Path, folder: Path) -> None:
    install = [*NO_NETWORK, str(bundle / "install"), str(folder / "installed")]
    wheel = next(bundle.glob("wheels/click-*.whl"))
    data = wheel.read_bytes()
    wheel.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert run(install, dict(os.environ)).returncode == 4
    assert not (folder / "installed").exists()
    wheel.write_bytes(data)
    done = run(install, {"PATH": os.environ["PATH"]})
    assert (done.returncode, done.stdout[:12]) == (0, "spoolrunner "), done.stderr
    InstalledSite.program = str(folder / "installed/bin/spoolrunner")
    site = InstalledSite(folder / "site")
    site.drop(site.request(site.study({"project.yaml": QUICK}), "run_all", identifier="r1"))
    site.drain()
    assert site.statuses("r1") == {"first": "succeeded", "second": "succeeded"}
    assert "r1" in site.do("status")
