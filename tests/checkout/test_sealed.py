"""Without a network: local repositories, the operator's mirror, and reusable actions from it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spoolrunner.errors import BadMachine, CannotExpand
from tests.checkout.conftest import Make
from tests.rig.githost import GitHost, Repository

NOBODY = 12345


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    return tmp_path / "mirror"


@pytest.fixture
def study(mirror: Path) -> Repository:
    repository = Repository(mirror / "opensafely" / "study.git", uploads=False)
    repository.commit({"project.yaml": "one"})
    repository.commit({"project.yaml": "two"})
    return repository


STUDY = "https://github.com/opensafely/study"


def test_a_local_path_is_read_where_it_is_allowed(make: Make, tmp_path: Path) -> None:
    local = Repository(tmp_path / "a study \u00fc %41")
    sha = local.commit({"a": "1"})
    for repo in (
        str(local.folder),
        local.folder.as_uri(),
        f"{local.folder}/../{local.folder.name}/",
    ):
        assert make().resolve(repo, "main", None) == sha
        assert make().read(repo, sha, "a") == b"1"
        with pytest.raises(CannotExpand) as caught:
            make(allow_local=False).resolve(repo, "main", sha)
        assert caught.value.kind == "repo_not_allowed"
    assert len(list((tmp_path / "cache").glob("*-study-*"))) == 1


def test_a_working_copy_is_read_as_well_as_a_bare_repository(make: Make, tmp_path: Path) -> None:
    sha = Repository(tmp_path / "study" / ".git").commit({"a": "1"})
    assert make().resolve(str(tmp_path / "study"), "main", None) == sha


@pytest.mark.parametrize("path", ["", "study", "./study", "/nothing/here", "/etc", "/tmp/\n"])
def test_a_path_that_is_no_repository_is_refused(make: Make, path: str) -> None:
    with pytest.raises(CannotExpand) as caught:
        make().resolve(path, "main", None)
    assert caught.value.kind in ("no_such_repo", "repo_not_allowed")


@pytest.mark.usefixtures("root_needed")
def test_a_repository_of_another_user_is_read(make: Make, tmp_path: Path) -> None:
    local = Repository(tmp_path / "study")
    old = local.commit({"a": "1"})
    local.commit({"a": "2"})
    subprocess.run(("chown", "-R", f"{NOBODY}:{NOBODY}", local.folder), check=True)
    bare_git = subprocess.run(
        ("git", "ls-remote", local.folder.as_uri()),
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True,
        check=False,
    )
    assert b"dubious ownership" in bare_git.stderr
    assert make().resolve(str(local.folder), "main", old) == old
    assert make().read(str(local.folder), old, "a") == b"1"


def test_the_mirror_stands_in_for_github_and_no_network_is_tried(
    make: Make, host: GitHost, study: Repository, mirror: Path, tmp_path: Path
) -> None:
    studies = make(mirror=mirror, allow_local=False, proxy_domain=host.domain, token=host.token)
    head, old = study.git("rev-parse", "main"), study.git("rev-parse", "main~1")
    assert studies.resolve(STUDY, "main", None) == head
    assert studies.resolve(STUDY, "main", old) == old
    (tmp_path / "tree").mkdir()
    studies.tree(STUDY, old, tmp_path / "tree")
    assert (tmp_path / "tree/project.yaml").read_text() == "one"
    with pytest.raises(CannotExpand) as caught:
        studies.resolve("https://github.com/opensafely/other", "main", None)
    assert caught.value.kind == "no_such_repo"
    assert host.requests == []


def test_the_mirror_is_checked_as_github_is(make: Make, study: Repository, mirror: Path) -> None:
    studies = make(mirror=mirror, allow_local=False, allowed_orgs=["opensafely"])
    gone = study.commit({"a": "1"}, branch="refs/pull/1/head", onto=None)
    for repo, branch, sha, kind in (
        (STUDY, "main", gone, "commit_not_on_branch"),
        (STUDY, "main", "1" * 40, "no_such_commit"),
        (STUDY, "nope", None, "no_such_branch"),
        (str(study.folder), "main", None, "repo_not_allowed"),
        ("https://github.com/evil/study", "main", None, "repo_not_allowed"),
    ):
        with pytest.raises(CannotExpand) as caught:
            studies.resolve(repo, branch, sha)
        assert caught.value.kind == kind


@pytest.mark.attack("others can write in the git mirror")
@pytest.mark.usefixtures("root_needed")
@pytest.mark.parametrize("place", [".", "opensafely", "opensafely/study.git", "refs", "refs/heads",
                                   "refs/heads/main", "objects", "HEAD", "config"])  # fmt: skip
@pytest.mark.parametrize("how", ["group", "sticky", "owner"])
def test_a_mirror_that_others_can_write_in_is_refused(
    make: Make, study: Repository, mirror: Path, place: str, how: str
) -> None:
    inside = study.folder / place
    path = inside if place not in (".", "opensafely", "opensafely/study.git") else mirror / place
    mode = path.stat().st_mode
    path.chmod(mode | {"group": 0o020, "sticky": 0o1002, "owner": 0}[how])
    os.chown(path, NOBODY if how == "owner" else -1, -1)
    with pytest.raises(BadMachine) as caught:
        make(mirror=mirror).resolve(STUDY, "main", None)
    assert caught.value.kind == "unsafe_mirror"
    path.chmod(mode)
    os.chown(path, 0, -1)
    assert make(mirror=mirror).resolve(STUDY, "main", None)


@pytest.mark.attack("the git mirror is reached through a link")
def test_a_mirror_reached_through_a_link_is_refused(
    make: Make, study: Repository, mirror: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(mirror)
    with pytest.raises(BadMachine):
        make(mirror=tmp_path / "link").resolve(STUDY, "main", None)


SEALED = """
import sys
from pathlib import Path
from spoolrunner.checkout import Studies
cache, locks, mirror, tree = map(Path, sys.argv[1:])
studies = Studies(cache, locks=locks, backend="tpp", allowed_orgs=["opensafely"], allow_local=False,
                  mirror=mirror, token="t", proxy_domain=None)
