"""IMAGE_DIGESTS: a job runs as the image that the operator named, or it waits and says why."""

import contextlib
import json
from pathlib import Path

import pytest

from tests.rig import images
from tests.rig.engine import Engine
from tests.site import Site
from tests.system.test_crash_points import QUICK


@pytest.mark.attack("an image's tag has moved since the operator wrote its id down")
def test_only_images_of_the_list_run_and_as_the_ids_it_gives(
    docker_site: Site, engine: Engine
) -> None:
    listed = docker_site.folder / "images"
    docker_site.settings["IMAGE_DIGESTS"] = str(listed)
    study = docker_site.study({"project.yaml": QUICK})
    docker_site.drop(docker_site.request(study, "first", identifier="r1"))
    listed.touch()
    docker_site.start()
    docker_site.until(lambda: says(docker_site, "not in the operators' list of images"))
    assert is_here(docker_site) is False
    listed.write_text(f"python:v2 {id_of(engine, images.PYTHON)}\n")
    docker_site.finished("r1")
    job = docker_site.jobs("r1")["first"]
    assert (job["status"], job["image_id"]) == ("succeeded", id_of(engine, images.PYTHON))
    assert job["attempt"] == 1


def is_here(site: Site) -> bool:
    (needed,) = json.loads(site.do("images", "--json"))
    return bool(needed["here"])


def says(site: Site, sentence: str) -> bool:
    path: Path = site.spool / "running" / "r1.json"
    if not path.exists():
        return False
    jobs = site.active("r1")["jobs"]
    return any(
        job["status_code"] == "waiting_on_image" and sentence in job["status_message"]
        for job in jobs
    )


def id_of(engine: Engine, image: str) -> str:
    with contextlib.closing(engine.client()) as client:
        return str(client.images.get(image).id)
