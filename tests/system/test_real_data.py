"""A backend with real data starts only where everything it relies on is there."""

import json
import os
from pathlib import Path

import pytest

from tests.rig.engine import Engine
from tests.site import Site
from tests.system.conftest import NewSite

URL = "mssql://user:canary-password@db.example/records"


def real(new_site: NewSite, folder: Path, engine: Engine, **settings: str) -> Site:
    return new_site(
        BACKEND="tpp",
        EXECUTOR="docker",
        DOCKER_HOST=engine.socket,
        FULL_DATABASE_URL=URL,
        HIGH_PRIVACY_STORAGE_BASE=str(folder / "high"),
        MEDIUM_PRIVACY_STORAGE_BASE=str(folder / "medium"),
        **settings,
    )


def test_without_the_database_network_it_refuses_to_start_and_says_how_to_make_it(
    new_site: NewSite, folder: Path, engine: Engine
) -> None:
    site = real(new_site, folder, engine)
    done = site.try_to("run", "--drain")
    assert done.returncode == 4
    assert "docker network create jobrunner-db" in done.stderr
    assert "spoolrunner service network" in done.stderr
    assert "canary" not in done.stderr + done.stdout


@pytest.mark.attack("patients' data are written to a disk that is not mounted")
def test_storage_that_is_not_mounted_stops_it(
    new_site: NewSite, folder: Path, engine: Engine
) -> None:
    site = real(new_site, folder, engine, DATABASE_ACCESS_NETWORK="none")
    (folder / "medium" / "SPOOLRUNNER-STORAGE.json").unlink()
    done = site.try_to("run", "--drain")
    assert (done.returncode, "storage_missing" in done.stderr) == (4, True)


@pytest.mark.attack("a study on real data lies in a folder of this server")
def test_local_repositories_are_refused_and_whoever_asked_is_told(
    new_site: NewSite, folder: Path, engine: Engine
) -> None:
    site = real(new_site, folder, engine, DATABASE_ACCESS_NETWORK="none")
    study = site.kept_study("diamond")
    site.drop(site.request(study, "run_all", identifier="r1", workspace={"db": "full"}))
    site.drain()
    job = site.jobs("r1")["__error__"]
    assert (job["status"], job["status_code"]) == ("failed", "job_error")
    assert site.rejected() == {}


def test_two_settings_that_are_wrong_are_told_together(site: Site) -> None:
    site.settings |= {"MAX_WORKERS": "many", "JOB_TIMEOUT": "soon"}
    done = site.try_to("status")
    assert done.returncode == 4
    assert "MAX_WORKERS" in done.stderr
    assert "JOB_TIMEOUT" in done.stderr


@pytest.mark.attack("somebody says to be job-server")
def test_only_the_runners_own_user_is_believed_to_speak_for_job_server(site: Site) -> None:
    study = site.kept_study("diamond")
    for identifier, uid in (("mine", 0), ("theirs", 12345)):
        asked = site.request(study, "numbers", identifier=identifier, source="job-server")
        draft = folder_file(site, f"{identifier}.json", json.dumps(asked))
        os.chown(draft, uid, uid)
        draft.rename(site.spool / "inbox" / draft.name)
    site.drain()
    assert site.done("mine")["source"] == "job-server"
    assert site.done("theirs")["source"] == "inbox"


def folder_file(site: Site, name: str, text: str) -> Path:
    path = site.folder / name
    path.write_text(text)
    return path
