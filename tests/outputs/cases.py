"""Ordinary outputs and leaks, and what becomes of each:   python -m tests.outputs.cases

Prints a table of both sets; exit status 1 if an ordinary one is held back or a leak passes.
"""

import io
import sys

from spoolrunner import release
from spoolrunner.release import Finding, Rules
from spoolrunner.release.logs import without_tables
from tests.outputs import leaks, ordinary

RULES = Rules()
CUT = "Part of it was cut out."


def finding(name: str, data: bytes, rules: Rules = RULES) -> Finding:
    """As it is decided for an output."""
    found = release.outside(name, len(data), rules)
    return found if found.reasons else release.inside(name, io.BytesIO(data), rules)


def held_back(name: str, data: bytes) -> str:
    """Why it is, or that a part of it is; "" if all of it is shown."""
    if name != "job.log":
        return finding(name, data).reason
    return "" if b"".join(without_tables([data])) == data else CUT


def is_contained(name: str, data: bytes) -> bool:
    """Is nothing of a leak shown, but all else that is in a log?"""
    if name != "job.log":
        return bool(held_back(name, data))
    shown = b"".join(without_tables([data])).replace(b"\0", b"").decode("latin-1")
    return leaks.LEAKED not in shown and {"before", "after"} <= set(shown.splitlines())


def main() -> int:
    wrong = 0
    for title, cases, passes in (
        ("ordinary", ordinary.ALL, lambda name, data: not held_back(name, data)),
        ("leak", leaks.ALL, is_contained),
    ):
        for what, (name, data) in cases.items():
            is_right = passes(name, data)
            wrong += not is_right
            mark = "ok" if is_right else "WRONG"
            print(f"{mark:6}{title:9} {what:64} {held_back(name, data).split(' Checked')[0]}")
        print(f"{len(cases)} {title}\n")
    print(f"{wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
