"""Who starts next, through the whole runner: fair shares, both limits, weights, and refusals."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from tests.site import Site
from tests.system.test_trouble import codes

ENTRY = """\
  {action}:
    run: {image} sh -c "{command}"
    outputs: {{highly_sensitive: {{o: {action}.csv}}}}
"""


def study(**actions: str) -> dict[str, str]:
    """Actions by name, endless unless they are told what to do: image, or image and command."""
    entries = []
    for action, words in actions.items():
        image, _, command = words.partition(" ")
        command = f"{command or 'sleep 1000'}; echo > {action}.csv"
        entries.append(ENTRY.format(action=action, image=image, command=command))
    return {"project.yaml": "version: 4\nactions:\n" + "".join(entries)}


def weights(site: Site, text: str) -> None:
    path = site.folder / "weights.ini"
    path.write_text(text)
    site.settings["JOB_RESOURCE_WEIGHTS"] = str(path)


def states(site: Site, identifier: str) -> dict[str, str]:
    try:
        return {job["action"]: job["status_code"] for job in site.active(identifier)["jobs"]}
    except FileNotFoundError:
        return {}


def test_the_workspace_with_the_fewest_running_goes_first(site: Site) -> None:
    site.settings["MAX_WORKERS"] = "2"
    repo = site.study(study(a="python:v2 true", b="python:v2 sleep 1"))
    pause = site.spool / "control" / "paused"
    pause.touch()
    for workspace, action in (("large", "a"), ("large", "b"), ("small", "a")):
        name = f"{workspace}-{action}"
        asked = site.request(repo, action, identifier=name, workspace={"name": workspace})
        site.drop(asked, f"{name}.json")
    site.drain()
    pause.unlink()
    site.drain()
    started = {
        name: site.done(name)["jobs"][0]["started_at"] for name in ("large-b", "small-a", "large-a")
    }
    assert started["small-a"] < started["large-b"]
    assert started["large-a"] < started["large-b"]


def test_weights_by_workspace_and_by_command_count(site: Site) -> None:
    site.settings |= {"MAX_WORKERS": "4", "STOP_GRACE": "1s"}
    weights(site, "[ws]\nheav. = 2\n[default]\npython:v2 .*sleep 2000.* = 1.5\n")
    repo = site.study(study(long="python:v2 sleep 2000", heavy="python:v2", small="python:v2"))
    site.drop(site.request(repo, "run_all", identifier="r1"))
    site.start()
    # 1.5 + 2 of 4 workers
    wanted = {"long": "executing", "heavy": "executing", "small": "waiting_on_workers"}
    site.until(lambda: states(site, "r1") == wanted)
    site.do("cancel", "r1", "long")
    site.until(lambda: states(site, "r1")["small"] == "executing")
    site.do("cancel", "r1")
    site.finished("r1")


COHORTS = """\
version: 3
expectations: {population_size: 50_000}
actions:
""" + "".join(
    f"""\
  {name}:
    run: cohortextractor:latest generate_cohort --study-definition study_definition_{name}
    outputs: {{highly_sensitive: {{cohort: output/input_{name}.csv}}}}
"""
    for name in "abc"
)


def test_database_jobs_run_one_after_the_other_where_there_is_one_database_worker(
    docker_site: Site,
) -> None:
    docker_site.settings |= {"MAX_WORKERS": "4", "MAX_DB_WORKERS": "1"}
    files = {f"analysis/study_definition_{name}.py": "" for name in "abc"}
    repo = docker_site.study({"project.yaml": COHORTS, **files})
    docker_site.drop(docker_site.request(repo, "run_all", identifier="r1"))
    docker_site.drain()
    jobs = sorted(docker_site.jobs("r1").values(), key=lambda job: str(job["started_at"]))
    assert {job["status_code"] for job in jobs} == {"succeeded"}
    assert all(one["completed_at"] <= other["started_at"] for one, other in pairwise(jobs))


def test_a_job_that_waits_for_an_image_keeps_no_worker_from_others(site: Site) -> None:
    site.settings["MAX_WORKERS"] = "1"
    repo = site.study(study(first="stata-mp:latest", second="python:v2 true"))
    site.drop(site.request(repo, "first", identifier="r1"), "r1.json")
    site.drain()
    assert codes(site, "r1") == ["waiting_on_image"]
    site.drop(site.request(repo, "second", identifier="r2"), "r2.json")
    site.drain()
    assert site.statuses("r2") == {"second": "succeeded"}


TOO_HEAVY = (
    "The action 'heavy' counts for 5 workers on this server, which has 2, so it can never run."
    " Ask the server's operator to raise MAX_WORKERS, or to lower its weight in the file that"
    " JOB_RESOURCE_WEIGHTS names; then ask again."
)


@pytest.fixture
def heavy(site: Site) -> Path:
    site.settings["MAX_WORKERS"] = "2"
    weights(site, "[ws]\nheavy = 5\n")
    return site.study(study(light="python:v2 true", heavy="python:v2"))


def test_what_can_never_fit_is_refused_at_once_and_nothing_of_its_request_runs(
    site: Site, heavy: Path
) -> None:
    site.drop(site.request(heavy, "run_all", identifier="r1"))
    site.drain()
    (job,) = site.done("r1")["jobs"]
    assert (job["action"], job["status_code"]) == ("__error__", "job_error")
    assert job["status_message"] == TOO_HEAVY
    other = site.request(heavy, "light", identifier="r2", workspace={"name": "other"})
    site.drop(other, "r2.json")
    site.drain()
    assert site.statuses("r2") == {"light": "succeeded"}


def test_the_plan_tells_that_before(site: Site, heavy: Path) -> None:
    done = site.try_to("plan", str(heavy), "heavy", "--workspace", "ws")
    assert done.returncode == 3
    assert " ".join(TOO_HEAVY.split()[:9]) in " ".join(done.stderr.split())
    assert "5 workers" not in json.dumps(site.do("plan", str(heavy), "heavy", "--workspace", "w2"))
