"""Inputs: exactly what the needed jobs published, and nothing of the study redirects them."""

import os
from pathlib import Path

import pytest

from spoolrunner.errors import BadInput
from spoolrunner.request import Level
from spoolrunner.workspace import Published
from tests.workspace.conftest import JOB_USER, need, tree

HIGH, MODERATE, MINIMAL = Level


@pytest.fixture
def cohort(line):
    return line.run("cohort", {"output/cohort.csv": HIGH}, {"output/cohort.csv": "patients"})[0]


@pytest.mark.attack("a job writes to its inputs")
def test_inputs_are_copies_that_a_job_may_spoil(line, cohort):
    made = line.made("model", {})
    job = line.lay_out(made, [need(cohort)])
    staged = job.workspace / "output/cohort.csv"
    published = line.high / "output/cohort.csv"
    assert staged.read_text() == "patients"
    assert staged.stat().st_ino != published.stat().st_ino
    staged.write_text("spoiled")
    assert published.read_text() == "patients"
    assert line.workspace.look("cohort") is Published.INTACT


@pytest.mark.attack("a link of the study waits for its folder to be handed over")
def test_the_folder_belongs_to_the_jobs_user_links_included_and_nothing_is_followed(line, cohort):
    outside = line.storage.high / "outside"
    outside.write_text("not to be touched")
    before = outside.stat()

    def study(folder: Path) -> None:
        (folder / "link").symlink_to(outside)
        (folder / "code").mkdir()
        (folder / "code/run.py").write_text("")

    job = line.lay_out(line.made("model", {}), [need(cohort)], study)
    for path in [job.workspace, *job.workspace.rglob("*")]:
        assert (path.lstat().st_uid, path.lstat().st_gid) == JOB_USER, path
    assert outside.stat() == before


@pytest.mark.attack("a link of the study leads an input elsewhere")
def test_a_link_of_the_study_does_not_redirect_an_input(line, cohort, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    job = line.lay_out(
        line.made("model", {}), [need(cohort)], lambda top: (top / "output").symlink_to(elsewhere)
    )
    assert tree(elsewhere) == {}
    assert (job.workspace / "output/cohort.csv").read_text() == "patients"
    assert not (job.workspace / "output").is_symlink()


@pytest.mark.parametrize("what", ["file", "link", "folder", "file above"])
def test_an_input_wins_over_what_the_study_has_there(line, cohort, what, tmp_path):
    target = tmp_path / "target"
    target.write_text("untouched")

    def study(folder: Path) -> None:
        if what == "file above":
            (folder / "output").write_text("a file")
            return
        (folder / "output").mkdir()
        path = folder / "output/cohort.csv"
        if what == "file":
            path.write_text("the study's")
        elif what == "link":
            path.symlink_to(target)
        else:
            (path / "deep/er").mkdir(parents=True)

    job = line.lay_out(line.made("model", {}), [need(cohort)], study)
    assert (job.workspace / "output/cohort.csv").read_text() == "patients"
    assert target.read_text() == "untouched"


def test_only_the_very_job_will_do(line, cohort):
    line.run("cohort", {"output/cohort.csv": HIGH}, {"output/cohort.csv": "newer"})
    with pytest.raises(BadInput) as caught:
        line.lay_out(line.made("model", {}), [need(cohort)])
    assert caught.value.kind == "missing_input"


@pytest.mark.attack("a published input is {what}")
@pytest.mark.parametrize("what", ["removed", "changed", "linked", "folder"])
def test_an_input_that_is_not_what_was_published_stops_the_job(line, cohort, what):
    path = line.high / "output/cohort.csv"
    if what == "changed":
        path.write_text("tampered")
    else:
        path.unlink()
    if what == "linked":
        path.symlink_to("/etc/passwd")
    if what == "folder":
        path.mkdir()
    with pytest.raises(BadInput) as caught:
        line.lay_out(line.made("model", {}), [need(cohort)])
    assert caught.value.kind == "missing_input"
    assert "output/" not in caught.value.public
    assert line.workspace.look("cohort") in (Published.GONE, Published.CHANGED)


def test_a_touched_but_unchanged_file_is_read_once_and_remembered(line, cohort):
    path = line.high / "output/cohort.csv"
    path.write_text("patients")  # the same content, another ctime
    before = line.workspace.index().actions["cohort"].outputs["output/cohort.csv"]
    assert line.workspace.look("cohort") is Published.INTACT
    after = line.workspace.index().actions["cohort"].outputs["output/cohort.csv"]
    assert before.ctime_ns != after.ctime_ns == path.stat().st_ctime_ns
    assert line.workspace.look("cohort") is Published.INTACT
    line.lay_out(line.made("model", {}), [need(cohort)])


@pytest.mark.attack("a published input is changed, its size and time kept")
def test_a_change_that_keeps_size_and_mtime_is_noticed(line, cohort):
    path = line.high / "output/cohort.csv"
    times = path.stat()
    path.write_text("PATIENTS")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert line.workspace.look("cohort") is Published.CHANGED


def test_a_job_folder_is_laid_out_only_when_whole_and_only_since_this_boot(line, cohort):
    made = line.made("model", {})
    part = line.storage.lay_out(made.job)
    assert not line.storage.is_laid_out(made.job)
    line.workspace.stage(part, [need(cohort)])
    assert not line.storage.is_laid_out(made.job)
    line.storage.laid_out(made.job)
    assert line.storage.is_laid_out(made.job)
    rebooted = type(line.storage)(**(vars(line.storage) | {"boot_id": "another boot"}))
    assert not rebooted.is_laid_out(made.job)
    line.storage.clear(made.job)
    assert not line.storage.job(made.job).home.exists()


@pytest.mark.attack("a wide pattern claims a highly sensitive input")
def test_an_unchanged_input_keeps_its_privacy_when_a_wider_pattern_claims_it(line, cohort):
    _, outcome = line.run(
        "model", {"output/*.csv": MODERATE}, {"output/table.csv": "n\n1\n"}, needs=[need(cohort)]
    )
    levels = {path: output.level for path, output in outcome.outputs.items()}
    assert levels == {"output/cohort.csv": HIGH, "output/table.csv": MODERATE}
    assert not (line.medium / "output/cohort.csv").exists()
    assert "more private level" in (line.high / "metadata/model.log").read_text()
    assert line.workspace.look("cohort") is Published.INTACT


def test_an_input_that_the_job_changed_is_an_output_at_the_level_of_its_pattern(line, cohort):
    _, outcome = line.run(
        "model", {"output/*.csv": MODERATE}, {"output/cohort.csv": "n\n1\n"}, needs=[need(cohort)]
    )
    assert outcome.outputs["output/cohort.csv"].level is MODERATE
