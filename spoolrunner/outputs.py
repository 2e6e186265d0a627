"""Outputs: which of a job's files are claimed by which pattern, and at which level of privacy.

A pattern matches a whole name, `*` does not cross `/` and may match a leading dot. Where several
patterns claim one file the most private level wins (reference/opensafely.md 4.7 and 6, row 19:
for 4.5 years a prefix was enough, and the last pattern won).
Knows: record, request. Never looks at a disk: paths are relative to the job's folder.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from spoolrunner.record import Frozen
from spoolrunner.request import Level

MOST_PRIVATE_FIRST = tuple(Level)
# Room for what we put beside an output: `NAME.kept-back.txt`. The kernel allows 255 and 4096.
MAX_NAME_BYTES = 230
MAX_PATH_BYTES = 1000
OURS = "metadata"
DRAFT_PREFIX = ".draft-"


class Pattern(Frozen, frozen=True):
    """One line below `outputs` of an action."""

    level: Level
    text: str


@dataclass(frozen=True)
class Claims:
    """levels: path -> the level that won. unmatched: patterns without a file.

    clashes: path -> all levels that were asked for it, most private first (two or more).
    """

    levels: dict[str, Level]
    unmatched: list[str]
    clashes: dict[str, list[Level]] = field(default_factory=dict)


def claim(paths: Iterable[str], patterns: Sequence[Pattern]) -> Claims:
    """What each pattern claims of these files."""
    claimed: dict[str, set[Level]] = defaultdict(set)
    matched: set[str] = set()
    matcher = Matcher(patterns)
    for path in paths:
        for pattern in matcher.of(path):
            claimed[path].add(pattern.level)
            matched.add(pattern.text)
    ranked = {path: sorted(claimed[path], key=privacy) for path in sorted(claimed)}
    return Claims(
        levels={path: levels[0] for path, levels in ranked.items()},
        unmatched=sorted({pattern.text for pattern in patterns} - matched),
        clashes={path: levels for path, levels in ranked.items() if len(levels) > 1},
    )


def privacy(level: Level) -> int:
    """For sorting: the most private level comes first."""
    return MOST_PRIVATE_FIRST.index(level)


class Matcher:
    """Patterns made ready for many paths: most are plain names, found without trying each."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._names: dict[str, list[Pattern]] = defaultdict(list)
        self._globs: list[tuple[re.Pattern[str], Pattern]] = []
        for pattern in patterns:
            if "*" in pattern.text:
                self._globs.append((_regex(pattern.text), pattern))
            else:
                self._names[pattern.text].append(pattern)
        self._folders = [_regex(folder) for folder in _folders(patterns)]

    def of(self, path: str) -> list[Pattern]:
        """The patterns that claim this file."""
        found = [pattern for regex, pattern in self._globs if regex.fullmatch(path)]
        return found + self._names.get(path, [])

    def concerns(self, path: str) -> bool:
        """Is this path claimed, or would outputs lie beneath it if it were a folder?"""
        return bool(self.of(path)) or any(regex.fullmatch(path) for regex in self._folders)


def _regex(pattern: str) -> re.Pattern[str]:
    # Names may hold newlines: [^/] matches them, and fullmatch does not stop before a last one.
    return re.compile("[^/]*".join(re.escape(part) for part in pattern.split("*")))


def _folders(patterns: Sequence[Pattern]) -> set[str]:
    parts = [pattern.text.split("/") for pattern in patterns]
    return {"/".join(words[:depth]) for words in parts for depth in range(1, len(words))}


def name_problem(path: str) -> str:
    """Why a file of this name can't be taken over, or "" if it can."""
    names = path.split("/")
    if names[0].casefold() == OURS:
        return f"the folder {OURS}/ of a workspace is spoolrunner's own"
    if any(name.casefold() == ".git" for name in names):
        return "git would take it for its own, and run what it says"
    if any(name.startswith(DRAFT_PREFIX) for name in names):
        return f"names that begin with {DRAFT_PREFIX} are spoolrunner's own"
    try:
        sizes = [len(name.encode()) for name in names]
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if max(sizes) > MAX_NAME_BYTES or sum(sizes) + len(sizes) - 1 > MAX_PATH_BYTES:
        return f"its name is too long ({MAX_NAME_BYTES} bytes, {MAX_PATH_BYTES} with its folders)"
    if any(unicodedata.category(letter) in _INVISIBLE for letter in path):
        return "its name holds control or invisible characters"
    return ""


# Control, format (text direction, zero width), private use, unassigned; line and paragraph ends.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def shown(path: str) -> str:
    """A name as people may read it and JSON may hold it: what is not printable is escaped."""
    if path.isprintable():
        return path
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in path
    )


def collisions(paths: Iterable[str]) -> dict[str, str]:
    """Path -> why it is refused: on a disk that ignores case these would be one file.

    All of them are refused: taking one would be a choice nobody made (reference 6, row 18).
    """
    same: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        same[unicodedata.normalize("NFC", path).casefold()].append(path)
    return {
        path: "another output has the same name but for upper and lower case"
        for group in same.values()
        if len(group) > 1
        for path in group
    }
