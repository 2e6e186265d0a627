"""local-run is killed at random moments, again and again; after each kill all must be right.

    python -m tests.localrun.kills [ROUNDS] [SEED]     default 60 rounds, a minute or two

Prints a table: how far each killed run had got. Ends with 1 at the first thing that is wrong.
"""

import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.localrun.conftest import Study, action, make

LONGEST_S = 3.0


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    chance = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    with tempfile.TemporaryDirectory(prefix="local-run-kills-") as name:
        Path(name).chmod(0o755)
        study = Study(Path(name) / "study")
        study.folder.mkdir()
        got: Counter[str] = Counter()
        for number in range(rounds):
            got[_killed(study, number, chance.uniform(0, LONGEST_S))] += 1
            if problem := _wrong(study, number):
                print(f"round {number}: {problem}")
                return 1
    for far, count in sorted(got.items()):
        print(f"{count:4} {far}")
    print(f"{rounds} kills, after each of which the next run made all that was asked for")
    return 0


def _killed(study: Study, number: int, after_s: float) -> str:
    study.has(
        a=action(f"sleep 0.1; {make('out/a.csv', str(number))}", out="out/a.csv"),
        b=action(f"cat out/a.csv > b.csv; echo {number} >> b.csv", "a", out="b.csv"),
        c=action(f"cat out/a.csv b.csv > c.csv; echo {number} >> c.csv", "a", "b", out="c.csv"),
    )
    run = study.start("run_all", "-f")
    try:
        run.wait(after_s)
    except subprocess.TimeoutExpired:
        run.kill()
    out, _ = run.communicate()
    return f"had ended {out.count(' succeeded  ')} of 3 actions"


def _wrong(study: Study, number: int) -> str:
    began_s = time.monotonic()
    result = study.run("c", force_run_dependencies=True)
    wanted = f"{number}\n"
    made = {path: study.read(path) for path in ("out/a.csv", "b.csv", "c.csv")}
    if not result.succeeded:
        return f"the next run failed: {result}"
    if made != {"out/a.csv": wanted, "b.csv": wanted * 2, "c.csv": wanted * 4}:
        return f"it made {made}"
    if study.leftovers():
        return f"left: {study.leftovers()}"
    if not study.run("run_all").nothing_to_do:
        return "not all that ran counts as run"
    print(f"round {number}: right, in {time.monotonic() - began_s:.1f} s", file=sys.stderr)
    return ""


if __name__ == "__main__":
    sys.exit(main())
