"""A commit's files on disk: the repository's bytes, all of them, and nothing but them."""

import os
import stat
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spoolrunner.checkout import Studies
from spoolrunner.errors import Bug, CannotExpand, TryLater
from tests.checkout.conftest import Make
from tests.rig.githost import LINK, PROGRAM, SUBMODULE, Content, Repository


@pytest.fixture
def local(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "study.git")


def laid_out(studies: Studies, repo: str, sha: str, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    studies.tree(repo, sha, folder)
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_every_file_is_there_and_git_is_not(make: Make, local: Repository, tmp_path: Path) -> None:
    content = {"project.yaml": b"x", "a/b/c": b"\0\xff", "\u00fc \u2603": b"y", "empty": b""}
    sha = make().resolve(str(local.folder), "main", local.commit(content))
    assert laid_out(make(), str(local.folder), sha, tmp_path / "tree") == content


@pytest.mark.attack("a study's git attributes change its files")
@pytest.mark.parametrize(
    "attributes",
    ["* export-ignore", "* export-subst", "* text eol=crlf", "* ident", "* text=auto",
     "* working-tree-encoding=UTF-16",
     "* filter=lfs diff=lfs merge=lfs -text", "[attr]x text\n* x"],
)  # fmt: skip
def test_attributes_of_the_study_change_nothing(
    make: Make, local: Repository, tmp_path: Path, attributes: str
) -> None:
    content = {".gitattributes": attributes, "a": "1\n2\n$Id$ $Format:%H$\n", "b": "1\r\n"}
    sha = make().resolve(str(local.folder), "main", local.commit(content))
    found = laid_out(make(), str(local.folder), sha, tmp_path / "tree")
    assert found == {name: text.encode() for name, text in content.items()}


@pytest.mark.attack("a repository's settings and hooks run programs")
def test_settings_of_the_user_and_of_the_repository_run_nothing(
    make: Make, local: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    evil = f"touch {tmp_path}/ran"
    settings = (
        f'[filter "evil"]\nsmudge = {evil}\nrequired = true\n[core]\nfsmonitor = {evil}\n'
        f"hooksPath = {tmp_path}\n[uploadpack]\npackObjectsHook = {evil}\n"
    )
    (home / ".gitconfig").write_text(settings)
    with (local.folder / "config").open("a") as config:
        config.write(settings)
    for hook in ("post-checkout", "reference-transaction"):
        (tmp_path / hook).write_text(f"#!/bin/sh\n{evil}\n")
        (tmp_path / hook).chmod(0o755)
    sha = local.commit({".gitattributes": "* filter=evil", "a": "1"})
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    (tmp_path / "ran").unlink(missing_ok=True)
    make().resolve(str(local.folder), "main", sha)
    assert laid_out(make(), str(local.folder), sha, tmp_path / "tree")["a"] == b"1"
    assert not (tmp_path / "ran").exists()


def test_links_stay_links_and_submodules_are_empty_folders(
    make: Make, local: Repository, tmp_path: Path
) -> None:
    content: Content = {
        "link": (LINK, "/etc/passwd"),
        "sub": (SUBMODULE, "1" * 40),
        ".gitmodules": '[submodule "sub"]\npath = sub\nurl = https://example.org/x\n',
    }
    sha = make().resolve(str(local.folder), "main", local.commit(content))
    laid_out(make(), str(local.folder), sha, tmp_path / "tree")
    assert os.readlink(tmp_path / "tree/link") == "/etc/passwd"
    assert list((tmp_path / "tree/sub").iterdir()) == []


def test_modes_do_not_depend_on_the_umask(make: Make, local: Repository, tmp_path: Path) -> None:
    sha = local.commit({"a/plain": "1", "run.sh": (PROGRAM, "#!/bin/sh")})
    old = os.umask(0)
    try:
        make().resolve(str(local.folder), "main", sha)
        laid_out(make(), str(local.folder), sha, tmp_path / "tree")
    finally:
        os.umask(old)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tree").rglob("*")
    }
    assert modes == {"a": 0o755, "plain": 0o644, "run.sh": 0o755}
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.stat().st_mode & 0o077]
    assert kept == []


def hostile(local: Repository, name: str) -> str:
    """A commit with a file of a name that git itself would never add; made of bare objects."""
    blob = local.git("hash-object", "-w", "--stdin", given=b"x")
    entry = b"100644 " + name.encode() + b"\0" + bytes.fromhex(blob)
    tree = local.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", given=entry)
    author = ("-c", "user.name=x", "-c", "user.email=x@y")
    sha = local.git(*author, "commit-tree", "-m", "x", tree)
    local.git("update-ref", "refs/heads/main", sha)
    return sha


