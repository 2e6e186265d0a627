"""What a container of the docker engine is at now.

Knows: executor (the contract). Its engine is the executor's (docker).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from docker.errors import NotFound

from spoolrunner.executor import Process, Usage

Engine = Callable[[], AbstractContextManager[Any]]


def process(engine: Engine, name: str) -> Process | None:
    """By its number on the engine's machine."""
    with engine() as client:
        try:
            about = client.inspect_container(name)
        except NotFound:
            return None
    state = about["State"]
    return Process(state["Pid"], (about["Path"], *about["Args"])) if state["Running"] else None


def usage(engine: Engine, name: str) -> Usage | None:
    """One answer, at once: with `one_shot` the engine does not wait for a second reading."""
    with engine() as client:
        try:
            about = client.stats(name, stream=False, one_shot=True)
        except NotFound:
            return None
    memory = about.get("memory_stats") or {}
    if "usage" not in memory:  # it has ended
        return None
    details = memory.get("stats") or {}
    # Files that were read and may be dropped at any time are no use to the job (as `docker stats`).
    idle = details.get("inactive_file", details.get("total_inactive_file", 0))
    cpu_ns = about["cpu_stats"]["cpu_usage"]["total_usage"]
    return Usage(
        cpu_s=cpu_ns / 1e9,
        memory_bytes=max(0, memory["usage"] - idle),
        pids=(about.get("pids_stats") or {}).get("current", 0),
    )
