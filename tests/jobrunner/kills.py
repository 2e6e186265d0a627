"""`import-jobrunner --yes` killed before and after each call that changes a disk, then done again.

    python -m tests.jobrunner.kills [--every K --offset R]

After the kill nothing of the old installation is changed; after the second time all is as if it
had been done once. exit status: 0 nothing was violated; 1 something was
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.crash.hooked import MOMENTS, Zygote
from tests.crash.life import copy_tree
from tests.jobrunner.old import REPO, Old
from tests.site import PROJECT

MODERATE, HIGH = "moderately_sensitive", "highly_sensitive"
# What is another one's each time, or only says who is alive.
VARIES = re.compile(rb'"(inode|ctime_ns|id|created_at)": ("[^"]*"|\d+)')
ALSO_VARIES = ("/.locks/", "/temp/", "/audit/")


class Point(NamedTuple):
    call: str
    occurrence: int
    moment: str


class Place:
    """An old installation and nothing else, as often as one likes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "place"
        self._kept = folder / "kept"
        self._zygote = Zygote()
        self.once: dict[str, bytes] = {}
        (self.folder / "temp").mkdir(parents=True)
        (self.folder / "job-runner").mkdir()
        self.old = Old(self.folder / "job-runner")
        fill(self.old)
        copy_tree(self.folder, self._kept)

    def back(self) -> None:
        shutil.rmtree(self.folder)
        copy_tree(self._kept, self.folder)

    def take(self, deed: tuple[Any, ...] | None) -> int:
        """The command in a process of its own; how it ended."""
        self._zygote.start(
            {
                "words": ("import-jobrunner", str(self.old.home), "--yes"),
                "environment": {
                    "SPOOL_DIR": str(self.folder / "spool"),
                    "SPOOLRUNNER_ENV": str(self.folder / "etc/spoolrunner.env"),
                    "TMPDIR": str(self.folder / "temp"),
                    "PYTHONPATH": str(PROJECT),
                },
                "cwd": str(self.folder),
                "folder": str(self.folder),
                "output": str(self.folder / "temp" / "said"),
                "deed": deed,
                "boot": "",
            }
        )
        return self._zygote.wait()

    def points(self) -> list[Point]:
        """And remembers how all is when it has been done once."""
        record = self.folder / "temp" / "calls"
        assert self.take(("record", str(record))) == 0, self.said()
        self.once = self.content()
        calls = Counter(json.loads(line)[0] for line in record.read_text().splitlines())
        return [
            Point(call, number, moment)
            for call, count in calls.items()
            if "temp/" not in call  # the copy of the database, under another name each time
            for number in range(1, count + 1)
            for moment in MOMENTS
        ]

    def said(self) -> str:
        return (self.folder / "temp" / "said").read_text()

    def content(self) -> dict[str, bytes]:
        files = (path for path in sorted(self.folder.rglob("*")) if path.is_file())
        return {
            str(path): VARIES.sub(b"", path.read_bytes())
            for path in files
            if not any(part in str(path) for part in ALSO_VARIES)
        }

    def close(self) -> None:
        self._zygote.close()


def fill(old: Old) -> None:
    """Two workspaces, requests that ended and one that did not, something kept back, manifests."""
    for workspace in ("one", "two"):
        request = f"{workspace}-first"
        old.asked(request, "run_all", workspace=workspace)
        for action, level in (("make", HIGH), ("show", MODERATE), ("kept", MODERATE)):
            outputs = {f"out/{action}.csv": level}
            old.job(request, action, workspace=workspace, outputs=outputs)
            shown = action == "show"
            old.has(f"out/{action}.csv", action, workspace=workspace, medium=shown)
        old.manifest({"repo": REPO, "workspace": workspace}, workspace=workspace, high=False)
    old.manifest({"workspace": "one", "actions": {}, "files": {}}, workspace="one", high=True)
    old.asked("two-second", "show", workspace="two")
    old.job("two-second", "show", "running", workspace="two")


@contextmanager
def placed() -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="taking-"))  # on a disk: no spool is made on tmpfs
    place = Place(folder)
    try:
        yield place
    finally:
        place.close()
        shutil.rmtree(folder)


def try_one(place: Place, point: Point) -> tuple[bool, list[str]]:
    """Was it killed there; and what does not hold."""
    place.back()
    before = place.old.seen()
    status = place.take(("kill", *point))
    wrong = [f"{path} was changed" for path in unlike(place.old, before)]
    if (again := place.take(None)) != 0:
        wrong.append(f"done again it ended with {again}: {place.said()[-500:]}")
    wrong += [f"{path} was changed, at the end" for path in unlike(place.old, before)]
    once, after = place.once, place.content()
    wrong += [
        f"{path} is not as if done once"
        for path in sorted(once.keys() | after.keys())
        if once.get(path) != after.get(path)
    ]
    return status == -9, wrong


def unlike(old: Old, before: dict[str, tuple[Any, ...]]) -> list[str]:
    """Files of the old installation that are not what they were; a manifest may have its second
    name instead."""
    after = old.seen()
    kept = {path: path.replace("manifest.json", "manifest.job-runner.json") for path in before}
    return [
        path
        for path, about in before.items()
        if about not in (after.get(path), after.get(kept[path]))
    ]


def try_all(place: Place, points: Sequence[Point]) -> tuple[int, dict[str, list[str]]]:
    """How many came; point -> what did not hold."""
    came, found = 0, {}
    for point in points:
        killed, wrong = try_one(place, point)
        came += killed
        if wrong:
            found[" | ".join(map(str, point))] = wrong
    return came, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--offset", type=int, default=0)
    asked = parser.parse_args()
    with placed() as place:
        points = place.points()
        chosen = points[asked.offset :: asked.every]
        came, found = try_all(place, chosen)
    print(f"{len(points)} points, {len(chosen)} tried, {came} killed there, {len(found)} violated")
    for point, wrong in found.items():
        print(point, *wrong, sep="\n  ")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
