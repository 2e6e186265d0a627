"""Accounts: what the kernel counted of a container, read in the moment in which it ends.

With a container goes its control group, and with that all that was counted; the engine, asked
afterwards, has nothing. But the kernel tells when the last process is gone (`populated 0` in
cgroup.events, by POLLPRI: cgroups(7)), and the engine takes 7 to 24 ms to remove the group
(measured). So one thread sleeps until then, reads three files, and sleeps again: nothing is polled.
What it misses is not known: of a container that ended before we first looked at it, while no runner
was alive, or on another machine.
Knows: executor (the contract).
"""

import contextlib
import os
import select
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spoolrunner.executor import Exit, Look, Running, Used

PROC = Path("/proc")
HIERARCHY = Path("/sys/fs/cgroup")
READ_WITHIN_S = 1.0  # the thread may have to wait for a processor
LONGEST_BYTES = 1 << 16


@dataclass
class _Account:
    """events: an open cgroup.events. unified, memory: its groups; memory is version 1's."""

    events: int
    unified: Path
    memory: Path
    used: Used = field(default_factory=Used)
    closed: threading.Event = field(default_factory=threading.Event)


class Accounts:
    """From any thread."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._lock = threading.Lock()
        self._by_name: dict[str, _Account] = {}
        self._by_descriptor: dict[int, _Account] = {}
        self._is_read = False

    def seen(self, name: str, about: dict[str, Any], look: Look) -> Look:
        """The same look; of a container that has ended, with what it used. about: as inspected."""
        if isinstance(look, Running):
            self.open(name, about["Id"], about["State"]["Pid"])
        return replace(look, used=self.closed(name)) if isinstance(look, Exit) else look

    def open(self, name: str, container_id: str, pid: int) -> None:
        """Read its account when it ends. pid: of its first process. Safe to repeat."""
        with self._lock:
            if name in self._by_name or not (account := _opened(container_id, pid)):
                return
            if not self._is_read:
                threading.Thread(target=self._read_all, name="accounts", daemon=True).start()
                self._is_read = True
            self._by_name[name] = self._by_descriptor[account.events] = account
            self._poll.register(account.events, select.EPOLLPRI)

    def closed(self, name: str) -> Used:
        """Of a container that has ended; the same whenever it is asked, until `forget`."""
        account = self._by_name.get(name)
        if account is None:
            return Used()
        account.closed.wait(READ_WITHIN_S)
        return account.used

    def forget(self, name: str) -> None:
        """Its container is gone for good: so its group's end is told, if it was not before."""
        with self._lock:
            self._by_name.pop(name, None)

    def _read_all(self) -> None:
        """Ahead of all others where we may (root): on a machine with a load of 26 one of five
        groups was gone before it was read, and none so."""
        with contextlib.suppress(OSError):
            os.sched_setscheduler(threading.get_native_id(), os.SCHED_RR, os.sched_param(1))
        while True:
            for descriptor, _ in self._poll.poll():
                account = self._by_descriptor[descriptor]
                if _is_empty(descriptor):
                    account.used = _counted(account)
                    self._close(account)

    def _close(self, account: _Account) -> None:
        with self._lock:
            self._poll.unregister(account.events)
            del self._by_descriptor[account.events]
            os.close(account.events)
        account.closed.set()


def _opened(container_id: str, pid: int) -> _Account | None:
    """None where the kernel tells nothing of it. The id in the group's name shows that the process
    is really of this container: the engine may be another machine's, or pid somebody else's."""
    with contextlib.suppress(OSError, ValueError):
        lines = (PROC / str(pid) / "cgroup").read_text().splitlines()
        paths = dict(line.split(":", 2)[1:] for line in lines)  # "" = version 2
        own = paths.get("", "")
        if container_id and container_id in own:
            top = HIERARCHY / "unified"
            unified = Path(f"{top if top.exists() else HIERARCHY}{own}")
            memory = Path(f"{HIERARCHY / 'memory'}{paths.get('memory', '')}")
            return _Account(os.open(unified / "cgroup.events", os.O_RDONLY), unified, memory)
    return None


def _is_empty(events: int) -> bool:
    try:
        return b"populated 0" in os.pread(events, LONGEST_BYTES, 0)
    except OSError:  # the group is gone already
        return True


def _counted(account: _Account) -> Used:
    peak = _number(account.unified / "memory.peak")
    if peak is None:
        peak = _number(account.memory / "memory.max_usage_in_bytes")
    cpu_us = _pairs(account.unified / "cpu.stat", " ").get("usage_usec")
    # Version 1 counts only what a limit of throughput was set for, and not what is written later.
    disk = _pairs(account.unified / "io.stat", "=")
    known = (account.unified / "io.stat").exists()
    return Used(
        cpu_s=None if cpu_us is None else cpu_us / 1e6,
        memory_peak_bytes=peak,
        read_bytes=disk.get("rbytes", 0) if known else None,
        written_bytes=disk.get("wbytes", 0) if known else None,
    )


def _number(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return None


def _pairs(path: Path, between: str) -> dict[str, int]:
    """Numbers by name, added up over disks. `usage_usec 5` a line, or `8:0 rbytes=5 wbytes=6`."""
    found: dict[str, int] = {}
    with contextlib.suppress(OSError):
        for word in path.read_text().splitlines() if between == " " else path.read_text().split():
            name, _, value = word.partition(between)
            if value.isdigit():
                found[name] = found.get(name, 0) + int(value)
    return found
