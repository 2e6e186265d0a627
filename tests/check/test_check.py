"""`spoolrunner check`: what it finds, what --repair does, and that nothing is lost by it."""

import contextlib
import grp
import hashlib
import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.check.conftest import Copy
from tests.check.damages import DAMAGES, Damage

NewCopy = Callable[[], Copy]
DEEP = ("--all", "--hash")
ASKED = ("old1", "old2", "new1", "new2")


def test_a_spool_that_a_runner_filled_has_nothing_wrong_with_it(copied: NewCopy) -> None:
    assert copied().kinds(*DEEP) == set()


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda one: one.name.replace(" ", "-"))
def test_a_damage_is_told_and_mended_once(copied: NewCopy, damage: Damage) -> None:
    site = copied()
    damage.do(site)
    assert damage.kind in site.kinds(*(DEEP if damage.deep else ()))
    kept = precious(site)
    left = site.kinds("--repair", *DEEP)
    assert kept <= precious(site), "something was deleted"
    assert left == {*damage.leaves} | (set() if damage.mended else {damage.kind})
    before = everything(site)
    assert site.kinds("--repair", *DEEP) == left
    assert everything(site) == before, "a second repair changed something"


GROUPS = 4


@pytest.mark.parametrize("number", range(GROUPS))
def test_after_the_repair_a_runner_drains_to_a_good_end(copied: NewCopy, number: int) -> None:
    site = copied()
    chosen = [damage for damage in DAMAGES[number::GROUPS] if not damage.loses + damage.deletes]
    for damage in chosen:
        do(damage, site)
    site.check("--repair", *DEEP)
    resume(site)
    assert [name for name in ASKED if not is_kept(site, name)] == []
    assert site.kinds(*DEEP) <= {damage.kind for damage in chosen if not damage.mended}


def do(damage: Damage, site: Copy) -> None:
    """Unless another damage took what it would have damaged."""
    with contextlib.suppress(FileNotFoundError, FileExistsError, StopIteration):
        damage.do(site)


def everything(site: Copy) -> dict[str, bytes]:
    """All files of the spool and its storage, but the audit, in which each repair is noted."""
    return {
        str(path.relative_to(site.spool)): path.read_bytes()
        for path in sorted(site.spool.rglob("*"))
        if path.is_file() and not path.is_symlink() and not path.match("audit/*.jsonl")
    }


MADE_AGAIN = re.compile(
    r"recent\.json|\.locks/|index/|workspaces/|storage/|.*\.draft-|.*\.error\.json"
)


def precious(site: Copy) -> set[bytes]:
    """What requests, people and job-server wrote, wherever in the spool it lies; but not what can
    be made again, nor a half-written draft."""
    again = re.compile(
        r"recent\.json|\.locks/|index/|workspaces/|storage/|.*\.draft-|.*\.error\.json"
    )
    return {data for name, data in everything(site).items() if not again.match(name)}


def resume(site: Copy) -> None:
    (site.spool / "control/paused").unlink(missing_ok=True)
    site.drain()


def is_kept(site: Copy, name: str) -> bool:
    """Has it ended well, exactly once, and is it nowhere else?"""
    found = list((site.spool / "done").glob(f"*/{name}.json"))
    if not found or (site.spool / "running" / f"{name}.json").exists():
        return False
    assert len(found) == 1
    return json.loads(found[0].read_bytes())["status"] == "succeeded"


SEEDS = range(4)


@pytest.mark.parametrize("seed", SEEDS)
def test_any_damages_at_once_lose_no_request(copied: NewCopy, seed: int) -> None:
    chance, site = random.Random(seed), copied()
    chosen = chance.sample(DAMAGES, 6)
    for damage in chosen:
        do(damage, site)
    site.check("--repair", *DEEP)
    resume(site)
    told = {reason["name"] for reason in site.rejected().values()}
    deleted = {name for damage in chosen for name in damage.deletes}
    for name in set(ASKED) - deleted:
        assert is_kept(site, name) or f"{name}.json" in told, (name, [one.name for one in chosen])


@pytest.mark.parametrize(
    ("noted", "kept"),
    [
        ("spool/running/new1.json", "spool/rejected/*-new1.notes"),
        ("spool/workspaces/ws.json", "spool/rejected/*-ws.notes.torn"),
        (
            "spool/storage/high_privacy/workspaces/ws/metadata/manifest.json",
            "spool/storage/high_privacy/set-aside/*-manifest.notes",
        ),
    ],
)
def test_notes_that_are_damaged_go_aside_with_what_they_follow(
    copied: NewCopy, noted: str, kept: str
) -> None:
    site = copied()
    path = site.folder / noted
    follows = hashlib.sha256(path.read_bytes()).hexdigest()
    damaged = f'{{"follows":"{follows}"}}\n{{"half\n{{}}\n'
    path.with_suffix(".notes").write_text(damaged)
    assert site.kinds(*DEEP) & {"torn_file", "index_disagrees", "manifest_disagrees"}
    assert site.kinds("--repair", *DEEP) == set()
    (aside,) = site.folder.glob(kept)
    assert aside.read_text() == damaged


def test_what_the_courier_knows_of_job_server_is_no_finding(copied: NewCopy) -> None:
    site = copied()
    (site.spool / "outbox/.fact.json").write_text('"It lists nothing."\n')
    assert site.kinds(*DEEP) == set()


def test_a_spool_that_a_group_may_look_at_is_fit(copied: NewCopy) -> None:
    site = copied()
    site.settings["SPOOL_GROUP"] = grp.getgrgid(os.getgid()).gr_name
    site.do("init")
    assert site.kinds(*DEEP) == set()


def test_a_workspace_on_its_way_to_the_archive_is_no_finding(copied: NewCopy) -> None:
    """Its archiving was interrupted, or goes on."""
    site = copied()
    (site.high / "archives/.ws.moving").touch()
    assert site.kinds(*DEEP) == set()


def test_a_link_in_the_mirror_that_leads_nowhere_is_told(copied: NewCopy) -> None:
    site = copied()
    mirror = site.folder / "mirror"
    (mirror / "opensafely").mkdir(parents=True)
    (mirror / "opensafely/study.git").symlink_to("nowhere")
    site.settings["GIT_MIRROR_DIR"] = str(mirror)
    assert site.kinds() == {"open_mirror"}


def test_a_finished_request_that_the_disk_does_not_give_is_told_and_left_alone(
    copied: NewCopy,
) -> None:
    """It may be read again tomorrow: a bad sector is no torn file."""
    site = copied()
    path = min(site.spool.glob("done/*/*.json"))
    told = site.try_to("check", "--repair", "--json", inside=failing(path))
    found = [one for one in json.loads(told.stdout)["findings"] if one["where"] == str(path)]
    assert [one["kind"] for one in found] == ["unread_file"]
    assert path.exists()
    assert site.kinds(*DEEP) == set()


def test_while_the_disk_does_not_give_an_active_request_nothing_is_repaired(
    copied: NewCopy,
) -> None:
    """What seems to be nobody's may be its."""
    site = copied()
    path = min(site.spool.glob("running/*.json"))
    told = site.try_to("check", "--repair", inside=failing(path))
    assert (told.returncode, str(path) in told.stderr) == (4, True)
    assert site.kinds(*DEEP) == set()


def failing(path: Path) -> tuple[str, ...]:
    """A program inside this gets EIO whenever it opens this file."""
    return ("strace", "-qq", "-o", "/dev/null", "-P", str(path), "-e", "inject=openat:error=EIO")
