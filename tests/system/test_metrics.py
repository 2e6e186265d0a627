"""What a job used and how long it took is known when it has ended, also of a job of a moment."""

import json

from tests.site import Site

MOST_TRIES = 5
BRIEF = """
version: '4.0'
actions:
  brief:
    run: python:v2 python3 brief.py
    outputs: {highly_sensitive: {x: out.csv}}
"""
PROGRAM = """
import os, time
held = bytearray(40 << 20)
until = time.process_time() + 0.2
while time.process_time() < until:
    pass
with open("out.csv", "wb") as out:
    out.write(bytes(3 << 20))
    os.fsync(out.fileno())
"""


def test_a_job_of_a_moment_tells_what_it_used_and_how_long_it_took(site: Site) -> None:
    ran(site, "r1")
    job = site.jobs("r1")["brief"]
    used = job["metrics"]
    assert used["cpu_s"] >= 0.2
    assert 40 << 20 < used["memory_peak_bytes"] < 400 << 20
    assert 3 << 20 <= used["written_bytes"] < 30 << 20
    for phase in ("queue_s", "prepare_s", "run_s", "collect_s", "publish_s"):
        assert 0 <= used[phase] < 600, phase
    assert used["run_s"] >= 0.2
    assert kept(site, job) == used | {"publish_s": None}
    assert "of processor time" in site.do("show", "r1")


def test_under_an_engine_the_same_but_for_what_it_does_not_count(docker_site: Site) -> None:
    """A busy machine may take the account away before it is read: it is null then."""
    for number in range(MOST_TRIES):
        ran(docker_site, f"r{number}")
        used = docker_site.jobs(f"r{number}")["brief"]["metrics"]
        assert used["run_s"] >= 0.2
        if used["cpu_s"] is not None:
            break
    assert used["cpu_s"] >= 0.2
    assert 40 << 20 < used["memory_peak_bytes"] < 400 << 20


def ran(site: Site, identifier: str) -> None:
    study = site.study({"project.yaml": BRIEF, "brief.py": PROGRAM})
    site.drop(site.request(study, "brief", identifier=identifier))
    site.drain()
    assert site.statuses(identifier) == {"brief": "succeeded"}


def kept(site: Site, job: dict[str, str]) -> dict[str, float]:
    """As metadata.json has them."""
    (path,) = (site.high / "logs").glob(f"*/os-job-{job['identifier']}/metadata.json")
    found: dict[str, float] = json.loads(path.read_bytes())["job_metrics"]
    return found


def test_what_never_ran_used_nothing_and_says_so(site: Site) -> None:
    site.do("pause")
    study = site.study({"project.yaml": BRIEF, "brief.py": PROGRAM})
    site.drop(site.request(study, "brief", identifier="r1"))
    site.drain()
    site.do("cancel", "r1")
    site.drain()
    assert site.jobs("r1")["brief"]["metrics"] is None
