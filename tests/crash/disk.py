"""A model of a disk that loses what was not flushed, in every way that was seen to happen.

Names and the data of files are apart. What a call changes waits until it is flushed: the data of a
file by its fsync, a name by the fsync of its folder or of the file (reference/spool.md 2.1, rows e4
and c3). A move is two names: the new one may be there without the old one being gone; the reverse
only where the old one's folder was flushed and the new one's was not (rows c1, c2).
"""

import itertools
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.trace import Event, Lying, Made, Seen, all_lying

ROOT = 0
ABOVE = ("..",)  # the folder in which the spool was made
# Beside what is lost of these nothing else is left out: the board is only shown, what is in a lock
# is for people, and what git has lost is fetched again.
ALONE = ("board/", ".locks/", "git/")
SYNCED_BY_THEIR_WRITERS = (".pack", ".idx", ".rev", "/started", "/status", "/lock")


@dataclass(eq=False)
class Name:
    """A name that came (number) or went (0). of: the file or folder it leads to. after: a name
    that has to be there before this one may be gone."""

    folder: int
    name: str
    of: int
    came: bool
    after: "Name | None" = None


@dataclass(eq=False)
class Data:
    of: int
    content: bytes


Change = Name | Data


@dataclass
class State:
    """names: (folder, name) -> number. data: number -> content."""

    names: dict[tuple[int, str], int] = field(default_factory=dict)
    data: dict[int, bytes] = field(default_factory=dict)

    def copy(self) -> "State":
        return State(dict(self.names), dict(self.data))

    def apply(self, change: Change) -> None:
        if isinstance(change, Data):
            self.data[change.of] = change.content
        elif change.came:
            self.names[change.folder, change.name] = change.of
        elif self.names.get((change.folder, change.name)) == change.of:
            del self.names[change.folder, change.name]


