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
    installed = folder / "installed"
    install = [*NO_NETWORK, "sh", "-c", f"umask 077; {bundle}/install {installed}"]
    wheel = next(bundle.glob("wheels/click-*.whl"))
    data = wheel.read_bytes()
    wheel.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert run(install, dict(os.environ)).returncode == 4
    assert not installed.exists()
    wheel.write_bytes(data)
    done = run(install, {"PATH": os.environ["PATH"]})
    assert (done.returncode, done.stdout[:12]) == (0, "spoolrunner "), done.stderr
    InstalledSite.program = str(installed / "bin/spoolrunner")
    assert Path(InstalledSite.program).stat().st_mode & 0o777 == 0o755  # others may look, too
    site = InstalledSite(folder / "site")
    site.drop(site.request(site.study({"project.yaml": QUICK}), "run_all", identifier="r1"))
    site.drain()
    assert site.statuses("r1") == {"first": "succeeded", "second": "succeeded"}
    assert "r1" in site.do("status")
    first = (installed / "bin").resolve()
    seal(bundle, "another version")
    quickly = {"PATH": os.environ["PATH"], "PIP_NO_COMPILE": "1"}
    assert run(install, quickly).returncode == 0
    assert (installed / "bin").resolve() != first
    assert run([str(first / "spoolrunner"), "--version"], {}).returncode == 0  # what runs goes on


def seal(bundle: Path, remark: str) -> None:
    """Make another bundle of it: its sums are others."""
    (bundle / "remark").write_text(remark)
    summed = "sha256sum install remark wheels/*.whl > SHA256SUMS"
    subprocess.run(summed, shell=True, cwd=bundle, check=True)
