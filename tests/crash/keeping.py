"""The keeper, and a record of what it really starts: the executor's own witness.

    python -I -S keeping.py FOLDER       stands in for spoolrunner/executor/keeper.py

Each start of a job is written into `starts` in the site's folder, before anything of the job runs,
with whether the request file told of that attempt by then; and its end. A kernel lock for each job
is a second witness: two attempts of one job at the same time are seen whatever the record says.
Imports nothing but the standard library, like the keeper itself.
"""

import fcntl
import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

KEEPER = Path(__file__).parents[2] / "spoolrunner" / "executor" / "keeper.py"
NAME = Path(sys.argv[1] if len(sys.argv) > 1 else "").name
SPOOL = Path(sys.argv[1] if len(sys.argv) > 1 else "").parent.parent
WITNESS = SPOOL.parent / "witness"


def note(what: str, **more: Any) -> None:
    line = json.dumps({"what": what, "name": NAME, "at_s": time.monotonic(), **more})
    record = os.open(WITNESS / "starts", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(record, line.encode() + b"\n")
    os.close(record)


def told() -> bool:
    """Does a request file in running/ name this very attempt?"""
    _, _, job, attempt = NAME.split("-")
    for path in (SPOOL / "running").glob("[!.]*.json"):
        try:
            jobs = json.loads(path.read_bytes())["jobs"]
        except FileNotFoundError:  # another request that has just ended
            continue
        for one in jobs:
            if one["identifier"] == job:
                return bool(one["attempt"] == int(attempt) and one["phase"] == "starting")
    return False


def is_alone() -> bool:
    """Held until this process ends, so as long as it keeps the job."""
    lock = os.open(WITNESS / NAME.split("-")[2], os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def main() -> None:
    spec = importlib.util.spec_from_file_location("keeper", KEEPER)
    assert spec
    assert spec.loader
    keeper = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(keeper)

    class Job(keeper.Job):  # type: ignore[name-defined, misc]
        def __init__(self, launch: dict[str, Any]) -> None:
            note("start", told=told(), alone=is_alone())
            super().__init__(launch)

        def end(self, log: Any) -> None:
            super().end(log)
            note("end")

    keeper.Job = Job
    keeper.main()


if __name__ == "__main__":
    main()
