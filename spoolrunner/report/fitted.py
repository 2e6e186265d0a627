"""A sheet fitted into a screen that does not scroll: every line cut at the edge, none too many.

Where there is not room for all, first goes what stands below each row, then the last rows of the
last tables; how many are hidden is said. Knows rich.
"""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from rich.text import Text

from spoolrunner.report.plain import NAME_WIDTH, widths
from spoolrunner.report.sheet import Block, Cell, Line, Table

GAP = 2
NARROWEST = 12
NARROWEST_LAST = 20  # a last column cut to less says nothing


@dataclass
class Fitting:
    """A table, as far as it is shown. rows: of each its line, and (maybe) one below it."""

    heading: Text
    rows: list[list[Text]]
    hidden: int = 0

    def lines(self) -> list[Text]:
        more = [Text(f"and {self.hidden} more", style="dim")] if self.hidden else []
        return [Text(), self.heading, *(line for row in self.rows for line in row), *more]

    def shorten(self) -> None:
        self.rows = [row[:1] for row in self.rows]

    def hide(self, too_many: int) -> None:
        """At least so many lines less, if it has as many; its heading and one row stay."""
        most = len(self.rows) - 1
        number = min(most, too_many + (not self.hidden))
        if number > 0:
            del self.rows[-number:]
            self.hidden += number


def fitted(sheet: Iterable[Block], width: int, height: int) -> list[Text]:
    """Lines for a screen of so many columns and lines."""
    parts = [
        _table(block, width) if isinstance(block, Table) else _line(block, width) for block in sheet
    ]
    tables = [part for part in parts if isinstance(part, Fitting)]
    if _too_many(parts, height) > 0:
        for table in tables:
            table.shorten()
    for table in reversed(tables):
        if (too_many := _too_many(parts, height)) > 0:
            table.hide(too_many)
    return _all(parts)[:height]


def _all(parts: Sequence[list[Text] | Fitting]) -> list[Text]:
    lines = (part.lines() if isinstance(part, Fitting) else part for part in parts)
    return [line for some in lines for line in some]


def _too_many(parts: Sequence[list[Text] | Fitting], height: int) -> int:
    return len(_all(parts)) - height


def _line(line: Line, width: int) -> list[Text]:
    """Folded, not cut: such as the spool's path, which somebody may need whole."""
    before = NAME_WIDTH + 1 if line.name else 0
    room = max(10, width - before)
    folded = textwrap.wrap(line.value.text, room, break_on_hyphens=False) or [""]
    names = [f"{line.name:<{before}}", *(" " * before for _ in folded[1:])]
    pairs = zip(names, folded, strict=True)
    return [Text.assemble((name, "bold"), (text, line.value.style)) for name, text in pairs]


def _table(table: Table, width: int) -> Fitting:
    most = max(NARROWEST, width // 3)  # a long name must not push all else off the screen
    padded = [min(wide, most) + GAP for wide in widths(table)]
    ends = list(accumulate(padded))
    room = sum(end - GAP <= width for end in ends)  # columns that fit whole
    if room == len(padded) - 1 and width - ends[-2] >= NARROWEST_LAST:
        room += 1
    room = max(1, room)
    return Fitting(
        _row([Cell(name, "bold") for name in table.columns[:room]], padded, width),
        [
            [_row(row[:room], padded, width), *_below(table.columns[room:], row[room:], width)]
            for row in table.rows
        ],
    )


def _below(names: Sequence[str], cells: Sequence[Cell], width: int) -> list[Text]:
    """What did not fit beside the others, each with its column's name; the last is a sentence."""
    told = [f"{name} {cell.text}" for name, cell in zip(names, cells, strict=True)][:-1]
    told += [cell.text for cell in cells[-1:] if cell.text]
    return [_cut(Text("  " + "  ".join(told), style="dim"), width)] if told else []


def _row(cells: Sequence[Cell], padded: Sequence[int], width: int) -> Text:
    text = Text()
    for cell, wide in zip(cells[:-1], padded, strict=False):
        text.append_text(_cut(Text(cell.text, cell.style), wide - GAP, pad=True))
        text.append(" " * GAP)
    text.append_text(Text(cells[-1].text, cells[-1].style))
    text.rstrip()
    return _cut(text, width)


def _cut(text: Text, width: int, *, pad: bool = False) -> Text:
    text.truncate(width, overflow="ellipsis", pad=pad)
    return text
