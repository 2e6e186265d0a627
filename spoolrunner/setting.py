"""A setting: the name operators know, how its text is read, and what it is if nobody gives it.

Pure. Knows: units.
"""

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, NamedTuple, TypeVar, cast

from spoolrunner import units

T = TypeVar("T")
ABSENT = "unset"


class Machine(NamedTuple):
    """What defaults depend on besides other settings."""

    uid: int
    gid: int
    cores: int


Made = Callable[[Mapping[str, Any], Machine], str]


class Setting(NamedTuple):
    """shown: the default in words. field: of Config. secret: its value is never shown."""

    name: str
    read: Callable[[str], Any]
    default: str | Made
    meaning: str
    shown: str
    secret: bool
    field: str = ""


def setting(
    name: str,
    read: Callable[[str], T],
    default: str | Made,
    meaning: str,
    shown: str = "",
    secret: bool = False,
) -> T:
    """A field of Config, as a dataclass wants it; its type is what `read` returns."""
    if not shown:
        shown = f"`{default}`" if default else ABSENT
    one = Setting(name, read, default, meaning, shown, secret)
    return cast(T, field(repr=not secret, metadata={"setting": one}))


def secret(name: str, meaning: str, read: Callable[[str], str] = units.text) -> str:
    return setting(name, read, "", meaning, secret=True)
