"""The engine's words: a launch as it wants it asked, and what it says of a container as a Look.

Pure: arguments and answers of the SDK, without it. Source: Docker Engine API, "Create a container"
and "Inspect a container".
Knows: executor (the contract).
"""

from datetime import UTC, datetime
from typing import Any

from spoolrunner.executor import Absent, Exit, Launch, Look, Running

LOG_SEGMENTS = 5
KILLED = 128 + 9
NO_LIMIT_BYTES = 1 << 50
NOWHERE = "192.0.2.0"  # TEST-NET-1 (RFC 5737): a name server that never answers


def settings(launch: Launch) -> dict[str, Any]:
    """What the container is. For `create_container`."""
    uid, gid = launch.user
    return {
        "name": launch.name,
        "image": launch.image,
        "command": list(launch.arguments),
        "user": f"{uid}:{gid}",
        "environment": {"HOME": "/tmp", **launch.environment},
        "working_dir": "/workspace",
        "stop_signal": "SIGTERM",  # whatever the image says: stop() asks in one way
        "healthcheck": {"test": ["NONE"]},  # an image's check would run beside the job
        "use_config_proxy": False,  # no variable from the operator's own ~/.docker
    }


def confines(launch: Launch, processors: int) -> dict[str, Any]:
    """What it may do to the machine and the world. For `create_host_config`.

    processors: how many the engine has: it refuses to be asked for more. 0: it can't limit them.
    """
    limits = launch.limits
    return {
        **_network(launch),
        "init": True,  # a job that is process 1 itself would ignore signals (reference/rig.md 7)
        "mounts": [{"Type": "bind", "Source": str(launch.folder), "Target": "/workspace"}],
        "tmpfs": {"/tmp": "rw,exec,nosuid,nodev,mode=1777"},  # HOME too; exec: R builds there
        "read_only": not launch.writable_root,  # what is written elsewhere no disk limit would see
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "nano_cpus": int(min(limits.cpus, processors) * 1e9) or None,
        "mem_limit": limits.memory_bytes or None,
        "memswap_limit": limits.memory_bytes or None,  # memory and swap together: so no swap
        "ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],  # a dump would hold patients' data
        "pids_limit": limits.pids or None,
        "log_config": _log(limits.log_bytes),
    }


def _network(launch: Launch) -> dict[str, Any]:
    """None at all, or one where only the hosts we name can be found."""
    if not launch.network:
        return {"network_mode": "none"}
    return {
        "network_mode": launch.network,
        "dns": [NOWHERE],
        "extra_hosts": dict(launch.hosts),
    }


def _log(limit_bytes: int) -> dict[str, Any]:
    """The engine's compact format, on disk about as long as the log with its times.

    In segments, of which the oldest is dropped when they are full: one alone would be emptied,
    and the end of the log, where the reason of a failure stands, could be gone.
    """
    segment_bytes = (limit_bytes or NO_LIMIT_BYTES) // LOG_SEGMENTS
    settings = {"max-size": str(segment_bytes), "max-file": str(LOG_SEGMENTS), "compress": "false"}
    return {"type": "local", "config": settings}


def look(about: dict[str, Any]) -> Look:
    """What an inspected container is by our contract."""
    state, image_id = about["State"], about["Image"]
    if state["Status"] == "created":
        return Absent()
    if state["Running"]:  # paused, too
        return Running(utc(state["StartedAt"]), image_id)
    if state["Status"] == "removing" and state["ExitCode"] == KILLED:
        return Absent()  # as it will be in a moment: somebody's `docker rm --force`
    return Exit(
        status=state["ExitCode"],
        # Not the same as status 137: a child may be killed while its parent ends well, and 137
        # may be anybody's SIGKILL (reference/rig.md 7).
        reason="out_of_memory" if state["OOMKilled"] else "",
        started_at=utc(state["StartedAt"]),
        finished_at=utc(state["FinishedAt"]),
        image_id=image_id,
    )


def utc(engine_time: str) -> str:
    """2026-11-22T17:30:46.123456789Z, to the microsecond."""
    return datetime.fromisoformat(engine_time).astimezone(UTC).isoformat().replace("+00:00", "Z")
