"""A sheet for a terminal: in colour, wrapped to its width. This and live know rich."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from spoolrunner.report.fitted import fitted
from spoolrunner.report.plain import NAME_WIDTH, widths
from spoolrunner.report.sheet import Block, Cell, Table

PLAIN = str.maketrans("━─…", "#-~")
REST = 4.0  # times as long as a look takes
NARROWEST_LAST = 30  # a sentence in a narrower column is a ribbon of single words
GAP = 2


def show(sheet: Iterable[Block]) -> None:
    console = Console(emoji=False, highlight=False)
    console.print(Group(*_blocks(sheet, console.width)))


def watch(look: Callable[[], Iterable[Block]], every_s: float) -> None:
    """Show it anew every so often, until it is interrupted; less often if looking takes long."""
    console = Console(emoji=False, highlight=False)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            begun_s = time.monotonic()
            lines = fitted(look(), console.width, console.height)
            live.update(_drawn(lines, console), refresh=True)
            took_s = time.monotonic() - begun_s
            time.sleep(max(every_s, REST * took_s))


def _drawn(lines: list[Text], console: Console) -> Text:
    """As one text: a group of them would be a thousand renderings a second."""
    whole = Text("\n", no_wrap=True).join(lines)
    return whole if console.encoding.startswith("utf") else _in_ascii(whole)


def _in_ascii(text: Text) -> Text:
    drawn = Text(text.plain.translate(PLAIN), no_wrap=True)
    drawn.spans = text.spans
    return drawn


def _blocks(sheet: Iterable[Block], width: int) -> Iterator[RenderableType]:
    for number, block in enumerate(sheet):
        if isinstance(block, Table):
            if number:
                yield Text()
            yield from _shown(block, width)
        else:
            yield _line(block.name, block.value)


def _shown(table: Table, width: int) -> Iterator[RenderableType]:
    beside = sum(widths(table)[:-1]) + GAP * len(table.columns) + NARROWEST_LAST
    if beside > width:
        yield from _stacked(table, width)
    else:
        yield _table(table)


def _line(name: str, value: Cell) -> RenderableType:
    """The value under itself where it is longer than the line."""
    if not name:
        return _text(value)
    grid = RichTable.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=max(NAME_WIDTH, len(name)), style="bold")
    grid.add_column(overflow="fold")
    grid.add_row(name, _text(value))
    return grid


def _table(table: Table) -> RichTable:
    shown = RichTable(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    for column in table.columns:
        shown.add_column(column, no_wrap=column != table.columns[-1], overflow="fold")
    for row in table.rows:
        shown.add_row(*(_text(cell) for cell in row))
    return shown


def _stacked(table: Table, width: int) -> Iterator[RenderableType]:
    """For a narrow terminal: what does not fit beside the first columns comes below them."""
    padded = [wide + GAP for wide in widths(table)]
    beside = sum(end <= width + GAP for end in accumulate(padded[:-1]))
    names = zip(table.columns[:beside], padded, strict=False)
    yield Text("".join(f"{name:<{wide}}" for name, wide in names).rstrip(), style="bold")
    for row in table.rows:
        cells = zip(row[:beside], padded, strict=False)
        parts = [(f"{cell.text:<{wide}}", cell.style) for cell, wide in cells]
        yield Text.assemble(*parts, overflow="crop", no_wrap=True)
        below = "  ".join(cell.text for cell in row[beside:] if cell.text)
        if below:
            yield Padding(Text(below), (0, 0, 0, 2))


def _text(cell: Cell) -> Text:
    return Text(cell.text, style=cell.style)
