"""What the README shows of `status`, `show` and `check` is what they print.

Times, sizes and numbers of processes are any; so is how wide that makes a column.
"""

import re
import shutil
from pathlib import Path

import pytest

from tests.readme_blocks import shown
from tests.site import STUDIES, Site, commit, git
from tests.system.test_crash_points import has_started
from tests.system.test_status import first_frame

MODEL = "python:v2 python analysis/model.py"
IDENTIFIER = "k3j2h4g5f6d7s8a9"
ANY = {
    r"\d{4}-\d\d-\d\dT[\d:.]+Z": "TIME",
    r"sr-\w{8}-": "sr-SPOOL-",
    r"\b[0-9a-f]{40,64}\b": "HASH",
    r"\b\d+ (s|min|h)\b": "TIME",
    r"\b[\d.]+ [kMGT]?B\b|\b\d+ bytes": "SIZE",
    r"(process|container: process) +\d+": r"\1 PID",
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
        text = re.sub(one, name, text)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


@pytest.fixture
def busy(site: Site) -> Site:
    """Something has ended, something runs, something waits."""
    site.settings["STOP_GRACE"] = "0s"
    study = site.folder / "asthma-reviews"
    shutil.copytree(STUDIES / "asthma-reviews", study)
    git(study, "init", "-q", "-b", "main", ".")
    about = {"name": "asthma"}
    ended = site.request(commit(study), "describe", identifier="a1b2c3d4e5f6a7b8", workspace=about)
    site.drop(ended)
    site.drain()
    project = study / "project.yaml"
    project.write_text(project.read_text().replace(MODEL, 'python:v2 sh -c "sleep 1000"'))
    asked = site.request(commit(study), "report", identifier=IDENTIFIER, workspace=about)
    site.drop({"identifier": IDENTIFIER, **asked})
    site.drop('{"requested_actions": ["run_all"], "backend": "expect', "half.json")
    site.start()
    site.until(lambda: has_started(site, IDENTIFIER))
    return site


@pytest.mark.parametrize("name", ["status", "status-watch", "show"])
def test_what_is_shown_of_a_busy_spool(busy: Site, name: str) -> None:
    blocks = {"status": shown("status"), "show": shown("show")}
    if name == "status-watch":
        words, expected = shown("status-watch")
        printed = first_frame(busy, *words, last="half.json")
    else:
        words, expected = blocks[name]
        printed = busy.do(*words)
    assert normal(printed, busy.folder) == normal(expected, Path("/srv"))
    busy.do("kill", IDENTIFIER)
    busy.finished(IDENTIFIER)
