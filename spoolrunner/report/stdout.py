"""Standard output: a sheet as a terminal shows it, or as a pipe takes it."""

import sys
from collections.abc import Iterable

from spoolrunner.report import plain
from spoolrunner.report.sheet import Block


def show(sheet: Iterable[Block]) -> None:
    if sys.stdout.isatty():
        from spoolrunner.report import screen  # takes 50 ms, which no pipe has to wait for

        screen.show(sheet)
    else:
        plain.show(sheet)
