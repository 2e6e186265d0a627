"""Progress: what lasts shows a bar on a terminal, and a plain line now and then elsewhere.

What is done within a moment shows nothing at all. On stderr: data go to stdout.
"""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from spoolrunner.figures import headway_words, size_words

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

EVERY_S = 10.0
AT_ONCE_S = 0.5
NARROWEST_WITH_BAR, WIDEST_BAR = 70, 40


class Progress:
    """A Headway: `with Progress("archiving") as progress: progress.expect(...); progress.add(...)`.

    things: what is counted, in the plural; "" = bytes.
    """

    def __init__(self, what: str, things: str = "") -> None:
        self._what = what
        self._things = things
        self._done = self._total = 0
        self._began_s = self._said_s = time.monotonic()
        self._on_terminal = sys.stderr.isatty()
        self._bar: Bar | None = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def expect(self, more: int) -> None:
        self._total += more

    def add(self, done: int = 1) -> None:
        self._done += done
        if self._on_terminal:
            self._draw()
        elif time.monotonic() - self._said_s >= EVERY_S:
            self._said_s = time.monotonic()
            after_s = self._said_s - self._began_s
            words = headway_words(self._done, self._total, after_s, self._words)
            print(f"{self._what}: {words}", file=sys.stderr, flush=True)

    def _words(self, number: int) -> str:
        return f"{number:,} {self._things}" if self._things else size_words(number)

    def _draw(self) -> None:
        if self._bar is None:
            if time.monotonic() - self._began_s < AT_ONCE_S:
                return
            self._bar = _bar(self._words)
            self._bar.add_task(self._what, total=None)
            self._bar.start()
        total = max(self._total, self._done) or None
        self._bar.update(self._bar.task_ids[0], completed=self._done, total=total)


def _bar(words: Callable[[int], str]) -> "Bar":
    """On a narrow terminal the bar goes first, then the end of the name."""
    from rich import progress
    from rich.console import Console
    from rich.table import Column
    from rich.text import Text

    class Done(progress.ProgressColumn):
        def render(self, task: progress.Task) -> Text:
            total = f" of {words(int(task.total))}" if task.total else ""
            return Text(f"{words(int(task.completed))}{total}", no_wrap=True)

    console = Console(stderr=True, emoji=False)
    bar = min(WIDEST_BAR, max(8, console.width - 72)) if console.width >= NARROWEST_WITH_BAR else 0
    what = Column(no_wrap=True, overflow="ellipsis", max_width=max(8, console.width - 46 - bar))
    columns: list[progress.ProgressColumn] = [
        progress.TextColumn("{task.description}", table_column=what),
        *([progress.BarColumn(bar_width=bar)] if bar else []),
        Done(),
        progress.TimeRemainingColumn(compact=True),
    ]
    return progress.Progress(*columns, console=console, transient=True)
