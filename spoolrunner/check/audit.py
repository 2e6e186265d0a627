"""The audit: is every line whole, and does each follow the one before it?

By default the newest month is looked at, with --all all of it (as `audit --verify` does).
"""

from collections.abc import Iterator

from spoolrunner.check.ground import Ground, said
from spoolrunner.check.kinds import Finding
from spoolrunner.errors import BadMachine
from spoolrunner.spool import audit as room
from spoolrunner.spool.audit import Line


def audit(ground: Ground) -> Iterator[Finding]:
    folder = ground.rooms.audit
    try:
        months = room.months(folder)
        since = months[-1].name if months and not ground.everything else ""
        for line in room.read(ground.rooms, since):
            ground.count("lines of the audit")
            yield from _line(line)
    except FileNotFoundError:
        return  # told by the look at the rooms
    except BadMachine as error:
        yield Finding(error.kind, str(folder), said(folder, error))
    except OSError as error:
        yield Finding("audit_broken", str(folder), f"It can't be read: {error.strerror}.")


def _line(line: Line) -> Iterator[Finding]:
    where = f"{line.path}:{line.number}"
    if line.event is None:
        ending = "the next line says so" if line.sealed else "the next event will say so"
        yield Finding("audit_torn", where, f"It was never finished; {ending}.")
    elif not line.follows:
        yield Finding("audit_broken", where, "It does not follow the line before it.")
