"""Images come in as files: what is needed is listed, what is torn or foreign never gets in."""

import contextlib
import json
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from tests.rig.engine import Engine
from tests.rig.images import BUSYBOX, REGISTRY
from tests.site import Site
from tests.system.test_trouble import codes

IMAGE = f"{REGISTRY}/r:v9"
STUDY = """\
version: "4.0"
actions:
  plot:
    run: r:v9 sh -c "echo 1 > a.csv"
    outputs:
      highly_sensitive: {a: a.csv}
"""


@pytest.fixture
def archive(engine: Engine, tmp_path: Path) -> Iterator[Path]:
    """`docker save` of an image that the engine no longer has under its name."""
    path = tmp_path / "r.tar"
    save(engine, path, IMAGE)
    yield path
    with contextlib.closing(engine.client()) as client, contextlib.suppress(Exception):
        client.images.remove(IMAGE)


def save(engine: Engine, path: Path, name: str) -> None:
    with contextlib.closing(engine.client()) as client:
        client.images.get(BUSYBOX).tag(name)
        with path.open("wb") as file:
            file.writelines(client.images.get(name).save(named=name))
        client.images.remove(name)


def needed(site: Site) -> list[tuple[str, bool]]:
    told = json.loads(site.do("images", "--json"))
    return [(one["image"], one["here"]) for one in told]


def changed(archive: Path, suffix: str) -> Path:
    """A copy in which the last byte of one member's content is another."""
    path = archive.with_suffix(".changed.tar")
    with tarfile.open(archive) as old, tarfile.open(path, "w") as new:
        for entry in old:
            content = old.extractfile(entry)
            data = content.read() if content else b""
            if entry.isfile() and entry.name.endswith(suffix):
                data = data[:-1] + bytes([data[-1] ^ 1])
            new.addfile(entry, BytesIO(data))
    return path


def test_a_job_waits_for_its_image_until_it_is_loaded(docker_site: Site, archive: Path) -> None:
    site = docker_site
    site.drop(site.request(site.study({"project.yaml": STUDY}), "plot", identifier="r1"))
    site.start(program="tests.system.unhurried")
    site.until(lambda: codes(site, "r1") == ["waiting_on_image"])
    assert needed(site) == [(IMAGE, False)]
    assert IMAGE in site.do("images")
    assert f"loaded {IMAGE}" in site.try_to("images", "--load", str(archive)).stderr
    assert f"command  images --load {archive}" in site.do("audit")
    assert site.finished("r1")["status"] == "succeeded"
    assert needed(site) == []


@pytest.mark.parametrize("part", ["layer.tar", "manifest.json"])
def test_what_is_not_as_its_name_says_never_reaches_the_engine(
    docker_site: Site, archive: Path, engine: Engine, part: str
) -> None:
    done = docker_site.try_to("images", "--load", str(changed(archive, part)))
    assert (done.returncode, "bad_archive" in done.stderr) == (3, True), done.stderr
    with contextlib.closing(engine.client()) as client:
        assert not client.images.list(IMAGE)


def test_a_torn_archive_and_a_foreign_one_are_refused(
    docker_site: Site, archive: Path, engine: Engine, tmp_path: Path
) -> None:
    torn = tmp_path / "torn.tar"
    torn.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    assert "bad_archive" in docker_site.try_to("images", "--load", str(torn)).stderr
    save(engine, tmp_path / "foreign.tar", "example.org/busybox:1")
    done = docker_site.try_to("images", "--load", str(tmp_path / "foreign.tar"))
    assert (done.returncode, "foreign_image" in done.stderr) == (3, True)


def test_where_jobs_are_processes_there_is_nothing_to_load(site: Site, tmp_path: Path) -> None:
    (tmp_path / "x.tar").touch()
    assert site.try_to("images", "--load", str(tmp_path / "x.tar")).returncode == 3
    assert site.do("images") == "No request waits for an image.\n"
