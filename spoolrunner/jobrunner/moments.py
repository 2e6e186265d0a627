"""Moments: job-runner's whole seconds since 1970 as our files have them. Pure."""

from datetime import UTC, datetime


def moment(seconds: int | None) -> str | None:
    """ISO 8601 UTC in milliseconds with Z."""
    if seconds is None:
        return None
    said = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return said.replace("+00:00", "Z")
