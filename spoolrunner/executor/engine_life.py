"""The engine's life: since when it runs, and which of its containers it took with it when it ended.

An engine that is restarted without --live-restore ends its containers: politely when it stops, and
after a SIGKILL when it comes back and finds them. They end with 137, 143 or whatever they make of
a SIGTERM, just as if somebody had killed them; the API tells neither that nor when the engine was
started. The kernel does: who listens at the socket, and since when that process has been there.
Knows: executor (the contract).
"""

import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from spoolrunner.executor import RESTARTED, Exit, Look

PROC = Path("/proc")
ENGINE = "dockerd"
SOCKET = "unix:///var/run/docker.sock"
CONNECT_S = 5.0
KILLED = (128 + 9, 128 + 15)
# How long before its end, and after its start, an engine may be at ending its containers: each is
# given 10 s (reference/rig.md 6), many of them on a slow disk take longer.
ENDING_S = 120.0
STARTING_S = 60.0


def judged(found: Look, url: str | None, live_restores: Callable[[], bool]) -> Look:
    """A container as the engine tells of it, and RESTARTED if the engine took it with it.

    url: the engine's, None for the usual socket. live_restores: does it let containers go on?
    """
    if not isinstance(found, Exit) or found.status == 0 or found.reason:
        return found
    if took_with_it(found, started_s(url), live_restore=live_restores()):
        return replace(found, reason=RESTARTED)
    return found


def started_s(url: str | None) -> float | None:
    """When the engine of this machine was started, in seconds since 1970; None if that can't be
    told: it is on another machine, or in another container."""
    scheme, _, path = (url or SOCKET).partition("://")
    if "unix" not in scheme:
        return None
    with suppress(OSError, ValueError):
        pid = _listener(path)
        if _name(pid) != ENGINE:  # systemd listens for it
            (pid,) = _engines()
        return _since_s(pid)
    return None


def took_with_it(ended: Exit, engine_started_s: float | None, *, live_restore: bool) -> bool:
    """Was this container ended by its engine's own restart, not by itself and not by a person?"""
    if ended.status == 0 or engine_started_s is None:
        return False
    after_s = _seconds(ended.finished_at) - engine_started_s
    if _seconds(ended.started_at) >= engine_started_s or after_s > STARTING_S:
        return False
    # With live-restore none is ended on purpose, but its shim may be killed together with it. Long
    # before the engine's start only a signal is the engine's: it may have been away for an hour.
    return ended.status in KILLED or (not live_restore and after_s > -ENDING_S)


def _listener(path: str) -> int:
    """The process that listens at a socket (unix(7), SO_PEERCRED). 0: not one of our namespace."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(CONNECT_S)
        asking.connect(path)
        answer = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", answer)[0]
    return pid


def _name(pid: int) -> str:
    return (PROC / str(pid) / "comm").read_text().strip()


def _engines() -> Iterator[int]:
    for path in PROC.glob("[0-9]*"):
        with suppress(OSError):  # it may end while we look
            if _name(int(path.name)) == ENGINE:
                yield int(path.name)


def _since_s(pid: int) -> float:
    """By proc(5), field 22 of stat, in ticks since the boot. Not by btime, which is off by 1 s."""
    after_name = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(after_name[19]) / os.sysconf("SC_CLK_TCK")
    return time.time() - age_s


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
