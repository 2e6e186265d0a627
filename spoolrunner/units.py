"""The words of a setting: `90s`, `4G`, `10000:10000`, `yes`, `a,b` and what each of them means.

Every reader takes the text of one setting and returns its value, or raises ValueError with the end
of a sentence ("must be ..."), in which the text itself is never repeated: it may be a secret.
Pure. Knows nothing of the package.
"""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# job-runner takes only the first three of each; the others are what people write as well.
TRUE = frozenset({"true", "1", "yes", "on", "y", "t"})
FALSE = frozenset({"false", "0", "no", "off", "n", "f"})

_NUMBER = r"\d{1,12}(?:\.\d{1,9})?"
_DURATION = re.compile(rf"(?:{_NUMBER}[smhd])+", re.ASCII)
_SIZE = re.compile(rf"({_NUMBER}) ?([KMGT]?)(?:i?B)?", re.ASCII | re.IGNORECASE)
_PAIR = re.compile(r"(\d{1,9}):(\d{1,9})", re.ASCII)
# RFC 1738 2.1: a scheme is lower-case letters, digits, "+", "." and "-".
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")


def text(given: str) -> str:
    return given


def path(given: str) -> Path:
    return Path(given)


def maybe_path(given: str) -> Path | None:
    return Path(given) if given else None


def command(given: str) -> str:
    """Words as a shell would split them; no shell ever sees them."""
    try:
        shlex.split(given)
    except ValueError:
        raise ValueError("must have its quotes closed") from None
    return given


def truth(given: str) -> bool:
    word = given.lower()
    if word not in TRUE | FALSE:
        raise ValueError("must be true or false")
    return word in TRUE


def names(given: str) -> tuple[str, ...]:
    """Split a list at its commas: `a, b` -> ("a", "b"). Empty names are dropped."""
    return tuple(name.strip() for name in given.split(",") if name.strip())


def whole(least: int, most: int = 10**15) -> Callable[[str], int]:
    def read(given: str) -> int:
        if not (given.isascii() and given.isdigit() and least <= int(given) <= most):
            raise ValueError(f"must be a whole number of at least {least}")
        return int(given)

    return read


def number(given: str) -> float:
    if not re.fullmatch(_NUMBER, given, re.ASCII):
        raise ValueError("must be a number such as 2 or 0.5")
    return float(given)


def seconds(given: str) -> float:
    """`90s`, `12h`, `1h30m` or a plain number of seconds -> seconds."""
    if re.fullmatch(_NUMBER, given, re.ASCII):
        return float(given)
    if not _DURATION.fullmatch(given):
        raise ValueError("must be a duration such as 90s, 15m, 12h or 2d")
    parts = re.findall(rf"({_NUMBER})([smhd])", given)
    return sum(float(amount) * SECONDS[unit] for amount, unit in parts)


def size(given: str) -> int:
    """`4G`, `100M`, `1.5GiB` or a plain number of bytes -> bytes; as docker, 1K is 1024."""
    found = _SIZE.fullmatch(given)
    if not found:
        raise ValueError("must be a size such as 100M or 4G, or a number of bytes")
    return int(float(found[1]) * BYTES[found[2].upper()])


def user(given: str) -> tuple[int, int]:
    """`uid:gid` -> (uid, gid)."""
    found = _PAIR.fullmatch(given)
    if not found:
        raise ValueError("must be two numbers, uid:gid, such as 10000:10000")
    return int(found[1]), int(found[2])


def matching(pattern: str, what: str) -> Callable[[str], str]:
    """A text that is empty or matches the whole pattern; `what` ends the sentence "must be ..."."""

    def read(given: str) -> str:
        if given and not re.fullmatch(pattern, given, re.ASCII):
            raise ValueError(f"must be {what}")
        return given

    return read


def one_of(*words: str) -> Callable[[str], str]:
    def read(given: str) -> str:
        known = {word.lower(): word for word in words}
        if given.lower() not in known:
            raise ValueError(f"must be one of {', '.join(words)}")
        return known[given.lower()]

    return read


backend = matching(
    r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])",
    "two or more letters, digits, `-` or `_`, the first and last a letter or digit",
)
network = matching(
    r"(?!host$)[A-Za-z0-9][A-Za-z0-9_.-]*", "the name of a network other than `host`"
)
domain = matching(r"[A-Za-z0-9.-]+(:\d+)?", "a domain name")


def executor(given: str) -> str:
    if given.endswith(":LocalDockerAPI"):
        return "docker"
    return one_of("docker", "process", "auto")(given)


def registry(given: str) -> str:
    return given.rstrip("/")


def database_url(given: str) -> str:
    """An RFC 1738 URL with a host, `scheme://user:password@host:port/database`, or empty."""
    if given and not _is_url(given):
        raise ValueError("must be a URL of the form scheme://user:password@host:port/database")
    return given


def web_address(given: str) -> str:
    """`https://host/path/` or empty; a `/` is added at the end, because paths get joined to it."""
    if not given:
        return given
    if not _is_url(given) or not given.startswith(("https://", "http://")):
        raise ValueError("must be an address that begins with https:// or http://")
    if urlsplit(given).username is not None:
        raise ValueError("must not hold a user or password; a token has its own setting")
    return given.rstrip("/") + "/"


def _is_url(given: str) -> bool:
    if not _SCHEME.match(given) or re.search(r"\s", given):
        return False
    try:
        parts = urlsplit(given)
        # .port is read because only reading it checks it
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
