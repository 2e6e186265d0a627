"""The gauge: has a running job written more than it may? Told cheaply, however much lies there.

Counting a million files takes a second, so it is only done when it could matter: a folder can't
have outgrown its limit while its filesystem has not grown by what was left. That is asked every few
seconds and costs nothing. What others remove meanwhile could hide a job's growth, so now and then
it is counted all the same.
Knows: nothing of the package. Counts with du(1): a process of its own that follows no link, is not
stopped by depth, and does not mind names that vanish.
"""

import contextlib
import os
import subprocess
import time
from pathlib import Path

LOOK_S = 10.0
LONGEST_COUNT_S = 20.0
AT_LEAST_EVERY_S = 60.0
SHARE = 0.02  # of one core that counting may take
LONGEST_REST_S = 15.0  # but a job that may be over its limit is not left to go on for longer


class Gauge:
    """folder: what the job may fill, on one filesystem. limit_bytes: of disk; 0 = no limit."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._left_bytes = 0
        self._in_use_bytes = 0
        self._rested_s = 0.0
        self._count_anyway_s = 0.0

    @property
    def look_again_s(self) -> float:
        return LOOK_S if self._limit_bytes else float("inf")

    def is_over(self) -> bool:
        """Disk that is really taken counts: not a sparse file's holes, a hard link only once.

        What can't be counted now is not over; it is counted again. As another user than root we
        can't look into folders from which the job took the permission.
        """
        if not self._limit_bytes or not self._may_be_over():
            return False
        begun_s = time.monotonic()
        taken = taken_bytes(self._folder)
        rest_s = (time.monotonic() - begun_s) / SHARE
        self._rested_s = time.monotonic() + min(rest_s, LONGEST_REST_S)
        self._count_anyway_s = time.monotonic() + max(rest_s, AT_LEAST_EVERY_S)
        if taken is None:
            return False
        self._left_bytes = self._limit_bytes - taken
        return self._left_bytes < 0

    def _may_be_over(self) -> bool:
        before, self._in_use_bytes = self._in_use_bytes, _in_use_bytes(self._folder)
        self._left_bytes -= max(0, self._in_use_bytes - before)
        now_s = time.monotonic()
        return now_s >= self._count_anyway_s or (self._left_bytes < 0 and now_s >= self._rested_s)


def taken_bytes(folder: Path) -> int | None:
    """Disk that a folder takes. None if that can't be found out within LONGEST_COUNT_S."""
    command = ["du", "--summarize", "--one-file-system", "--block-size=1", "--", str(folder)]
    environment = {"PATH": os.defpath, "LC_ALL": "C"}
    with contextlib.suppress(subprocess.TimeoutExpired, ValueError):
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=LONGEST_COUNT_S, check=False
        )
        return int(done.stdout.split(b"\t")[0])  # du ends with 1 if a name vanished
    return None


def _in_use_bytes(folder: Path) -> int:
    about = os.statvfs(folder)
    return (about.f_blocks - about.f_bfree) * about.f_frsize
