"""The keeper, and a record of what it really starts: the executor's own witness.

    python -I -S keeping.py FOLDER       stands in for spoolrunner/executor/keeper.py

Each start of a job is written into `starts` in the site's folder, before anything of the job runs,
with whether the request file told of that attempt by then; and its end. A kernel lock for each job
is a second witness: two attempts of one job at the same time are seen whatever the record says.
Another one is for all jobs whose command has the word `database` in it: of these one may run.

A file `deed` beside it, {"start": 1, "deed": "kill", "words": [...]}, is for the start-th keeper:
done at the calls by which that one changes the disk (the words are hooked.py's).
Imports nothing but the standard library and its neighbours, like the keeper itself.
"""

import builtins
import contextlib
import errno
import fcntl
import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

KEEPER = Path(__file__).parents[2] / "spoolrunner" / "executor" / "keeper.py"
NAME = Path(sys.argv[1] if len(sys.argv) > 1 else "").name
SPOOL = Path(sys.argv[1] if len(sys.argv) > 1 else "").parent.parent
WITNESS = SPOOL.parent / "witness"
HELD: list[int] = []
LOOKS = 3


def note(what: str, **more: Any) -> None:
    line = json.dumps({"what": what, "name": NAME, "at_s": time.monotonic(), **more})
    record = os.open(WITNESS / "starts", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(record, line.encode() + b"\n")
    os.close(record)


def untold() -> list[str]:
    """What the request files say instead, if none names this very attempt.

    A listing may miss what is renamed meanwhile, so nothing at all is looked for again."""
    _, _, job, attempt = NAME.split("-")
    for _ in range(LOOKS):
        seen = list(jobs(job))
        if {f"{attempt} starting", f"{attempt} started"} & set(seen):
            return []
        if seen:
            break
    return seen or ["nothing"]


def jobs(identifier: str) -> Iterator[str]:
    """At which attempt a job is, and how far, by each of the files that tell of it."""
    for path in requests():
        try:
            found = json.loads(path.read_bytes()).get("jobs", ())
        except (FileNotFoundError, ValueError):  # has just ended, or is no request of ours
            continue
        for one in found:
            if one["identifier"] == identifier:
                yield f"{one['attempt']} {one['phase']}"


def requests() -> Iterator[Path]:
    """Also those that a person has just taken away, and puts back."""
    for room in (SPOOL / "running", WITNESS / "away", SPOOL / "inbox", SPOOL / ".claims"):
        yield from room.glob("[!.]*.json")


def is_alone(name: str) -> bool:
    """Held for as long as anything of the job runs, or until the end that is noted."""
    lock = os.open(WITNESS / name, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    HELD.append(lock)
    return True


def module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    found = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


class Deed:
    """What is done at the keeper's own calls: each is written down, or one of them is the last
    one, or fails."""

    def __init__(self, calls: Any, deed: str, words: list[Any]) -> None:
        self._calls, self._deed, self._words = calls, deed, words
        self._seen = 0

    def around(self, call: Any, make: Any) -> Any:
        kind = self._calls.kind(call, str(SPOOL))
        if self._deed == "record":
            with open(self._words[0], "a") as out:
                out.write(json.dumps(kind) + "\n")
            return make()
        wanted, occurrence, moment = self._words
        self._seen += kind == wanted
        if kind != wanted or self._seen != occurrence:
            return make()
        return self._do(moment, call, make)

    def _do(self, moment: str, call: Any, make: Any) -> Any:
        if self._deed == "fail":
            raise OSError(getattr(errno, moment), moment, *call.paths[:1])
        if moment == "after":
            make()
        os.kill(os.getpid(), signal.SIGKILL)

    def open(self, path: str, mode: str = "r") -> Any:
        """Of files to be written, which `calls` does not see."""
        if "w" not in mode or path.startswith("/"):
            return builtins.open(path, mode)
        call = self._calls.Call("open", (os.path.abspath(path),))
        return self.around(call, lambda: builtins.open(path, mode))


def number() -> int:
    """We are the how manieth keeper?"""
    line = f"{NAME}\n"
    with open(WITNESS / "keepers", "a") as begun:
        begun.write(line)
        begun.flush()
        return begun.tell() // len(line)


def do_deed(keeper: ModuleType) -> None:
    with contextlib.suppress(FileNotFoundError):
        task = json.loads((WITNESS / "deed").read_bytes())
        if number() == task["start"]:
            calls = module(Path(__file__).with_name("calls.py"))
            deed = Deed(calls, task["deed"], task["words"])
            calls.watch(str(SPOOL), deed.around)
            keeper.open = deed.open  # type: ignore[attr-defined]


def main() -> None:
    keeper = module(KEEPER)

    class Job(keeper.Job):  # type: ignore[misc]
        def __init__(self, launch: dict[str, Any]) -> None:
            database = "database" in " ".join(launch["argv"])
            alone = is_alone(NAME.split("-")[2]), not database or is_alone("database")
            note("start", untold=untold(), database=database, alone=all(alone))
            super().__init__(launch)

        def end(self, log: Any) -> None:
            super().end(log)
            note("end")
            for lock in HELD:
                fcntl.flock(lock, fcntl.LOCK_UN)

    keeper.Job = Job
    do_deed(keeper)
    keeper.main()


if __name__ == "__main__":
    main()
