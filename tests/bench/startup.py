"""How long commands take to come up, against a bare interpreter.

usage: python -m tests.bench.startup [ROUNDS]

Prints medians and ratios of one interleaved run (targets: --help at most 6 x, status at most 10 x).
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.site import Site

COMMANDS = {
    "bare": ["-c", "pass"],
    "--help": ["-m", "spoolrunner", "--help"],
    "status": ["-m", "spoolrunner", "status"],
    "status --json": ["-m", "spoolrunner", "status", "--json"],
}


def took_s(site: Site, words: list[str]) -> float:
    begun_s = time.monotonic()
    subprocess.run(
        [sys.executable, *words],
        env=site.environment(),
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=60,
    )
    return time.monotonic() - begun_s


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder) / "site")
        times: dict[str, list[float]] = {name: [] for name in COMMANDS}
        for _ in range(rounds):
            for name, words in COMMANDS.items():
                times[name].append(took_s(site, words))
    bare_s = median(times["bare"])
    for name, all_s in times.items():
        print(f"{name:14} {median(all_s) * 1000:6.0f} ms  {median(all_s) / bare_s:5.1f} x")


if __name__ == "__main__":
    main()
