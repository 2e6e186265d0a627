"""A job may leave anything; nothing but its own regular files is taken over."""

import os
import resource
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from spoolrunner import beneath
from spoolrunner.beneath import Tree
from spoolrunner.outputs import Matcher
from spoolrunner.request import Code, Level
from spoolrunner.workspace import collecting
from tests.workspace.conftest import tree

HIGH, MODERATE, MINIMAL = Level


def collected(line, make, patterns):
    made = line.made("make", patterns)
    job = line.lay_out(made)
    line.work(job, make)
    found = line.collect(job, made)
    line.workspace.publish(job, made, line.outcome(found))
    line.workspace.finish("make", made.job)
    line.storage.clear(made.job)
    assert not job.home.exists()
    return found


def link_to(target):
    return lambda folder: (folder / "x.csv").symlink_to(target)


def a_socket(folder: Path) -> None:
    here = os.getcwd()
    os.chdir(folder)  # the name of a socket has at most 108 bytes
    try:
        socket.socket(socket.AF_UNIX).bind("x.csv")
    finally:
        os.chdir(here)


def a_device(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a device")
    os.mknod(folder / "x.csv", stat.S_IFCHR | 0o600, os.makedev(1, 5))


ODD = {
    "link to a file outside": (link_to("/etc/passwd"), "symbolic link"),
    "link to a folder outside": (link_to("/etc"), "symbolic link"),
    "link to itself": (link_to("x.csv"), "symbolic link"),
    "dangling link": (link_to("nowhere"), "symbolic link"),
    "pipe": (lambda folder: os.mkfifo(folder / "x.csv"), "pipe"),
    "socket": (a_socket, "socket"),
    "device": (a_device, "device"),
    "folder": (lambda folder: (folder / "x.csv").mkdir(), "folder"),
}


@pytest.mark.attack("an output is a {kind}")
@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_regular_file_is_refused_with_its_reason(line, kind):
    make, word = ODD[kind]
    found = collected(line, make, {"x.csv": MODERATE})
    assert found.outputs == {}
    assert found.unmatched == ["x.csv"]
    assert word in found.refused["x.csv"]
    assert word in (line.high / "metadata/make.log").read_text()
    assert "x.csv" not in (line.medium / "metadata/make.log").read_text()


@pytest.mark.attack("a folder of outputs is a link to {target}")
@pytest.mark.parametrize("target", ["/etc", ".", "..", "../../..", "/proc/self/root/etc"])
def test_a_linked_folder_is_never_entered(line, target):
    found = collected(
        line, lambda top: (top / "output").symlink_to(target), {"output/*": MODERATE, "*/*": HIGH}
    )
    assert found.outputs == {}
    assert "symbolic link" in found.refused["output"]


@pytest.mark.attack("a pattern climbs out of the job's folder")
def test_a_pattern_that_climbs_out_finds_nothing(line):
    found = collected(line, {"a.csv": "1"}, {"../../*/a.csv": HIGH, "../outcome.json": HIGH})
    assert found.outputs == {}


@pytest.mark.attack("outputs are hard links of one another ({job_is} owns them)")
@pytest.mark.parametrize("job_is", ["another user", "the runner's user"])
def test_hard_links_are_published_as_files_of_their_own(line, job_is):
    def give_to_runner(folder: Path) -> None:
        for path in (folder / "a.csv", folder / "b.csv"):
            os.chown(path, os.geteuid(), os.getegid())

    def make(folder: Path) -> None:
        (folder / "a.csv").write_text("n\n1\n")
        os.link(folder / "a.csv", folder / "b.csv")
        os.link(folder / "a.csv", folder / "not an output")

    made = line.made("make", {"a.csv": HIGH, "b.csv": MODERATE})
    job = line.lay_out(made)
    line.work(job, make)
    if job_is == "the runner's user":
        give_to_runner(job.workspace)
    line.workspace.publish(job, made, line.outcome(line.collect(job, made)))
    assert (line.high / "a.csv").read_text() == (line.high / "b.csv").read_text() == "n\n1\n"
    assert (line.high / "a.csv").stat().st_nlink == (line.high / "b.csv").stat().st_nlink == 1


@pytest.mark.attack("an output bears extended attributes")
def test_a_file_with_attributes_of_the_jobs_is_copied_without_them(line):
    def make(folder: Path) -> None:
        (folder / "a.csv").write_text("n\n1\n")
        os.setxattr(folder / "a.csv", "user.note", b"hello")

    collected(line, make, {"a.csv": MODERATE})
    assert os.listxattr(line.high / "a.csv") == []
    assert (line.high / "a.csv").read_text() == "n\n1\n"


@pytest.mark.attack("outputs are set-uid, unreadable, or in a folder without permissions")
def test_set_user_id_and_odd_modes_do_not_reach_the_workspace(line):
    def make(folder: Path) -> None:
        for name, mode in (("suid", 0o6777), ("none", 0o000)):
            (folder / name).write_text("1")
            (folder / name).chmod(mode)
        (folder / "shut").mkdir()
        (folder / "shut/in").write_text("1")
        (folder / "shut").chmod(0o000)

    found = collected(line, make, {"suid": HIGH, "none": HIGH, "shut/in": HIGH})
    assert set(found.outputs) == {"suid", "none", "shut/in"}
    assert {stat.S_IMODE((line.high / name).stat().st_mode) for name in found.outputs} == {0o600}


NAMES = [
    b"new\nline.csv",
    b"not-utf8-\xff.csv",
    b"\xe2\x80\xaegnp.csv",
    b"bell\x07.csv",
    b"x" * 251 + b".csv",
]


@pytest.mark.attack("an output's name misleads: {name}")
@pytest.mark.parametrize("name", NAMES)
def test_a_misleading_name_is_refused_and_shown_harmlessly(line, name):
    def make(folder: Path) -> None:
        (Path(os.fsdecode(os.fsencode(folder) + b"/" + name))).write_text("n\n1\n")
        (folder / "good.csv").write_text("n\n1\n")

    found = collected(line, make, {"*.csv": MODERATE})
    assert list(found.outputs) == ["good.csv"]
    assert len(found.refused) == 1
    assert all(shown.isprintable() for shown in found.refused)
    log = (line.high / "metadata/make.log").read_text()
    assert "not taken over" in log


@pytest.mark.attack("an output has two terabytes of holes")
def test_a_file_of_nothing_but_holes_is_not_read_for_days(line):
    def make(folder: Path) -> None:
        with (folder / "a.csv").open("wb") as file:
            file.truncate(2 << 40)

    found = collected(line, make, {"a.csv": HIGH})
    assert found.outputs == {}
    assert "larger than the disk" in found.refused["a.csv"]


@pytest.mark.attack("a thousand outputs have each almost a disk of holes")
def test_holes_of_many_files_are_counted_together(line):
    about = os.statvfs(line.high.parent)
    size = about.f_blocks * about.f_frsize // 2 + 1

    def make(folder: Path) -> None:
        for number in range(1000):
            with (folder / f"{number}.csv").open("wb") as file:
                file.truncate(size if number else 0)

    made = line.made("make", {"*.csv": HIGH})
    job = line.lay_out(made)
    line.work(job, make)
    with Tree(job.workspace) as top:  # sorted, not read: half a disk takes its time
        sorting = collecting._sort(top, Matcher(made.patterns), 0)
    assert (len(sorting.claimed), len(sorting.refused)) == (2, 998)


@pytest.mark.attack("an output lies in {path}")
@pytest.mark.parametrize("path", [".git/config", "out/.GIT/hooks/post-checkout", ".git"])
def test_nothing_that_git_would_obey_is_taken(line, path):
    found = collected(line, {path: "[core]\n\tfsmonitor = id\n"}, {path: HIGH, "*/*": HIGH})
    assert found.outputs == {}
    assert "git" in found.refused[path]


@pytest.mark.attack("an output becomes a link after it was looked at")
@pytest.mark.parametrize("level", [HIGH, MODERATE])
def test_what_becomes_a_link_after_it_was_collected_is_not_published(line, level):
    made = line.made("make", {"out/a.csv": level})
    job = line.lay_out(made)
    line.work(job, {"out/a.csv": "n\n1\n"})
    outcome = line.outcome(line.collect(job, made))
    for name, target in (("a.csv", "/etc/passwd"), ("", "/etc")):
        path = job.workspace / "out" / name
        path.rename(job.workspace / f"old{name}")
        path.symlink_to(target)
        with pytest.raises(OSError, match=r"not a regular file|Not a directory"):
            line.workspace.publish(job, made, outcome)
        path.unlink()
        (job.workspace / f"old{name}").rename(path)
    assert not (line.high / "out/a.csv").exists()
    assert not (line.medium / "out/a.csv").exists()


@pytest.mark.attack("names of outputs differ only in case")
def test_names_that_differ_only_in_case_are_refused_together(line):
    found = collected(line, {"A.csv": "1", "a.csv": "2", "b.csv": "3"}, {"*.csv": HIGH})
    assert list(found.outputs) == ["b.csv"]
    assert set(found.refused) == {"A.csv", "a.csv"}


@pytest.mark.attack("outputs pretend to be the manifest and a log")
def test_a_job_cannot_write_the_workspaces_own_files(line):
    line.run("good", {"good.csv": HIGH}, {"good.csv": "1"})
    before = (line.high / "metadata/manifest.json").read_text()
    forged = {"metadata/manifest.json": "{}", "METADATA/make.log": "forged"}
    found = collected(line, forged, {"*/*": HIGH})
    assert found.outputs == {}
    assert set(found.refused) == set(forged)
    assert (line.high / "metadata/manifest.json").read_text() == before


def test_files_of_the_study_are_not_told_as_made_by_the_job(line):
    made = line.made("make", {"a.csv": HIGH})
    job = line.lay_out(made, study={"code.py": "", "data/x.txt": ""})
    line.work(job, {})
    assert line.collect(job, made).other_files == []


@pytest.mark.attack("a tree of two thousand levels is left behind")
def test_a_tree_of_two_thousand_levels_is_collected_from_and_removed(line):
    """Deeper than Python's recursion and than the number of files we may have open."""

    def make(folder: Path) -> None:
        here = os.getcwd()
        try:
            os.chdir(folder)
            for _ in range(2000):
                os.mkdir("d")
                os.chdir("d")
            Path("a.csv").write_text("deep")
            os.chdir(folder)
            Path("a.csv").write_text("1")
        finally:
            os.chdir(here)

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        found = collected(line, make, {"a.csv": HIGH, "*/*": HIGH})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert list(found.outputs) == ["a.csv"]


@pytest.mark.attack("a link out of the folder waits for its removal")
def test_removing_follows_nothing_and_leaves_nothing(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("1")
    top = tmp_path / "top"
    (top / "a/b/c").mkdir(parents=True)
    (top / "a/b/link").symlink_to(outside)
    (top / "a/b/c/file").write_text("1")
    os.mkfifo(top / "a/pipe")
    (top / f"{os.getpid()}-1").mkdir()
    (top / "a/b").chmod(0)
    beneath.remove_tree(top)
    assert not top.exists()
    assert (outside / "kept").read_text() == "1"
    beneath.remove_tree(top)
    (tmp_path / "link").symlink_to(outside)
    beneath.remove_tree(tmp_path / "link")
    assert (outside / "kept").read_text() == "1"


@pytest.mark.attack("outputs are shut away from a runner that is not root")
def test_a_runner_without_root_takes_outputs_that_the_job_shut_away(tmp_path, root_needed):
    """As a uid of its own that owns all of it, which mode 000 does keep out (root it would not)."""
    top = tmp_path / "job"
    (top / "shut").mkdir(parents=True)
    (top / "shut/a.csv").write_text("1")
    (top / "shut/a.csv").chmod(0)
    (top / "shut").chmod(0)
    subprocess.run(["chown", "-R", "12345:12345", str(top)], check=True)
    code = (
        "import os, sys; from pathlib import Path; from spoolrunner import beneath\n"
        "os.chdir(sys.argv[1])\n"
        "os.setgid(12345); os.setuid(12345)\n"
        "with beneath.Tree(Path('.')) as tree:\n"
        "    print(sorted(found.path for found in tree.walk(1000)))\n"
        "    print(os.read(tree.open('shut/a.csv'), 9))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(top)],
        check=True,
        timeout=30,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "['shut', 'shut/a.csv']\nb'1'\n"


def test_nothing_outside_can_be_named(tmp_path):
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "top").mkdir()
    (tmp_path / "top/link").symlink_to(tmp_path)
    with Tree(tmp_path / "top") as top:
        with pytest.raises(NotADirectoryError):
            top.open("link/outside")
        with pytest.raises(OSError, match="not a regular file"):
            top.open("link")


def test_the_verdict_counts_what_was_refused(line):
    def make(folder: Path) -> None:
        (folder / "a.csv").write_text("1")
        (folder / "b.csv").symlink_to("/etc/passwd")

    _, outcome = line.run("make", {"*.csv": HIGH}, make)
    assert outcome.status_code is Code.SUCCEEDED
    assert "1 output was not taken over" in outcome.status_message
    assert tree(line.high).keys() >= {"a.csv"}


@pytest.mark.attack("a job's folder stays open for others after the job")
def test_once_collected_nobody_but_us_can_reach_into_the_folder(line):
    made = line.made("make", {"a.csv": HIGH})
    job = line.lay_out(made)
    line.work(job, {"a.csv": "1"})
    job.workspace.chmod(0o777)
    line.collect(job, made)
    about = job.workspace.stat()
    assert (about.st_uid, stat.S_IMODE(about.st_mode)) == (os.geteuid(), 0o700)
