"""The main job, whole: a dropped file becomes jobs, and their outputs lie where they belong."""

from pathlib import Path

import pytest

from tests.rig.engine import Engine
from tests.site import GATE, Site, git
from tests.system.conftest import NewSite
from tests.system.test_trouble import codes


def test_the_seeds_project_publishes_each_output_at_its_level_and_nothing_else(
    docker_site: Site,
) -> None:
    study = docker_site.kept_study("seed")
    docker_site.drop(docker_site.request(study, "run_all", identifier="seed1"))
    docker_site.drain()
    assert docker_site.statuses("seed1") == {
        "generate_study_population": "succeeded",
        "run_model": "succeeded",
    }
    released = {"models/cox-model.txt", "figures/survival-plot.png"}
    assert docker_site.published(docker_site.medium) == released
    assert docker_site.published(docker_site.high) == released | {"output/input.csv"}


DIAMOND_RELEASED = {"output/total.txt", "output/largest.txt", "output/both.txt"}


@pytest.mark.parametrize("form", ["v1", "v2"])
def test_a_diamond_publishes_at_both_levels_what_belongs_there_and_nothing_else(
    docker_site: Site, form: str
) -> None:
    docker_site.settings["MAX_WORKERS"] = "4"
    study = docker_site.kept_study("diamond")
    workspace = {"name": "my workspace", "repo": str(study), "branch": "main", "db": "full"}
    if form == "v1":
        docker_site.drop({"workspace": workspace}, "workspace.json")
        docker_site.drain()
        asked = {"backend": "expectations", "action_id": "both", "workspace_id": 1}
    else:
        asked = docker_site.request(study, "both", workspace=workspace)
    docker_site.drop({**asked, "identifier": "d1"})
    docker_site.drain()
    assert set(docker_site.statuses("d1").values()) == {"succeeded"}
    assert docker_site.published(docker_site.medium, "my-workspace") == DIAMOND_RELEASED
    everything = DIAMOND_RELEASED | {"output/numbers.csv"}
    assert docker_site.published(docker_site.high, "my-workspace") == everything
    assert docker_site.rejected() == {}
    assert list((docker_site.spool / "running").iterdir()) == []
    assert list((docker_site.high / "volumes").iterdir()) == []


def test_jobs_that_do_not_need_each_other_run_at_the_same_time(site: Site) -> None:
    site.settings["MAX_WORKERS"] = "2"
    study = site.study({"project.yaml": TWO.replace("GATE", GATE)})
    site.drop(site.request(study, "run_all", identifier="r1"))
    site.start()
    site.until(lambda: codes(site, "r1") == ["executing", "executing"])
    site.let_go()
    assert site.finished("r1")["status"] == "succeeded"


def test_a_sealed_server_runs_a_study_from_its_mirror_without_any_network(
    new_site: NewSite, folder: Path, engine: Engine
) -> None:
    (folder / "mirror").mkdir(mode=0o755)
    site = new_site(
        BACKEND="tpp",
        EXECUTOR="docker",
        DOCKER_HOST=engine.socket,
        GIT_MIRROR_DIR=str(folder / "mirror"),
        HIGH_PRIVACY_STORAGE_BASE=str(folder / "high"),
        MEDIUM_PRIVACY_STORAGE_BASE=str(folder / "medium"),
    )
    mirrored = folder / "mirror" / "opensafely" / "study.git"
    git(folder, "clone", "-q", "--bare", str(site.kept_study("diamond")), str(mirrored))
    address = "https://github.com/opensafely/study"
    site.drop(site.request(address, "run_all", identifier="d1", workspace={"db": "full"}))
    done = site.try_to("run", "--drain", inside=("unshare", "--net"))
    assert (done.returncode, done.stderr) == (0, "")
    assert set(site.statuses("d1").values()) == {"succeeded"}


def test_a_local_run_has_no_engine_and_the_same_result(site: Site) -> None:
    study = site.kept_study("diamond")
    site.drop(site.request(study, "run_all", identifier="d1"))
    site.drain()
    assert set(site.statuses("d1").values()) == {"succeeded"}


def test_a_job_that_writes_something_else_fails_and_its_log_tells_what_it_wrote(site: Site) -> None:
    study = site.study(
        {
            "project.yaml": _project("python:v2 python -c \"open('other.csv','w')\""),
        }
    )
    site.drop(site.request(study, "make", identifier="r1"))
    site.drain()
    job = site.jobs("r1")["make"]
    assert job["status_code"] == "unmatched_patterns"
    assert job["unmatched_patterns"] == ["wanted.csv"]
    log = (site.high / "workspaces/ws/metadata/make.log").read_text()
    assert "other.csv" in log
    assert "other.csv" not in job["status_message"]


