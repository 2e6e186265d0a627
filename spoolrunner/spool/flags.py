"""Flags: what holds work back until somebody takes it down again; files in control/.

    control/paused                    start nothing new
    control/reboot                    the same, and what runs is stopped: the machine goes down
    control/db-maintenance            no database job runs; with the word "drain" in it, those that
                                      run may end
    control/db-maintenance-detected   the same, found out by DB_MAINTENANCE_COMMAND
    control/no-db-checks              that command is not to be asked

`touch` raises a flag and `rm` takes it down as well as any command. What a program finds out has a
file of its own, so that it never undoes what a person decided (reference 6, row 28).
"""

from dataclasses import dataclass

from spoolrunner import files
from spoolrunner.spool.rooms import Rooms

PAUSED = "paused"
REBOOT = "reboot"
MAINTENANCE = "db-maintenance"
DETECTED = "db-maintenance-detected"
NO_CHECKS = "no-db-checks"
DRAIN = b"drain"
MODE = 0o640


@dataclass(frozen=True)
class Flags:
    """maintenance: of the database, by a person. drain: running jobs may end."""

    paused: bool
    reboot: bool
    maintenance: bool
    detected: bool
    drain: bool

    @property
    def db_maintenance(self) -> bool:
        return self.maintenance or self.detected


def flags(rooms: Rooms) -> Flags:
    """As they are now."""
    detected = is_up(rooms, DETECTED)
    return Flags(
        paused=is_up(rooms, PAUSED),
        reboot=is_up(rooms, REBOOT),
        maintenance=is_up(rooms, MAINTENANCE),
        detected=detected,
        drain=not detected and _drains(rooms),
    )


def is_up(rooms: Rooms, name: str) -> bool:
    return (rooms.control / name).exists()


def put_up(rooms: Rooms, name: str, data: bytes | None = None) -> None:
    """Raises OSError if control/ can't be written. The mover is woken by it."""
    with files.Changes() as disk:
        if data is None:
            disk.touch(rooms.control / name, MODE)
        else:
            disk.write(rooms.control / name, data, MODE)


def take_down(rooms: Rooms, *names: str) -> None:
    with files.Changes() as disk:
        for name in names:
            disk.remove(rooms.control / name)


def _drains(rooms: Rooms) -> bool:
    try:
        return (rooms.control / MAINTENANCE).read_bytes().strip() == DRAIN
    except (FileNotFoundError, PermissionError):
        return False
