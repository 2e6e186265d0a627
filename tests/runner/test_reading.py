"""What was read of a commit is kept, and the same for whoever asks."""

import shutil
from pathlib import Path

from spoolrunner import config
from spoolrunner.cli import build
from spoolrunner.runner.reading import Reader
from spoolrunner.spool import rooms as spool_rooms
from tests.site import Site, head

STUDY = """\
version: 4
actions:
  it: {run: "python:v2 NAME", outputs: {highly_sensitive: {o: o.csv}}}
"""


def test_a_commit_is_fetched_and_parsed_once(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    settings = config.load(site.environment(), [Path("/dev/null")])
    studies = build.studies(settings, spool_rooms.open_spool(site.spool))
    reader = Reader(studies, settings.allowed_images, dummy=True)
    study = site.study({"project.yaml": STUDY.replace("NAME", "first")})
    first = head(study)
    site.study({"project.yaml": STUDY.replace("NAME", "second")})
    second = head(study)
    studies.resolve(str(study), "main", second)
    kept = reader.project(str(study), second)
    assert reader.project(str(study), first).actions["it"].run == ("python:v2", "first")
    assert kept.actions["it"].run == ("python:v2", "second")
    shutil.rmtree(study)
    shutil.rmtree(site.spool / "git")
    assert reader.project(str(study), second) is kept