def test_a_failed_study_can_be_debugged_from_medium_privacy_alone(site: Site) -> None:
    script = "print('begun')\nprint('patient_id,age\\n4411,41')\n{'age': 41}['agee']\n"
    project = _project("python:v2 python make.py")
    study = site.study({"project.yaml": project, "make.py": script})
    site.drop(site.request(study, "make", identifier="r1"))
    site.drain()
    told = (site.medium / "workspaces/ws/metadata/make.log").read_text()
    for line in ("begun", 'make.py", line 3', "KeyError: 'agee'", "exit_code: 1"):
        assert line in told
    assert "4411" not in told
    reference = told.partition("reference: ")[2].split()[0]
    assert "KeyError" not in site.do("show", reference)
    assert "4411" in site.do("logs", reference)


def test_a_failed_run_never_replaces_the_good_outputs_of_an_earlier_one(site: Site) -> None:
    write = "import sys; open('wanted.csv','w').write(sys.argv[1]); sys.exit(int(sys.argv[2]))"
    study = site.study({"project.yaml": _project("python:v2 python w.py good 0"), "w.py": write})
    site.drop(site.request(study, "make", identifier="r1"))
    site.drain()
    site.study({"project.yaml": _project("python:v2 python w.py bad 3")})
    site.drop(site.request(study, "make", identifier="r2"))
    site.drain()
    assert site.statuses("r2") == {"make": "nonzero_exit"}
    assert (site.high / "workspaces/ws/wanted.csv").read_text() == "good"
    assert (site.high / "workspaces/ws/metadata/make.failed/wanted.csv").read_text() == "bad"


def test_only_what_is_asked_for_by_name_runs_again(site: Site) -> None:
    study = site.kept_study("diamond")
    first, *_, last = _actions(study)
    site.drop(site.request(study, "run_all", identifier="r1"))
    site.drain()
    site.drop(site.request(study, last, identifier="r2"))
    site.drain()
    assert list(site.jobs("r2")) == [last]
    site.drop(site.request(study, "run_all", identifier="r3"))
    site.drain()
    assert [job["run_command"] for job in site.done("r3")["jobs"]] == [""]
    site.drop(site.request(study, last, identifier="r4", force_run_dependencies=True))
    site.drain()
    assert first in site.jobs("r4")


def test_outputs_that_somebody_removed_are_made_again_and_the_person_is_told(site: Site) -> None:
    study = site.study({"project.yaml": CHAIN})
    site.drop(site.request(study, "run_all", identifier="r1"))
    site.drain()
    (site.high / "workspaces/ws/a.csv").unlink()
    site.drop(site.request(study, "second", identifier="r2"))
    site.drain()
    assert set(site.jobs("r2")) == {"first", "second"}
    assert any("first" in note for note in site.done("r2")["notes"])


def test_a_failed_action_fails_what_needs_it(site: Site) -> None:
    study = site.study({"project.yaml": CHAIN.replace("echo x > a.csv", "exit 9")})
    site.drop(site.request(study, "run_all", identifier="r1"))
    site.drain()
    assert site.statuses("r1") == {"first": "nonzero_exit", "second": "dependency_failed"}


TWO = """\
version: "4.0"
actions:
  one:
    run: python:v2 sh -c "GATE; echo > one.csv"
    outputs:
      highly_sensitive: {o: one.csv}
  two:
    run: python:v2 sh -c "GATE; echo > two.csv"
    outputs:
      highly_sensitive: {o: two.csv}
"""


def _project(run: str) -> str:
    return (
        'version: "4.0"\nactions:\n  make:\n'
        f"    run: {run}\n    outputs:\n      highly_sensitive:\n        made: wanted.csv\n"
    )


CHAIN = """\
version: "4.0"
actions:
  first:
    run: python:v2 sh -c "echo x > a.csv"
    outputs:
      highly_sensitive: {a: a.csv}
  second:
    run: python:v2 sh -c "cat a.csv > b.csv"
    needs: [first]
    outputs:
      moderately_sensitive: {b: b.csv}
"""


def _actions(study: Path) -> list[str]:
    from spoolrunner.project import read

    return list(read((study / "project.yaml").read_bytes()).actions)
