"""Time: wall time is for people, monotonic time for durations, the boot id tells reboots apart."""

import functools
import time
from datetime import UTC, datetime
from pathlib import Path

monotonic_s = time.monotonic


def now() -> str:
    """ISO 8601 UTC in milliseconds with Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@functools.cache
def boot_id() -> str:
    """Changes with every boot of the machine (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def age_s(moment: str) -> float:
    """Seconds since a time that `now` gave; by the wall clock, so only for what may be off."""
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()


def wall_ms() -> int:
    """Milliseconds since 1970: a number that nobody had before."""
    return time.time_ns() // 1_000_000
