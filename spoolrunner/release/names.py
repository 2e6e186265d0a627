"""Names: those of highly sensitive files are masked in what a job said, for medium privacy.

A name that a job chose itself may identify a patient. Masked are whole paths, with whatever stands
before them, and the last part by itself if it can't be an ordinary word. Pure: it is given lines.
Knows: nothing of the package.
"""

import re
from collections.abc import Iterable, Iterator

MASK = b"[name of a highly sensitive file]"
_PATH = re.compile(rb"[\w.+@%/-]+")
_ORDINARY = re.compile(rb"[A-Za-z]*")  # as far as it can be told: letters alone


class Names:
    """private: paths not to be named. seen: those that may, also where both end alike."""

    def __init__(self, private: Iterable[str], seen: Iterable[str] = ()) -> None:
        self._seen = {_bytes(path) for path in seen}
        hidden = {_bytes(path) for path in private} - self._seen
        ends = {path.rpartition(b"/")[2] for path in self._seen}
        hidden |= {end for end in map(_end, hidden) if end and end not in ends}
        self._words = {name for name in hidden if _PATH.fullmatch(name)}
        odd = sorted(hidden - self._words, key=len, reverse=True)
        self._odd = re.compile(b"|".join(map(re.escape, odd))) if odd else None

    def hidden(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """pieces: of whole lines."""
        for piece in pieces:
            text = self._odd.sub(MASK, piece) if self._odd else piece
            yield _PATH.sub(self._masked, text) if self._words else text

    def _masked(self, found: re.Match[bytes]) -> bytes:
        word = found[0]
        path = word.rstrip(b".")
        tails = list(_tails(path))
        if any(tail in self._seen for tail in tails):
            return word
        named = any(tail in self._words for tail in tails)
        return MASK + word[len(path) :] if named else word


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _end(path: bytes) -> bytes:
    """The last part of a path, or nothing if it may be a word that means something else."""
    end = path.rpartition(b"/")[2]
    return end if len(end) >= 4 and not _ORDINARY.fullmatch(end) else b""


def _tails(path: bytes) -> Iterator[bytes]:
    """a/b/c, b/c, c: it may be told from any folder on."""
    yield path
    while b"/" in path:
        path = path.partition(b"/")[2]
        yield path
