"""What a process and all below it use now, by proc(5)."""

import os
from pathlib import Path

from spoolrunner.executor import Usage

PROC = Path("/proc")
TICKS_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def usage(pid: int) -> Usage | None:
    """None if it is gone. What has ended below it counts with those that waited for it."""
    stats = _all()
    if pid not in stats:
        return None
    below, more = {pid}, {pid}
    while more:
        more = {child for child, words in stats.items() if int(words[1]) in more} - below
        below |= more
    mine = [stats[each] for each in below]
    return Usage(
        cpu_s=sum(sum(map(int, words[11:15])) for words in mine) * TICKS_S,
        memory_bytes=sum(int(words[21]) for words in mine) * PAGE_BYTES,
        pids=sum(int(words[17]) for words in mine),
    )


def _all() -> dict[int, list[str]]:
    """pid -> the words of its `stat` from the third on: the second may hold anything."""
    found = {}
    for name in os.listdir(PROC):
        if name.isdigit():
            try:
                text = (PROC / name / "stat").read_bytes()
            except OSError:
                continue  # it has ended meanwhile
            found[int(name)] = text.rpartition(b")")[2].decode().split()
    return found
