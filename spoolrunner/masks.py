"""Masks: the values of secrets are written over wherever a job's or a program's words go on.

Also as a job may show them without meaning to: quoted for a URL or for JSON, in base64, and the
password of a database's URL by itself. Who wants to show a secret can always spell it otherwise.
Pure: it is given bytes, in pieces of any size. Knows nothing of the package.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote, urlsplit

MASK = b"[secret]"
# Shorter ones would black out words and numbers that have nothing to do with them.
LEAST_LETTERS = 4
LEAST_LETTERS_OF_A_LINE = 12


class Masks:
    """values: of the settings that are secret; empty ones are left out."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in values for form in _forms(value)}
        self._forms = sorted((form for form in forms if form not in MASK), key=len, reverse=True)
        self._starts = {form[:1] for form in self._forms}
        self._most_bytes = max(map(len, self._forms), default=1) - 1

    def over(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The same bytes without secrets, also where one is cut in two by the end of a piece.

        Holds back only what may be the beginning of one, so that a log can be followed.
        """
        pending = b""
        for piece in pieces:
            data = self._masked(pending + piece)
            kept = self._unfinished(data)
            pending = data[len(data) - kept :]
            if kept < len(data):
                yield data[: len(data) - kept]
        if pending:
            yield pending

    def text(self, text: str) -> str:
        if not self._forms:
            return text
        data = text.encode("utf-8", "surrogateescape")
        return self._masked(data).decode("utf-8", "surrogateescape")

    def are_in(self, pieces: Iterable[bytes]) -> bool:
        """Is there anything to mask?"""
        pending = b""
        for piece in pieces:
            data = pending + piece
            if any(form in data for form in self._forms):
                return True
            pending = data[max(0, len(data) - self._most_bytes) :]
        return False

    def _masked(self, data: bytes) -> bytes:
        for form in self._forms:
            data = data.replace(form, MASK)
        return data

    def _unfinished(self, data: bytes) -> int:
        """How many of the last bytes may be the beginning of a secret."""
        tail = data[max(0, len(data) - self._most_bytes) :]
        for start in range(len(tail)):
            if tail[start : start + 1] in self._starts and self._begins(tail[start:]):
                return len(tail) - start
        return 0

    def _begins(self, end: bytes) -> bool:
        return any(form.startswith(end) for form in self._forms)


def _forms(value: str) -> Iterator[bytes]:
    for secret in {value, value.strip(), *_lines(value), *_of_url(value)}:
        if len(secret) < LEAST_LETTERS:
            continue
        for form in (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]):
            yield form.encode("utf-8", "surrogateescape")
        yield from _base64(secret.encode("utf-8", "surrogateescape"))


def _lines(value: str) -> list[str]:
    """Of a licence or a key, each by itself: a log may put something before every line."""
    lines = [line.strip() for line in value.splitlines()]
    return [line for line in lines if len(line) >= LEAST_LETTERS_OF_A_LINE and line[:5] != "-----"]


def _of_url(value: str) -> list[str]:
    """The password of a URL, as it is written there and as it is."""
    if "://" not in value:
        return []
    try:
        password = urlsplit(value).password or ""
    except ValueError:
        return []
    return [password, unquote(password)]


def _base64(secret: bytes) -> Iterator[bytes]:
    """Wherever in a longer text it stood: only the letters that depend on nothing else."""
    if len(secret) < 2 * LEAST_LETTERS:
        return
    for before in range(3):
        coded = base64.b64encode(bytes(before) + secret).rstrip(b"=")
        is_cut = (before + len(secret)) % 3 > 0
        yield coded[(0, 2, 3)[before] : len(coded) - is_cut]
        yield coded[(0, 2, 3)[before] : len(coded) - is_cut].translate(_URL_SAFE)


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