class Disk:
    """now: as the processes see it. kept: what no power cut takes. open: not flushed, in order."""

    def __init__(self, spool: Path) -> None:
        self.now = State()
        self.kinds: dict[int, Lying] = {}
        self._numbers = itertools.count(ROOT)
        self.open: list[Change] = []
        self.kept = State()
        self._alone: set[int] = set()
        for lying in all_lying(str(spool), "."):
            self._notice(lying)
        self.kept, self.open = self.now.copy(), []

    # --- what happened

    def take(self, event: Event) -> None:
        if isinstance(event, Seen):
            self._see(event)
        elif isinstance(event, Made) and event.call.paths != ABOVE:
            self._make(event)

    def _make(self, made: Made) -> None:
        name, paths = made.call.name, made.call.paths
        if name in ("rename", "replace"):
            self._move(*paths)
        elif name in ("unlink", "remove", "rmdir"):
            self._go(paths[0])
        elif name == "link":
            folder, last = self._folder(paths[1])
            self._change(Name(folder, last, self._number(paths[0]), came=True))
        elif name in ("fsync", "fdatasync"):
            self._flush(self._number(paths[0]))
        elif made.lying:
            self._notice(made.lying)

    def _notice(self, lying: Lying) -> None:
        """It is there: perhaps new, perhaps with other data or another mode."""
        number = ROOT if lying.path == "." else self._lookup(lying.path)
        if number is None or number not in self.kinds:
            number = next(self._numbers)
            if lying.path != ".":
                folder, last = self._folder(lying.path)
                self._change(Name(folder, last, number, came=True))
            if lying.path.startswith(ALONE):
                self._alone.add(number)
        self.kinds[number] = lying
        if lying.content is not None and self.now.data.get(number) != lying.content:
            self._change(Data(number, lying.content))

    def _see(self, seen: Seen) -> None:
        if seen.lying and self._lookup(seen.folder) is None:
            self._notice(seen.lying[0])
        known = set(self._below(seen.folder))
        for lying in seen.lying:
            self._notice(lying)
            if lying.path.endswith(SYNCED_BY_THEIR_WRITERS):
                self._flush(self._number(lying.path))
        for path in sorted(known - {lying.path for lying in seen.lying}, reverse=True):
            self._go(path)
        if seen.folder == "processes":
            for path in self._below(seen.folder):
                self._flush(self._number(path))

    def _below(self, folder: str) -> Iterator[str]:
        number = self._lookup(folder)
        for (parent, name), child in list(self.now.names.items()):
            if parent == number:
                path = os.path.join(folder, name)
                yield path
                if self.kinds[child].content is None:
                    yield from self._below(path)

    def _move(self, source: str, target: str) -> None:
        number = self._number(source)
        folder, last = self._folder(target)
        came = Name(folder, last, number, came=True)
        self._change(came)
        old_folder, old_last = self._folder(source)
        self._change(Name(old_folder, old_last, number, came=False, after=came))

    def _go(self, path: str) -> None:
        if (number := self._lookup(path)) is not None:
            folder, last = self._folder(path)
            self._change(Name(folder, last, number, came=False))

    def _change(self, change: Change) -> None:
        self.now.apply(change)
        self.open.append(change)

    def _flush(self, number: int) -> None:
        """Of a file: its data and its names; of a folder: the names in it, and its own."""
        flushed = [one for one in self.open if _is_flushed(one, number)]
        for one in flushed:
            self.kept.apply(one)
        ids = {id(one) for one in flushed}
        replaced = {(one.folder, one.name) for one in flushed if isinstance(one, Name)}
        last = {id(one): place for place, one in enumerate(self.open)}
        self.open = [
            one
            for one in self.open
            if id(one) not in ids and not _is_older(one, replaced, flushed, last)
        ]

    # --- paths

    def _lookup(self, path: str) -> int | None:
        number: int | None = ROOT
        for part in path.split("/") if path != "." else ():
            number = self.now.names.get((number, part)) if number is not None else None
        return number

    def _number(self, path: str) -> int:
        number = self._lookup(path)
        assert number is not None, path
        return number

    def _folder(self, path: str) -> tuple[int, str]:
        parent, _, last = path.rpartition("/")
        return self._number(parent or "."), last

    # --- what a power cut may leave

    def cuts(self, most_left_out: int) -> Iterator[State]:
        """All that was not flushed is there, or none of it, or all but some of it."""
        yield self._cut(self.open)
        beside_others = [one for one in self.open if one.of not in self._alone]
        for count in range(most_left_out + 1):
            among = self.open if count < 2 else beside_others
            for left_out in itertools.combinations(among, count):
                yield self._cut(left_out)

    def _cut(self, left_out: Sequence[Change]) -> State:
        state = self.kept.copy()
        missing = {id(one) for one in left_out}
        for one in self.open:
            waits = isinstance(one, Name) and one.after is not None and id(one.after) in missing
            if id(one) not in missing and not waits:
                state.apply(one)
        return state

    def digest(self, state: State) -> int:
        """Alike for states that look alike. (The hash of bytes is made once for each.)"""
        found = self.listing(state)
        return hash(frozenset((path, number, state.data.get(number)) for path, number in found))

    def listing(self, state: State) -> Iterator[tuple[str, int]]:
        """(path, number), folders before what is in them."""
        children: dict[int, list[tuple[str, int]]] = defaultdict(list)
        for (folder, name), number in sorted(state.names.items()):
            children[folder].append((name, number))
        waiting = [(".", ROOT)]
        while waiting:
            path, folder = waiting.pop()
            for name, number in children[folder]:
                below = name if path == "." else os.path.join(path, name)
                yield below, number
                if self.kinds[number].content is None:
                    waiting.append((below, number))

    def build(self, state: State, spool: Path) -> None:
        """Put it where the spool was. Of a file under two names both lead to it."""
        shutil.rmtree(spool, ignore_errors=True)
        _make(spool, self.kinds[ROOT])
        built: dict[int, Path] = {}
        for path, number in self.listing(state):
            if number in built:
                os.link(built[number], spool / path)
            else:
                _make(spool / path, self.kinds[number], state.data.get(number, b""))
                if self.kinds[number].content is not None:
                    built[number] = spool / path


def _make(path: Path, kind: Lying, content: bytes = b"") -> None:
    if kind.content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    os.chown(path, *kind.owner)
    path.chmod(kind.mode)


def _is_flushed(change: Change, number: int) -> bool:
    return change.of == number or (isinstance(change, Name) and change.folder == number)


def _is_older(
    change: Change,
    replaced: Iterable[tuple[int, str]],
    flushed: Sequence[Change],
    place: dict[int, int],
) -> bool:
    """A name that was given to something else since, and that is flushed."""
    if not isinstance(change, Name) or (change.folder, change.name) not in replaced:
        return False
    return any(
        isinstance(one, Name)
        and (one.folder, one.name) == (change.folder, change.name)
        and place[id(one)] > place[id(change)]
        for one in flushed
    )
