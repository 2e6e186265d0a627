"""Disks of our own on loop devices, to be filled, broken, and cut off from power."""

import contextlib
import os
import subprocess
from pathlib import Path

FILES = 2500
ROOTS = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}
MAKE = {
    "ext4": ("64M", ("mkfs.ext4", "-q", "-F", "-N", str(FILES))),
    "xfs": ("320M", ("mkfs.xfs", "-q", "-f")),
    "btrfs": ("192M", ("mkfs.btrfs", "-q", "-f")),
}
# A copy bears the same name as what it was made of, and that may still be mounted somewhere.
OPTIONS = {"xfs": ",nouuid"}


def only_root() -> str:
    """Why this can't be tried here, or "". In CI it must be."""
    may = os.geteuid() == 0 or os.environ.get("CI") == "true"
    return "" if may else "only root may mount a disk"


class Disk:
    """kind: ext4, xfs or btrfs."""

    def __init__(self, image: Path, mounted: Path, kind: str = "ext4") -> None:
        self.image, self.mounted, self.kind = image, mounted, kind
        self.mounted.mkdir(parents=True, exist_ok=True)
        size, make = MAKE[kind]
        self._do("truncate", "-s", size, str(image))
        self._do(*make, str(image))

    def mount(self) -> None:
        if self.kind == "ext4":  # after `abort` it would stay read-only
            check = ("fsck.ext4", "-p", self.image)
            subprocess.run(check, check=False, capture_output=True, env=ROOTS)
        options = f"loop{OPTIONS.get(self.kind, '')}"
        self._do("mount", "-o", options, str(self.image), str(self.mounted))
        self.mounted.chmod(0o755)

    def unmount(self) -> bool:
        """False while somebody still uses it."""
        done = subprocess.run(("umount", self.mounted), check=False, capture_output=True)
        return not done.returncode

    def detach(self) -> None:
        """Even if somebody uses it: the sandbox of a job may hold a copy of every mount."""
        self._do("umount", "-l", str(self.mounted))

    def abort(self) -> None:
        """As ext4 does when the device fails: read-only from now on, for everybody."""
        self._do("mount", "-o", "remount,abort", str(self.mounted))

    def cut(self) -> None:
        """The power is gone: what was not flushed will not be there after the next mount."""
        self._do("xfs_io", "-x", "-c", "shutdown", str(self.mounted))

    def restart(self) -> None:
        """Mount a copy of what is on the device, which somebody may still hold."""
        self.detach()
        again = self.image.with_name(f"{self.image.name}-again")
        self._do("cp", "--sparse=always", str(self.image), str(again))
        self.image.unlink()
        self.image = again
        self.mount()

    def fill(self) -> None:
        """To the last block."""
        with (self.mounted / "fill").open("wb", buffering=0) as file:
            for size in (1 << 20, 4096):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        os.fsync(file.fileno())

    def use_up_files(self) -> None:
        (self.mounted / "fill").mkdir()
        with contextlib.suppress(OSError):
            for number in range(FILES):
                (self.mounted / "fill" / str(number)).touch()

    def free(self) -> None:
        self._do("rm", "-r", str(self.mounted / "fill"))

    def limit(self) -> None:
        """A quota of btrfs that is used up: statvfs does not show it."""
        self._do("btrfs", "quota", "enable", str(self.mounted))
        self._do("btrfs", "qgroup", "limit", "1M", "0/5", str(self.mounted))
        self.fill()

    def lift(self) -> None:
        self._do("btrfs", "qgroup", "limit", "none", "0/5", str(self.mounted))

    @staticmethod
    def _do(*words: str) -> None:
        subprocess.run(words, check=True, env=ROOTS, capture_output=True)
