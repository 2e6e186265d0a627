"""Bugs planted one at a time, in a copy of the program: what catches each?

usage: python -m tests.crash.plant [NAME...]

A table of invariants that are never violated proves nothing unless they can be. Each bug is one
that somebody could make; the short forms of this folder's commands are tried on it in turn.

exit status: 0 each was caught; 1 one was not
"""

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.site import PROJECT

POINTS = ("points", "--first", "--workers", "1")
POWER = ("power", "--first", "--workers", "1", "--left-out", "0", "--every", "7", "--offset", "3")
RACES = ("races", "--minutes", "0.5", "--seed", "1")
WITHIN_S = 600
COLLECTED = "        return self._write(name, self._outcome(end, found))\n"


@dataclass(frozen=True)
class Bug:
    """changes: file below spoolrunner/, what is there, what is planted. by: the forms to be tried,
    the most promising first."""

    name: str
    changes: tuple[tuple[str, str, str], ...]
    by: tuple[tuple[str, ...], ...]


BUGS = (
    Bug(
        "a folder's fsync left out",
        (
            (
                "files.py",
                "folders = [*self._targets, *(",
                "folders = [*(",
            ),
        ),
        ((*POWER, "--step", "run"),),
    ),
    Bug(
        "claims unlinked by name",
        (
            (
                "spool/claims.py",
                "disk.move(one.path, target)",
                "disk.write(target, one.path.read_bytes())",
            ),
            (
                "runner/intake.py",
                "        claims.drop_all(dealt)\n",
                (
                    "        for claim in dealt:\n"
                    "            (self._rooms.inbox / claim.name).unlink(missing_ok=True)\n"
                    "        claims.drop_all(dealt)\n"
                ),
            ),
        ),
        ((*POINTS, "--step", "run"), RACES),
    ),
    Bug(
        "the container cleared before the outcome is saved",
        (
            (
                "runner/results.py",
                COLLECTED,
                f"        executor.clear(name)\n{COLLECTED}",
            ),
        ),
        ((*POINTS, "--step", "run"),),
    ),
    Bug(
        "rename swapped for copy",
        (
            (
                "files.py",
                (
                    "(target))\n        else:\n            os.rename(source, target)\n"
                    "        self._moved"
                ),
                (
                    "(target))\n        elif source.is_dir():\n            "
                    "os.rename(source, target)\n"
                    "        else:\n            write_flushed(target, source.read_bytes(), 0o600)\n"
                    "            os.unlink(source)\n        self._moved"
                ),
            ),
        ),
        ((*POINTS, "--step", "run"),),
    ),
    Bug(
        "outbox removed after a newer report",
        (
            (
                "spool/outbox.py",
                "        _forget(rooms, disk, REFUSED, one.request)\n\n\ndef discard",
                (
                    "        for newer in waiting(rooms).get(one.request, []):\n"
                    "            disk.remove(newer.path)\n\n\ndef discard"
                ),
            ),
            # else nothing is lost: what has ended and is still listed is answered again
            ("runner/incoming.py", "self._answer_again(identifier)\n", "pass\n"),
        ),
        (RACES, (*POINTS, "--step", "run")),
    ),
    Bug(
        "the mover's lock not taken",
        (
            ("cli/service.py", "if not lock.take(BESIDE_S):", "if False:"),
            ("cli/service.py", "    if lock.take():\n        return\n", "    return\n"),
        ),
        (RACES,),
    ),
    Bug(
        "the journal left out",
        (("workspace/__init__.py", "        self._begin(journal)\n", ""),),
        ((*POINTS, "--step", "run"),),
    ),
    Bug(
        "outcome written after the first move",
        (
            (
                "runner/results.py",
                COLLECTED,
                "        return self._outcome(end, found)\n",
            ),
            (
                "runner/results.py",
                "self._provenance(), outcome, headway)\n",
                "self._provenance(), outcome, headway)\n        self._write(name, outcome)\n",
            ),
        ),
        ((*POINTS, "--step", "run"),),
    ),
    Bug(
        "the limit of database jobs forgotten",
        (
            (
                "plan/order.py",
                "self._db_workers = max_db_workers - load.database",
                "self._db_workers = max_workers",
            ),
        ),
        (RACES,),
    ),
    Bug(
        "audited after it is noted",
        (
            ("runner/book.py", "        self.audit(self._events)\n        self._events = []\n", ""),
            (
                "runner/book.py",
                "        self._dirty.clear()",
                (
                    "        self.audit(self._events)\n        self._events = []\n"
                    "        self._dirty.clear()"
                ),
            ),
        ),
        ((*POINTS, "--step", "run"),),
    ),
    Bug(
        "what a job wrote before a power cut is believed",
        (
            (
                "runner/attempt.py",
                "return self._rebooted or (look.reason",
                "return (look.reason",
            ),
        ),
        ((*POWER, "--step", "run"),),
    ),
)


def plant(bug: Bug, folder: Path) -> Path:
    """A copy of this clone with the bug in it."""
    clone = folder / "clone"
    for name in ("spoolrunner", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / name, clone / name, ignore=ignored, symlinks=True)
    for file, old, new in bug.changes:
        path = clone / "spoolrunner" / file
        text = path.read_text()
        if old not in text:
            raise SystemExit(f"{file} has changed: plant {bug.name!r} anew")
        path.write_text(text.replace(old, new, 1))
    return clone


def caught(bug: Bug) -> str:
    """The command that caught it and what it said, or "" """
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        clone = plant(bug, Path(folder))
        for name, *options in bug.by:
            command = [sys.executable, "-m", f"tests.crash.{name}", *options]
            with contextlib.suppress(subprocess.TimeoutExpired):  # it may be caught by the next
                done = subprocess.run(
                    command,
                    cwd=clone,
                    env={"PATH": PATH, "PYTHONPATH": str(clone)},
                    capture_output=True,
                    text=True,
                    timeout=WITHIN_S,
                    check=False,
                )
                if done.returncode:
                    return f"{name}: {why(done.stdout, done.stderr)}"
    return ""


PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def why(said: str, complained: str) -> str:
    lines = [line.strip() for line in said.splitlines()]
    named = [line for line in lines if line[:1] == "I" and line[1:2].isdigit()]
    at = [line for line in lines if line.startswith("VIOLATED")]
    if named or at:
        return " | ".join([*at[:1], *named[:1]]) if named else " | ".join([*at[:1], *lines[1:3]])
    return complained.strip().splitlines()[-1] if complained.strip() else lines[-1]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.plant", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", help="parts of names of bugs; default: all")
    given = parser.parse_args()
    missed = 0
    for bug in BUGS:
        if given.names and not any(name in bug.name for name in given.names):
            continue
        begun_s = time.monotonic()
        by = caught(bug)
        missed += not by
        print(
            f"{bug.name}  [{time.monotonic() - begun_s:.0f} s]\n    {by or 'NOT CAUGHT'}",
            flush=True,
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
