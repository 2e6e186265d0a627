"""What the README shows of `status`, `show` and `check` is what they print.

Times, sizes and numbers of processes are any; so is how wide that makes a column.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.readme_blocks import shown
from tests.site import STUDIES, Site, commit, git
from tests.system.test_crash_points import has_started
from tests.system.test_status import frame

MODEL = "python:v2 python analysis/model.py"
IDENTIFIER = "k3j2h4g5f6d7s8a9"
SRV = Path("/srv")
ANY = {
    r"\d{4}-\d\d-\d\dT[\d:.]+Z": "TIME",
    r"sr-\w{8}-": "sr-SPOOL-",
    r"\b[0-9a-f]{40,64}\b|(?<=\()[0-9a-f]{7}\b": "HASH",
    r"\n +backend": " backend",
    r"\b\d+ (s|min|h)\b": "TIME",
    r"\b[\d.]+ [kMGT]?B\b|\b\d+ bytes": "SIZE",
    r"^process +\d+": "process PID",
    r"(rooms|lines of the audit): \d+": r"\1: NUMBER",
    r"\b\d+\.\d\b": "NUMBER",
    r"[━─]+": "BAR",
    r" +": " ",
}
OF_THIS_MACHINE = re.compile(
    r"^note +(weak_executor|image_missing|setting_risky) .*\n", re.MULTILINE
)


def normal(text: str, place: Path) -> str:
    """Without what differs from run to run; the site lies in /srv."""
    text = text.replace(str(place), "/srv")
    for one, name in ANY.items():
        text = re.sub(one, name, text, flags=re.MULTILINE)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def is_whole(frame: str) -> bool:
    """All that is asked for beside has been told."""
    of_model = re.search("^model .*$", frame, re.MULTILINE)
    return of_model is not None and " over " in of_model[0] and " - " not in of_model[0]


@pytest.fixture
def short_site() -> Iterator[Site]:
    """Where pytest would have it, its path may be longer than a line of the screen."""
    with tempfile.TemporaryDirectory() as top:
        Path(top).chmod(0o755)
        site = Site(Path(top) / "site")
        yield site
        site.close()


@pytest.fixture
def busy(short_site: Site) -> Site:
    """Something has ended, something runs, something waits."""
    site = short_site
    site.settings |= {"STOP_GRACE": "0s", "MAX_WORKERS": "1"}
    study = site.folder / "asthma-reviews"
    shutil.copytree(STUDIES / "asthma-reviews", study)
    git(study, "init", "-q", "-b", "main", ".")
    about = {"name": "asthma"}
    ended = site.request(commit(study), "model", identifier="a1b2c3d4e5f6a7b8", workspace=about)
    site.drop(ended)
    site.drain()
    project = study / "project.yaml"
    project.write_text(project.read_text().replace(MODEL, 'python:v2 sh -c "sleep 1000"'))
    asked = site.request(commit(study), "model", "report", identifier=IDENTIFIER, workspace=about)
    site.drop({"identifier": IDENTIFIER, **asked})
    site.drop('{"requested_actions": ["run_all"], "backend": "expect', "half.json")
    site.start()
    site.until(lambda: has_started(site, IDENTIFIER))
    site.until(lambda: "available workers" in site.do("status"))
    return site


def test_what_the_readme_shows_of_a_spool_is_what_is_printed(busy: Site) -> None:
    """In one go: to have something ended, running and waiting takes its time."""
    for words, expected in (shown("status"), shown("show")):
        assert normal(busy.do(*words), busy.folder) == normal(expected, SRV)
    words, expected = shown("status-watch")
    assert normal(frame(busy, *words, holds=is_whole), busy.folder) == normal(expected, SRV)
    busy.do("kill", IDENTIFIER)
    busy.finished(IDENTIFIER)
    busy.close()
    (busy.high / "workspaces/asthma/output/patients.csv").unlink()
    (busy.spool / "running/notes.txt").touch()
    words, expected = shown("check")
    done = busy.try_to(*words)
    assert normal(OF_THIS_MACHINE.sub("", done.stdout), busy.folder) == normal(expected, SRV)
    assert done.returncode == 1
