"""The world outside fails: engine, images, git, storage. All is bounded, told, and tried again."""

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.rig import images
from tests.rig.engine import Engine
from tests.rig.engine import engine as private_engine
from tests.rig.githost import Fault, GitHost
from tests.rig.jobserver import JobServer
from tests.site import GATE, Site, head
from tests.system.conftest import NewSite
from tests.system.test_crash_points import CHAIN, GATED, QUICK, has_started
from tests.system.test_trouble import codes, log

BEGINS = CHAIN.replace("FIRST", f"touch begun; {GATE}")
FAILS = CHAIN.replace("FIRST", "sleep 3; exit 3")


@pytest.fixture
def mortal_engine(engine_needed: None) -> Iterator[Engine]:
    """An engine that takes its containers with it."""
    with private_engine() as one:
        one.load(images.archive())
        yield one


def test_a_job_that_a_restarted_engine_took_with_it_runs_again_and_nobody_killed_it(
    new_site: NewSite, mortal_engine: Engine
) -> None:
    site = new_site(EXECUTOR="docker", DOCKER_HOST=mortal_engine.socket, MAX_ATTEMPTS="1")
    study = site.study({"project.yaml": GATED})
    site.drop(site.request(study, "first", identifier="r1"))
    site.start()
    site.until(lambda: has_started(site, "r1"))
    mortal_engine.restart()
    site.until(lambda: is_in_attempt(site, 2))
    site.let_go()
    site.finished("r1")
    job = site.jobs("r1")["first"]
    assert (job["status_code"], job["attempt"], job["not_counted"]) == ("succeeded", 2, 1)


def test_a_job_that_fails_after_it_outlived_its_engine_has_failed(
    new_site: NewSite, engine_alone: Engine
) -> None:
    site = new_site(EXECUTOR="docker", DOCKER_HOST=engine_alone.socket)
    study = site.study({"project.yaml": FAILS})
    site.drop(site.request(study, "first", identifier="r1"))
    site.start()
    site.until(lambda: has_started(site, "r1"))
    engine_alone.restart(kill=True)
    site.finished("r1")
    job = site.jobs("r1")["first"]
    assert (job["status_code"], job["attempt"], job["exit_code"]) == ("nonzero_exit", 1, 3)


def test_what_somebody_does_to_images_and_containers_is_waited_for_or_tried_again(
    new_site: NewSite, engine_alone: Engine
) -> None:
    site = new_site(EXECUTOR="docker", DOCKER_HOST=engine_alone.socket, MAX_ATTEMPTS="2")
    study = site.study({"project.yaml": CHAIN.replace("FIRST", "sleep 1000")})
    site.drop(site.request(study, "first", identifier="r1"))
    site.start()
    for attempt in (1, 2):
        site.until(partial(is_in_attempt, site, attempt))
        engine_alone.clear()
    site.finished("r1")
    job = site.jobs("r1")["first"]
    assert (job["status_code"], job["attempt"]) == ("internal_error", 2)
    assert job["reference"]
    assert "lost 2 times" in job["status_message"]
    (kept,) = (site.high / "volumes/kept").iterdir()
    assert (kept / "workspace/project.yaml").exists()
    with contextlib.closing(engine_alone.client()) as client:
        client.images.remove(f"{images.REGISTRY}/python:v2", force=True)
    site.drop(site.request(study, "first", identifier="r2"), "r2.json")
    site.until(lambda: "waiting_on_image" in codes(site, "r2"))
    assert "python:v2" in site.do("status")


def is_in_attempt(site: Site, number: int) -> bool:
    return has_started(site, "r1") and site.active("r1")["jobs"][0]["attempt"] == number


class Silent:
    """A socket that takes every call and never answers, as an engine that hangs."""

    def __init__(self, path: Path) -> None:
        self.url = f"unix://{path}"
        self._calls: list[socket.socket] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._calls.append(self._listening.accept()[0])

    def close(self) -> None:
        for one in (self._listening, *self._calls):
            one.close()


