"""What finished history costs `status`, and a drain that finds a known request.

usage: python -m tests.bench.history [FINISHED] [ROUNDS]     default: 1000000 finished requests, 9

Empty files stand for finished requests, once all in one day and once over 100, each with its entry
in index/. Prints medians and ratios (target: at most 1.2) and exits 1 if one is above that.
"""

import hashlib
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.site import Site
from tests.system.test_crash_points import QUICK

MOST = 1.2


def fill(site: Site, finished: int, days: int) -> None:
    for day in range(days):
        (site.spool / f"done/2025-{day // 28 + 1:02}-{day % 28 + 1:02}").mkdir()
    folders = sorted((site.spool / "done").glob("2025-*"))
    for number in range(finished):
        name = f"old{number}"
        (folders[number % days] / f"{name}.json").touch()
        shard = site.spool / "index" / hashlib.sha1(name.encode()).hexdigest()[:2]
        shard.mkdir(exist_ok=True)
        (shard / name).touch()


def took_s(site: Site, *words: str) -> float:
    begun_s = time.monotonic()
    site.do(*words)
    return time.monotonic() - begun_s


def known_again_s(site: Site, asked: dict[str, object]) -> float:
    """A drain that takes a request which is known already: start-up and a look into the index."""
    site.drop(asked)
    return took_s(site, "run", "--drain")


def main() -> None:
    finished = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    folder = Path(tempfile.mkdtemp(prefix="spoolrunner-history-"))
    try:
        sys.exit(compare(folder, finished, rounds))
    finally:
        shutil.rmtree(folder)


def compare(folder: Path, finished: int, rounds: int) -> int:
    for_ever = {"KEEP_DONE_DAYS": "100000"}
    sites = {
        name: Site(folder / name, **for_ever) for name in ("none", "in one day", "over 100 days")
    }
    fill(sites["in one day"], finished, 1)
    fill(sites["over 100 days"], finished, 100)
    asked = {}
    for name, site in sites.items():
        asked[name] = site.request(site.study({"project.yaml": QUICK}), "first", identifier="r1")
        site.drop(asked[name])
        site.drain()
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):  # one round after the other: a busy machine is busy for all
        for name, site in sites.items():
            times.setdefault(("status", name), []).append(took_s(site, "status"))
            times.setdefault(("drain", name), []).append(known_again_s(site, asked[name]))
    worst = 0.0
    for (what, name), seconds in times.items():
        ratio = median(seconds) / median(times[(what, "none")])
        worst = max(worst, ratio)
        print(
            f"{what:8} {finished if name != 'none' else 0:>8} {name:14} "
            f"{median(seconds) * 1e3:7.0f} ms  {ratio:.2f}"
        )
    return int(worst > MOST)


if __name__ == "__main__":
    main()
