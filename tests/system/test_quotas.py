"""Each quota ends a job with a status code of its own, under both executors, and no other job."""

import json
import re
from pathlib import Path

import pytest

from spoolrunner.request import Code
from tests.site import Site

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
# What each does -> the code it ends with. Two of them would go on for ever.
WILD = {
    "fork": ("python fork.py", "pids_limit"),
    "chatter": ("yes 0123456789 0123456789 0123456789", "log_limit"),
    "modest": ("touch modest.csv", "succeeded"),
}


FORK = """
import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(1)
"""


def project() -> str:
    actions = {
        name: {
            "run": f"python:v2 {command}",
            "outputs": {"highly_sensitive": {"o": f"{name}.csv"}},
        }
        for name, (command, _) in WILD.items()
    }
    return json.dumps({"version": "4.0", "actions": actions})


@pytest.mark.attack("a job runs wild: it forks, floods its log")
@pytest.mark.parametrize("house", ["docker", "process"])
def test_each_quota_ends_a_job_with_a_code_of_its_own(
    request: pytest.FixtureRequest, house: str
) -> None:
    site: Site = request.getfixturevalue("docker_site" if house == "docker" else "site")
    site.settings |= {"JOB_PIDS_LIMIT": "40", "JOB_LOG_LIMIT": "50K", "STOP_GRACE": "0s"}
    site.settings["MAX_WORKERS"] = "3"
    study = site.study({"project.yaml": project(), "fork.py": FORK})
    site.drop(site.request(study, "run_all", identifier="r1"))
    site.drain()
    assert site.statuses("r1") == {name: code for name, (_, code) in WILD.items()}
    told = {name: job["status_message"] for name, job in site.jobs("r1").items()}
    assert "(limit was 40)" in told["fork"]
    log = site.spool / "storage/high_privacy/workspaces/ws/metadata/chatter.log"
    assert log.stat().st_size < 60_000


def test_the_readme_names_the_code_of_each_quota() -> None:
    shown = re.search(r"<!-- quotas -->(.*?)<!-- /quotas -->", README, re.DOTALL)
    assert shown
    codes = set(re.findall(r"^\| `.*? \| `(\w+)` \|", shown[1], re.MULTILINE))
    limits = {Code.TIMED_OUT, Code.OUT_OF_MEMORY, Code.DISK_LIMIT, Code.PIDS_LIMIT, Code.LOG_LIMIT}
    assert codes == {code.value for code in limits}