repo = "https://github.com/opensafely/study"
sha = studies.resolve(repo, "main", None)
tree.mkdir()
studies.tree(repo, sha, tree)
print(studies.read(repo, sha, "project.yaml").decode())
"""


@pytest.mark.usefixtures("root_needed")
def test_a_machine_that_has_no_network_at_all_runs_from_its_mirror(
    study: Repository, mirror: Path, tmp_path: Path, locks: Path
) -> None:
    folders = (tmp_path / "cache", locks, mirror, tmp_path / "tree")
    done = subprocess.run(
        ("unshare", "--net", sys.executable, "-c", SEALED, *folders),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("two\n", "")
    assert (tmp_path / "tree/project.yaml").read_text() == "two"


def test_a_reusable_action_is_found_by_its_tag(make: Make, mirror: Path, tmp_path: Path) -> None:
    action = Repository(mirror / "opensafely-actions" / "kaplan-meier.git")
    first = action.commit({"action.yaml": "run: r:v2 km.r"})
    action.git("tag", "v1", first)
    second = action.commit({"action.yaml": "run: r:v2 km2.r"})
    author = ("-c", "user.name=x", "-c", "user.email=x@y")
    action.git(*author, "tag", "-a", "-m", "x", "v2", second)
    studies = make(mirror=mirror, allow_local=False, allowed_orgs=["opensafely"])
    found = studies.reusable("kaplan-meier", "v1")
    assert (found.sha, found.action_yaml) == (first, b"run: r:v2 km.r")
    found = studies.reusable("kaplan-meier", "v2")
    assert (found.sha, found.action_yaml) == (second, b"run: r:v2 km2.r")
    (tmp_path / "tree").mkdir()
    studies.tree(found.repo, found.sha, tmp_path / "tree")
    assert [path.name for path in (tmp_path / "tree").iterdir()] == ["action.yaml"]
    with pytest.raises(CannotExpand):  # a study it is not
        studies.resolve(found.repo, "main", found.sha)


@pytest.mark.attack("a reusable action is not on its organisation's main")
def test_a_reusable_action_must_be_on_main_at_a_tag(make: Make, mirror: Path) -> None:
    action = Repository(mirror / "opensafely-actions" / "km.git")
    main = action.commit({"action.yaml": "x"})
    action.git("tag", "side", action.commit({"action.yaml": "y"}, branch="refs/heads/dev"))
    bare = Repository(mirror / "opensafely-actions" / "bare.git")
    bare.git("tag", "v1", bare.commit({"readme": ""}))
    studies = make(mirror=mirror)
    for image, tag, kind in (
        ("km", "side", "commit_not_on_branch"),
        ("km", "main", "no_such_tag"),
        ("km", main, "no_such_tag"),
        ("km", "v9", "no_such_tag"),
        ("km", "--x", "no_such_tag"),
        ("nope", "v1", "no_such_repo"),
        ("../opensafely/x", "v1", "no_such_repo"),
        ("..", "v1", "no_such_repo"),
        ("bare", "v1", "no_such_file"),
    ):
        with pytest.raises(CannotExpand) as caught:
            studies.reusable(image, tag)
        assert (image, tag, caught.value.kind) == (image, tag, kind)


@pytest.mark.attack("a reusable action's tag is moved")
def test_a_tag_that_was_moved_is_seen(make: Make, host: GitHost) -> None:
    action = host.create("opensafely-actions/moving")
    action.git("tag", "v1", action.commit({"action.yaml": "one"}))
    studies = make(proxy_domain=host.domain)
    assert studies.reusable("moving", "v1").action_yaml == b"one"
    action.git("tag", "--force", "v1", action.commit({"action.yaml": "two"}))
    assert studies.reusable("moving", "v1").action_yaml == b"two"
