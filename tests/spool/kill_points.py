"""The runner is killed at its n-th system call while drops arrive; the next one finishes the work.

    python -m tests.spool.kill_points [STEP]     every STEP-th call of each kind; default 1, minutes

strace kills at the entry of a call, which is then not made. Only the main thread is traced: that is
the mover, which does all the taking.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.site import WITHIN_S, Site

# calls of one pass over three drops, with some to spare: beyond the last one nothing is killed
CALLS = {"rename": 28, "fsync": 48, "unlink": 22, "openat": 110, "write": 18}
FROM = {"openat": 355}  # before that the interpreter only loads its modules
KILLED = (-9, 137)


class Crash:
    """One site in which runner after runner is killed."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.study = site.study({"project.yaml": PROJECT})
        self.dropped = 0

    def drop(self) -> None:
        """Three forms: without and with an identifier, and one that is refused."""
        number = self.dropped = self.dropped + 1
        asked = self.site.request(self.study, "no_such_action", created_by=f"drop-{number}")
        self.site.drop(asked, f"{number}-nameless.json")
        asked |= {"identifier": f"id-{number}", "created_by": f"named-{number}"}
        self.site.drop(asked, f"{number}-named.json")
        self.site.drop("[]", f"{number}-bad.json")

    def run_killed_at(self, call: str, number: int) -> bool:
        """Drop, run, drop meanwhile. False: it came to its end without making so many calls."""
        self.drop()
        runner = subprocess.Popen(
            [
                *("strace", "-o", "/dev/null", "-e", f"trace={call}"),
                *("-e", f"inject={call}:signal=KILL:when={number}"),
                *(sys.executable, "-m", "spoolrunner", "run", "--drain"),
            ],
            env=self.site.environment(),
            cwd=self.site.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.drop()
        status = runner.wait(WITHIN_S)
        assert status in (0, *KILLED)
        return status in KILLED

    def check(self) -> None:
        """The next runner finishes; all that was ever dropped is there exactly once."""
        self.site.drain()
        spool = self.site.spool
        for room in ("inbox", ".claims", "running"):
            left = [path.name for path in (spool / room).iterdir()]
            assert left == [], f"left in {room}: {left}"
        finished = [json.loads(path.read_bytes()) for path in (spool / "done").glob("*/*.json")]
        assert Counter(one["original"]["created_by"] for one in finished) == Counter(
            f"{kind}-{number}"
            for kind in ("drop", "named")
            for number in range(1, self.dropped + 1)
        )
        assert {job["status_code"] for one in finished for job in one["jobs"]} == {"job_error"}
        assert set(self.site.rejected()) >= {f"{n}-bad.json" for n in range(1, self.dropped + 1)}
        bad = [path for path in (spool / "rejected").iterdir() if path.name.endswith("-bad.json")]
        assert len(bad) == self.dropped


def points(step: int) -> list[tuple[str, int]]:
    return [
        (call, number)
        for call, count in CALLS.items()
        for number in range(FROM.get(call, 1), FROM.get(call, 1) + count, step)
    ]


PROJECT = """\
version: "4.0"
actions:
  make:
    run: python:v2 sh -c "echo x > a.csv"
    outputs:
      highly_sensitive: {a: a.csv}
"""


def main() -> None:
    step = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    folder = Path(tempfile.mkdtemp(prefix="kill-points-"))
    killed: Counter[str] = Counter()
    try:
        crash = Crash(Site(folder / "site"))
        for call, number in points(step):
            killed[call] += crash.run_killed_at(call, number)
            crash.check()
        print(f"killed at {dict(killed)} calls; {crash.dropped * 3} drops, each dealt with once")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
