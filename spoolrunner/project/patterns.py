"""Output patterns: what an action may call its outputs.

A pattern is a path below the workspace, in which `*` stands for part of a name. Rules:
reference/opensafely.md 2.4. Where both originals let a path out of the workspace, or into our own
metadata/ by another spelling, we don't.
Knows: findings, problem.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from spoolrunner.project.findings import Rules
from spoolrunner.project.problem import quoted
from spoolrunner.request import Level

# What may be released from level 4 (reference 2.4); the real files are looked at again when they
# are published, so under 2.52.3's rules other types pass here.
RELEASABLE = frozenset(
    (".csv", ".jpg", ".jpeg", ".png", ".svg", ".svgz", ".html", ".txt", ".log", ".json", ".md")
)
_NEVER = tuple(
    (re.compile(never), why)
    for never, why in (
        (r"\\", "use / between folders, not a backslash"),
        (r"\*\*|\?|\[", "**, ? and [ can't be used; the only wildcard is *"),
        (r"^(/|[A-Za-z]:/)", "it starts at the root; it must lie in the study's folder"),
        (r"/\Z", "it names a folder; name the files in it"),
        (r"^\.{1,2}\Z|^\.\./", "it leaves the study's folder; name a file in it"),
        (r"^(?i:metadata)(/|\Z)", "the folder 'metadata' is kept for logs; use another"),
    )
)


def faults(pattern: str, level: Level) -> Iterator[tuple[Rules, str]]:
    """What is wrong with a pattern: who refuses it, and why in a few words with what to do."""
    shape = _shape(pattern)
    if shape:
        yield Rules.BOTH, shape
        return
    suffix = PurePosixPath(pattern).suffix
    if not suffix or suffix.endswith("*"):
        yield Rules.TODAY, "it must end in a file type such as .csv"
    elif level is Level.MODERATE and suffix not in RELEASABLE:
        known = " ".join(sorted(RELEASABLE))
        yield Rules.TODAY, f"{quoted(suffix)} can't be {level}; use one of {known}"


def _shape(pattern: str) -> str:
    """Why no rules allow it, or ""."""
    for never, why in _NEVER:
        if never.search(pattern):
            return why
    if posixpath.normpath(pattern) != pattern:
        return "write it without '.', '..' or empty parts"
    return ""
