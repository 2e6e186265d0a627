"""A sheet for a terminal: in colour, wrapped to its width. This and live know rich."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from spoolrunner.report.plain import NAME_WIDTH
from spoolrunner.report.sheet import Block, Cell, Line, Table


def show(sheet: Iterable[Block]) -> None:
    console = Console(emoji=False, highlight=False)
    for block in sheet:
        if isinstance(block, Table):
            console.print(_table(block))
        else:
            console.print(_named(block) if block.name else _text(block.value))


def _named(line: Line) -> RichTable:
    """What does not fit goes on below the value, not below the name."""
    shown = RichTable.grid(padding=(0, 1))
    shown.add_column(min_width=NAME_WIDTH, no_wrap=True, style="bold")
    shown.add_column(overflow="fold")
    shown.add_row(line.name, _text(line.value))
    return shown


def _table(table: Table) -> RichTable:
    shown = RichTable(box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        shown.add_column(column, no_wrap=column != table.columns[-1], overflow="fold")
    for row in table.rows:
        shown.add_row(*(_text(cell) for cell in row))
    return shown


def _text(cell: Cell) -> Text:
    return Text(cell.text, style=cell.style)
