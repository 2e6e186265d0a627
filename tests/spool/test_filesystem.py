"""What can't keep a spool's promises is refused before anything is put into it."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from spoolrunner.errors import BadMachine
from spoolrunner.spool import filesystem
from spoolrunner.spool import rooms as spool_rooms
from spoolrunner.spool.rooms import Rooms
from tests.rig import fuse
from tests.spool.conftest import NOW

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


@contextlib.contextmanager
def mounted(point: Path, *words: str) -> Iterator[Path]:
    point.mkdir(exist_ok=True)
    subprocess.run(["mount", *words, str(point)], check=True, timeout=30)
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", str(point)], check=True, timeout=30)


@contextlib.contextmanager
def disk(folder: Path, kind: str = "ext4") -> Iterator[Path]:
    image = folder / f"{kind}.img"
    with image.open("wb") as empty:
        empty.truncate(64 << 20)
    subprocess.run([f"mkfs.{kind}", "-q", str(image)], check=True, timeout=60)
    with mounted(folder / kind, "-o", "loop", str(image)) as point:
        yield point


def create(folder: Path, *, volatile: bool = False) -> Rooms:
    return spool_rooms.create(folder, NOW, group=None, volatile=volatile)


def test_a_tmpfs_is_refused_unless_it_is_meant(tmp_path: Path) -> None:
    with mounted(tmp_path / "ram", "-t", "tmpfs", "tmpfs") as ram:
        with pytest.raises(BadMachine) as caught:
            create(ram / "spool")
        assert caught.value.kind == "bad_filesystem"
        assert "--volatile" in caught.value.hint
        assert create(ram / "spool", volatile=True).marker.filesystem == "tmpfs"


def test_an_ext4_disk_is_recognised_even_below_a_name_with_a_space(tmp_path: Path) -> None:
    folder = tmp_path / "my disk\\or two"
    folder.mkdir()
    with disk(folder) as here:
        assert filesystem.type_of(here) == "ext4"
        assert create(here / "spool").marker.filesystem == "ext4"
        assert list((here / "spool" / "running").iterdir()) == []
        assert list((here / "spool" / "done").iterdir()) == []


@pytest.mark.parametrize("room", ["inbox", "running", "done"])
def test_a_bind_mount_between_the_rooms_is_refused_although_it_is_one_disk(
    tmp_path: Path, room: str
) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "elsewhere").mkdir()
    with mounted(tmp_path / "spool" / room, "--bind", str(tmp_path / "elsewhere")):
        with pytest.raises(BadMachine) as caught:
            create(tmp_path / "spool", volatile=True)
        assert caught.value.kind == "bad_filesystem"


def test_a_mount_that_came_after_init_stops_the_start(tmp_path: Path) -> None:
    rooms = create(tmp_path / "spool", volatile=True)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    with mounted(rooms.rejected, "--bind", str(tmp_path / "elsewhere")):
        with pytest.raises(BadMachine) as caught:
            spool_rooms.check_modes(rooms)
        assert str(rooms.rejected) in caught.value.message
    spool_rooms.check_modes(rooms)


def test_storage_within_the_spools_folder_may_be_a_disk_of_its_own(tmp_path: Path) -> None:
    rooms = create(tmp_path / "spool", volatile=True)
    with mounted(rooms.folder / "storage", "-t", "tmpfs", "tmpfs"):
        spool_rooms.check_modes(rooms)


@pytest.mark.parametrize("kind", ["nfs4", "fuse.sshfs", "fuseblk", "cifs", "9p"])
def test_network_and_fuse_filesystems_are_on_the_list(kind: str) -> None:
    assert filesystem.is_refused(kind)


def test_a_real_fuse_filesystem_is_refused_before_anything_is_put_into_it(tmp_path: Path) -> None:
    with fuse.mounted(tmp_path), pytest.raises(BadMachine) as caught:
        create(tmp_path)
    assert caught.value.kind == "bad_filesystem"
    assert "fuse.probe" in caught.value.message
    assert list(tmp_path.iterdir()) == []
