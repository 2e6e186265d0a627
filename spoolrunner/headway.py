"""Headway: how far something that lasts has got. Its doer counts, and whoever waits is told.

Knows nothing of the package.
"""

from typing import Protocol


class Headway(Protocol):
    """In bytes, or in things; who shows it knows which. Called often, so it must cost next to
    nothing, and from one thread."""

    def expect(self, more: int) -> None:
        """There is so much more to be done than was known."""

    def add(self, done: int = 1) -> None:
        """So much more has been done."""


class Unheard:
    """Nobody waits for this one."""

    def expect(self, more: int) -> None:
        return

    def add(self, done: int = 1) -> None:
        return


UNHEARD = Unheard()