def test_an_engine_that_never_answers_holds_its_jobs_and_says_so_and_nothing_else(
    new_site: NewSite, tmp_path: Path
) -> None:
    with contextlib.closing(Silent(tmp_path / "s")) as engine:
        site = new_site(EXECUTOR="docker", DOCKER_HOST=engine.url)
        study = site.study({"project.yaml": QUICK})
        site.drop(site.request(study, "first", identifier="r1"))
        runner = site.start(program="tests.system.impatient")
        site.until(lambda: "engine does not answer" in site.do("status"))
        site.do("cancel", "r1")
        site.finished("r1")
        assert site.statuses("r1") == {"first": "cancelled_by_user"}
        assert runner.poll() is None


def test_storage_that_goes_in_mid_run_is_waited_for_and_the_job_does_not_run_again(
    site: Site,
) -> None:
    study = site.study({"project.yaml": BEGINS})
    site.drop(site.request(study, "first", identifier="r1"))
    site.start()
    site.until(lambda: list(site.high.glob("volumes/*/workspace/begun")))
    away = site.high.rename(site.folder / "away")
    site.let_go(away)
    site.until(lambda: list((site.spool / "processes").glob("*/status")))
    assert "Is the disk mounted?" in site.do("status")
    watched = site.try_to("status", "--check")
    assert (watched.returncode, "storage" in watched.stdout) == (1, True)
    away.rename(site.high)
    site.finished("r1")
    job = site.jobs("r1")["first"]
    assert (job["status_code"], job["attempt"]) == ("succeeded", 1)


@pytest.fixture
def git_host(tmp_path: Path) -> Iterator[GitHost]:
    with GitHost(tmp_path / "githost") as host:
        yield host


def test_a_network_that_goes_in_mid_fetch_is_told_and_asked_again_until_it_is_back(
    new_site: NewSite, git_host: GitHost
) -> None:
    git_host.create("org/study").commit({"project.yaml": QUICK})
    site = new_site(
        GITHUB_PROXY_DOMAIN=git_host.domain,
        PRIVATE_REPO_ACCESS_TOKEN=git_host.token,
        GIT_SSL_CAINFO=str(git_host.ca),
        ALLOW_LOCAL_GIT_REPOS="false",
    )
    git_host.faults += [Fault("cut", "command=fetch")] * 20
    site.drop(site.request("https://github.com/org/study", "first", identifier="r1"))
    site.start(program="tests.system.impatient")
    site.until(lambda: re.search(r"Tried \d+ times; tried again in", site.do("status")))
    git_host.faults.clear()
    site.finished("r1")
    assert site.statuses("r1") == {"first": "succeeded"}
    assert "Traceback" not in log(site)


@pytest.mark.parametrize("nonsense", ["html", "types"])
def test_a_job_server_that_answers_nonsense_is_told_and_asked_again(
    new_site: NewSite, nonsense: str
) -> None:
    with JobServer() as server:
        site = new_site(
            BACKEND="test",
            USING_DUMMY_DATA_BACKEND="true",
            JOB_SERVER_ENDPOINT=server.endpoint,
            JOB_SERVER_TOKEN=server.token("test"),
            POLL_INTERVAL="0.5",
        )
        study = site.study({"project.yaml": QUICK})
        about = {"repo": str(study), "branch": "main", "sha": head(study), "workspace": "ws"}
        identifier = server.create_request(["first"], **about)
        server.misbehave(nonsense, on="GET", times=None)
        site.start()
        site.until(lambda: json.loads(site.do("status", "--json"))["reports_trouble"])
        assert not (site.spool / "running" / f"{identifier}.json").exists()
        server.behave()
        site.until(lambda: server.request_status(identifier) == "succeeded")
        assert json.loads(site.do("status", "--json"))["reports_trouble"] == ""
