"""A sheet for a terminal: in colour, wrapped to its width. This and live know rich."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from spoolrunner.report.plain import NAME_WIDTH
from spoolrunner.report.sheet import Block, Cell, Table


def show(sheet: Iterable[Block]) -> None:
    console = Console(emoji=False, highlight=False)
    for block in sheet:
        if isinstance(block, Table):
            console.print(_table(block))
        else:
            name = Text(f"{block.name:<{NAME_WIDTH}} " if block.name else "", style="bold")
            console.print(name.append_text(_text(block.value)))


def _table(table: Table) -> RichTable:
    shown = RichTable(box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        shown.add_column(column, no_wrap=column != table.columns[-1], overflow="fold")
    for row in table.rows:
        shown.add_row(*(_text(cell) for cell in row))
    return shown


def _text(cell: Cell) -> Text:
    return Text(cell.text, style=cell.style)
