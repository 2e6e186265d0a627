"""What a process and all below it use now, by proc(5)."""

import os
import threading
import time
from pathlib import Path

from spoolrunner.executor import Process, Usage

PROC = Path("/proc")
TICKS_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
FRESH_S = 0.2


class Processes:
    """All processes of this machine, as they were a moment ago: who asks of forty jobs, one by
    one, looks once."""

    def __init__(self) -> None:
        self._seen: dict[int, list[str]] = {}
        self._seen_s = float("-inf")
        self._looking = threading.Lock()

    def usage(self, pid: int) -> Usage | None:
        """None if it is gone. What has ended below it counts with those that waited for it."""
        stats = self._all()
        if pid not in stats:
            return None
        children: dict[int, list[int]] = {}
        for child, words in stats.items():
            children.setdefault(int(words[1]), []).append(child)
        below, more = [pid], [pid]
        while more:
            more = [child for parent in more for child in children.get(parent, ())]
            below += more
        mine = [stats[each] for each in below]
        return Usage(
            cpu_s=sum(sum(map(int, words[11:15])) for words in mine) * TICKS_S,
            memory_bytes=sum(int(words[21]) for words in mine) * PAGE_BYTES,
            pids=sum(int(words[17]) for words in mine),
        )

    def _all(self) -> dict[int, list[str]]:
        with self._looking:
            if time.monotonic() - self._seen_s > FRESH_S:
                self._seen, self._seen_s = _stats(), time.monotonic()
            return self._seen


def first_below(keeper: int) -> Process | None:
    """The job's own, below the two of bubblewrap. None: it has ended, or has not come so far."""
    stats, pid = _stats(), keeper
    while children := [child for child, words in stats.items() if int(words[1]) == pid]:
        pid = min(children, key=lambda child: int(stats[child][19]))  # by the time it began
        argv = _argv(pid)
        if argv and Path(argv[0]).name != "bwrap":
            return Process(pid, argv)
    return None


def _argv(pid: int) -> tuple[str, ...]:
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return ()
    return tuple(word.decode(errors="replace") for word in words)


def _stats() -> dict[int, list[str]]:
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
