"""Progress: what lasts shows a bar on a terminal, and a plain line now and then elsewhere."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from spoolrunner.report.figures import size_words

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

EVERY_S = 10.0


class Progress:
    """with Progress("loading", total_bytes) as progress: progress.add(bytes). On stderr."""

    def __init__(self, what: str, total_bytes: int) -> None:
        self._what = what
        self._total_bytes = total_bytes
        self._done_bytes = 0
        self._said_s = time.monotonic()
        self._bar = _bar() if sys.stderr.isatty() else None

    def __enter__(self) -> "Progress":
        if self._bar:
            self._bar.start()
            self._bar.add_task(self._what, total=self._total_bytes)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def add(self, more_bytes: int) -> None:
        self._done_bytes += more_bytes
        if self._bar:
            self._bar.advance(self._bar.task_ids[0], more_bytes)
        elif time.monotonic() - self._said_s >= EVERY_S:
            self._said_s = time.monotonic()
            done, total = size_words(self._done_bytes), size_words(self._total_bytes)
            print(f"{self._what}: {done} of {total}", file=sys.stderr, flush=True)


def _bar() -> "Bar":
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
