"""A sheet for a pipe: columns in line, one line for each row, nothing but text."""

from collections.abc import Iterable

from spoolrunner.report.sheet import Block, Line, Table

NAME_WIDTH = 10


def show(sheet: Iterable[Block]) -> None:
    for block in sheet:
        if isinstance(block, Table):
            print(*_aligned(block), sep="\n")
        else:
            print(_line(block))


def widths(table: Table) -> list[int]:
    """Of each column, its heading and all its cells."""
    rows = [table.columns, *(tuple(cell.text for cell in row) for row in table.rows)]
    return [max(len(text) for text in column) for column in zip(*rows, strict=True)]


def _line(line: Line) -> str:
    return f"{line.name:<{NAME_WIDTH}} {line.value.text}" if line.name else line.value.text


def _aligned(table: Table) -> Iterable[str]:
    rows = [table.columns, *(tuple(cell.text for cell in row) for row in table.rows)]
    wide = widths(table)  # once: a table may have thousands of rows
    for row in rows:
        cells = [f"{text:<{width}}" for text, width in zip(row, wide, strict=True)]
        yield "  ".join(cells).rstrip()