@pytest.mark.parametrize("name", ["..", ".", ".git", ".GIT", "git~1", ".g\u200cit", "a/b"])
def test_paths_that_lead_elsewhere_are_refused(
    make: Make, local: Repository, tmp_path: Path, name: str
) -> None:
    sha = hostile(local, name)
    with pytest.raises(CannotExpand) as caught:
        make().resolve(str(local.folder), "main", sha)
    assert caught.value.kind == "unsafe_commit"


@pytest.mark.attack("a commit unfolds to ten thousand million files")
def test_a_tree_of_ten_thousand_million_files_does_not_eat_the_memory(
    make: Make, local: Repository, tmp_path: Path
) -> None:
    inner, mode = local.git("hash-object", "-w", "--stdin", given=b"x"), "100644 blob"
    for _ in range(10):
        rows = "".join(f"{mode} {inner}\tf{number}\n" for number in range(10))
        inner, mode = local.git("mktree", given=rows.encode()), "040000 tree"
    author = ("-c", "user.name=x", "-c", "user.email=x@y")
    sha = local.git(*author, "commit-tree", "-m", "x", inner)
    local.git("update-ref", "refs/heads/main", sha)
    make(timeout_s=120).resolve(str(local.folder), "main", sha)
    with pytest.raises(CannotExpand) as caught:
        laid_out(make(timeout_s=120), str(local.folder), sha, tmp_path / "tree")
    assert caught.value.kind == "unsafe_commit"


def test_a_folder_that_is_not_empty_is_our_mistake(
    make: Make, local: Repository, tmp_path: Path
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/old").touch()
    with pytest.raises(Bug):
        make().tree(str(local.folder), local.commit({"a": "1"}), tmp_path / "tree")


@pytest.mark.usefixtures("root_needed")
def test_a_full_disk_is_the_operators_and_leaves_the_cache_alone(
    make: Make, local: Repository, tmp_path: Path
) -> None:
    sha = make().resolve(str(local.folder), "main", local.commit({"big": os.urandom(1 << 20)}))
    full = tmp_path / "full"
    full.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", "size=64k", "none", full), check=True)
    try:
        with pytest.raises(TryLater) as caught:
            make().tree(str(local.folder), sha, full)
    finally:
        subprocess.run(("umount", full), check=True)
    assert caught.value.kind == "cannot_write"
    local.folder.rename(tmp_path / "elsewhere")
    assert laid_out(make(), str(local.folder), sha, tmp_path / "tree").keys() == {"big"}


def test_a_file_is_read_as_it_is(make: Make, local: Repository) -> None:
    content: Content = {
        "project.yaml": b"\xff\r\n",
        "link": (LINK, "project.yaml"),
        "big": b"x" * 4194305,
    }
    sha = make().resolve(str(local.folder), "main", local.commit({**content, "folder/x": ""}))
    assert make().read(str(local.folder), sha, "project.yaml") == b"\xff\r\n"
    assert make().read(str(local.folder), sha, "link") == b"project.yaml"
    for path, kind in (
        ("nope", "no_such_file"),
        ("folder", "no_such_file"),
        ("--help", "no_such_file"),
        ("../x", "no_such_file"),
        ("./project.yaml", "no_such_file"),
        ("big", "file_too_big"),
    ):
        with pytest.raises(CannotExpand) as caught:
            make().read(str(local.folder), sha, path)
        assert (path, caught.value.kind) == (path, kind)


def test_eight_jobs_lay_out_one_repository_at_once(
    make: Make, local: Repository, tmp_path: Path
) -> None:
    shas = [
        local.commit({f"f{name}": f"{number} {name}" for name in range(200)}) for number in range(4)
    ]
    together = threading.Barrier(8)

    def job(number: int) -> dict[str, bytes]:
        together.wait()
        studies, sha = make(), shas[number % 4]
        studies.resolve(str(local.folder), "main", sha)
        return laid_out(studies, str(local.folder), sha, tmp_path / str(number))

    with ThreadPoolExecutor(8) as pool:
        for number, found in enumerate(pool.map(job, range(8))):
            assert found == {f"f{name}": f"{number % 4} {name}".encode() for name in range(200)}
