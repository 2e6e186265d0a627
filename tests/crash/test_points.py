"""Killed at some of all points; the full form is `python -m tests.crash.points`."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.crash import calls
from tests.crash.life import LOOKERS, Life, Place, unknown_verbs
from tests.crash.points import choose, points, rotating, try_one

EVERY = 170
# What strace calls it -> what we call it.
SYSCALLS = {
    **dict.fromkeys(("rename", "renameat", "renameat2"), "rename"),
    **dict.fromkeys(("mkdir", "mkdirat"), "mkdir"),
    **dict.fromkeys(("link", "linkat"), "link"),
    **dict.fromkeys(("chmod", "fchmodat"), "chmod"),
    **dict.fromkeys(("chown", "lchown", "fchownat"), "chown"),
    **{name: name for name in ("unlink", "rmdir", "fchmod", "fchown", "write", "pwrite64")},
    **{name: name for name in ("fsync", "fdatasync", "ftruncate", "truncate", "symlink", "mknod")},
    **{name: name for name in ("symlinkat", "mknodat", "setxattr", "fsetxattr")},
    "utimensat": "utime",
    **{name: name for name in ("copy_file_range", "sendfile", "fallocate", "splice")},
}


def test_every_verb_says_what_it_does_to_the_disk() -> None:
    assert not unknown_verbs(), "give each a Step in tests/crash/life.py, or call it a looker"


def test_killed_at_any_call_all_that_always_holds_holds(life: Life) -> None:
    offset = rotating(EVERY)
    print(f"every {EVERY}. from {offset}")  # shown if it fails: how to repeat it
    results = [try_one(life, point) for point in choose(points(life), EVERY, offset)]
    assert {str(one.point): one.violations for one in results if one.violations} == {}
    assert sum(one.came for one in results) > len(results) / 2


@pytest.mark.parametrize("verb", LOOKERS)
def test_who_only_looks_changes_nothing(life: Life, verb: str, tmp_path: Path) -> None:
    life.place.back_to("the end")
    repo = life.place.repo
    words = {
        "status": ("--json",),
        "show": (life.place.known["submit"],),
        "logs": (next_reference(life.place),),
        "validate": (str(repo / "project.yaml"),),
        "graph": (str(repo / "project.yaml"),),
        "images": ("--json",),
        "service": ("cron",),
        "audit": ("--json",),
    }
    status, said = life.place.hooked((verb, *words[verb]), ("record", str(tmp_path / "calls")))
    assert status == 0, said
    assert (tmp_path / "calls").read_text() == ""


def next_reference(place: Place) -> str:
    return str(place.jobs(place.known["submit"])["bad"]["identifier"])


def test_the_hook_sees_every_call_that_the_kernel_sees(life: Life, tmp_path: Path) -> None:
    """Else there would be points at which nobody stops."""
    life.place.back_to("run")
    folder = str(life.place.folder)
    trace = tmp_path / "trace"
    command = [sys.executable, "-c", PROGRAM, folder, str(tmp_path / "calls")]
    traced = ",".join(
        [*SYSCALLS, "openat", "open", "creat", "unlinkat", "ioctl", "clone", "clone3"]
    )
    strace = ["strace", "-f", "-y", "-s", "256", "-o", str(trace), "-e", f"trace={traced}"]
    done = subprocess.run(
        [*strace, *command],
        env=life.place.environment(),
        cwd=tmp_path,  # strace shows it with every path
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = Counter((tmp_path / "calls").read_text().split())
    assert seen == made(trace.read_text(), folder)
    assert seen["rename"] > 100


PROGRAM = """\
import os, sys
from spoolrunner.cli import main
from tests.crash import calls
write, out = os.write, os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
def around(call, make):
    if call.paths:
        write(out, call.name.replace(" ", "-").encode() + b"\\n")
    return make()
calls.watch(sys.argv[1], around)
main(["run", "--drain"])
"""
LINE = re.compile(r"(?P<pid>\d+) +(?P<name>\w+)\((?P<rest>.*)")
BEGAN = re.compile(r"(?P<pid>\d+) +(?:<\.\.\. )?clone3?[( ].* = (?P<thread>\d+)$")


def made(trace: str, folder: str) -> Counter[str]:
    """What our own threads did below the folder, not the programs they started."""
    ours = {trace.split(maxsplit=1)[0]}
    begins: set[str] = set()  # who is just beginning a thread
    found: Counter[str] = Counter()
    for text in trace.splitlines():
        line = LINE.match(text)
        if line and line["pid"] in ours and folder in where(line) and (name := ours_of(line)):
            found[name] += 1
        if "CLONE_THREAD" in text:
            begins.add(text.split()[0])
        if (began := BEGAN.match(text)) and began["pid"] in begins & ours:
            begins.remove(began["pid"])
            ours.add(began["thread"])
    return found


def where(line: re.Match[str]) -> str:
    """Its paths, not what it writes: the log tells where the spool is."""
    rest = line["rest"]
    return rest.partition(",")[0] if line["name"] in ("write", "pwrite64") else rest


def ours_of(line: re.Match[str]) -> str:
    name, rest = line["name"], line["rest"]
    if name in ("openat", "open"):
        return "open" if re.search(r"O_CREAT|O_TRUNC", rest) else ""
    if name == "unlinkat":
        return "rmdir" if "AT_REMOVEDIR" in rest else "unlink"
    if name == "ioctl":
        return "ioctl-FICLONE" if "FICLONE" in rest else ""
    return SYSCALLS.get(name, "")


def test_a_call_is_named_alike_in_every_life() -> None:
    call = calls.Call("rename", ("/s/.claims/abcdefgh234567ab.json", "/s/running/x.json"))
    assert calls.kind(call, "/s") == "rename .claims/ID.json -> running/x.json"
