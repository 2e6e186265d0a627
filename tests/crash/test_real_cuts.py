"""The power is really cut: ext4 and xfs on a loop device, by the ioctl that shuts them down."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.invariants import violations
from tests.crash.life import WELL, Life, Place, expect, living
from tests.crash.loop import Disk, only_root
from tests.crash.points import rotating
from tests.crash.races import kill
from tests.site import head

CUTS = 3


@pytest.fixture(params=["ext4", "xfs"])
def cut_off(request: pytest.FixtureRequest) -> Iterator[tuple[Life, Disk]]:
    """A life whose spool is on a disk of its own; what witnesses it is not."""
    if reason := only_root():
        pytest.skip(reason)
    with living() as life:
        place = life.place
        disk = Disk(place.base / "image", place.spool, request.param)
        disk.mount()
        place.command("init")
        yield life, disk
        disk.detach()


def test_what_was_acknowledged_outlives_a_real_cut(cut_off: tuple[Life, Disk]) -> None:
    life, disk = cut_off
    place, chance = life.place, random.Random(seed := rotating(1_000_000))
    print(f"seed {seed}")
    place.scene.most_attempts = 2 + CUTS
    for number in range(CUTS):
        submit = ("submit", str(place.repo), "show", "bad", "-f", "--workspace", f"w{number}")
        identifier = place.command(*submit, "--db", "full")
        place.scene.promised.add(identifier)
        expect(place, identifier, WELL | {"bad": {"nonzero_exit"}})
        asked = place.server.create_request(
            ["make"], backend="test", repo=str(place.repo), sha=head(place.repo), workspace="two"
        )
        expect(place, asked, WELL)
        pid = place.zygote.start(place.task(("run", "--drain"), None, place.base / "temp" / "cut"))
        time.sleep(chance.uniform(0.2, 1.5))  # chance, not a wait for anything
        disk.cut()
        kill(pid)
        place.zygote.wait()
        restart(place, disk, number)
        life.to_the_end()
        assert violations(place.scene, at_rest=True) == []


def restart(place: Place, disk: Disk, number: int) -> None:
    """Nothing of before runs any more."""
    place.boot = f"boot {number}"
    place.until(lambda: not list(kill_all(place.spool)))
    with (place.folder / "witness" / "starts").open("a") as record:
        record.write(f'{{"what": "cut", "name": "", "at_s": {time.monotonic()}}}\n')
    disk.restart()


def kill_all(spool: Path) -> Iterator[int]:
    """Whoever still uses it: keepers, jobs, git."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            uses = os.fsencode(spool) in (process / "cmdline").read_bytes()
            uses = uses or os.readlink(process / "cwd").startswith(str(spool))
        except OSError:
            continue
        if uses:
            kill(int(process.name))
            yield int(process.name)
