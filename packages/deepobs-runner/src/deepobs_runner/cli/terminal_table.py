"""Tables for the terminal, all in one style, in whatever width and encoding it has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from rich.box import SIMPLE_HEAD, Box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from deepobs_runner.cli.encoding import encodable
from deepobs_runner.report.table import NOTHING, Row, Table, longest_word

CAPTION_STYLE = "dim italic"

LONGEST_WORD = 50
"""A longer one, such as the path of a file, is broken."""

EMPTY_LINE = "    \n"
ASCII_HEAD = Box(2 * EMPTY_LINE + " -- \n" + 5 * EMPTY_LINE, ascii=True)
"""rich's SIMPLE_HEAD in ASCII: a rule below the head."""


def table_box(options: ConsoleOptions) -> Box:
    """Lines of all tables: a rule below the head."""
    return ASCII_HEAD if options.ascii_only else SIMPLE_HEAD


def terminal_table(table: Table, style: Callable[[Row], str] = lambda row: "") -> RenderableType:
    """Table for the terminal, which breaks no word and no number.

    Where it is too wide, columns with the same value in all rows become a line above it. Where the
    rest still has no room beside each other, every row is a block of lines.

    Args:
        table: table to print; a first column `problem` shows each name once.
        style: style of a row, such as "green".
    """
    return _Fitted(table, style)


def same_in_all_rows(shared: Sequence[tuple[str, str]]) -> Text:
    """Line above a table about columns that it leaves out.

    Args:
        shared: title and value of each.
    """
    return Text(f"In all rows: {'; '.join(f'{title} {value}' for title, value in shared)}")


@dataclass(frozen=True)
class _Fitted:
    """A table that is laid out when it is printed."""

    table: Table
    style: Callable[[Row], str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = self.table
        texts = zip(table.columns, zip(*table.cells(), strict=True), strict=True)
        columns = [
            _Texts(
                encodable(column.title, options.encoding),
                [encodable(cell, options.encoding) for cell in cells],
                column.numeric,
            )
            for column, cells in texts
        ]
        if table.title:
            yield Text(encodable(table.title, options.encoding), style="bold")
        if not _fits(columns, options.max_width):
            shared = [column for column in columns if column.is_constant]
            if 0 < len(shared) < len(columns):
                yield same_in_all_rows([(column.title, column.cells[0]) for column in shared])
                kept = [i for i, column in enumerate(columns) if not column.is_constant]
                columns = [columns[i] for i in kept]
                table = replace(table, columns=tuple(table.columns[i] for i in kept))
        layout = _lay_out(columns, options.max_width)
        if layout is None:
            yield from _blocks(columns)
        elif columns:
            yield _grid(table, layout, self.style, table_box(options))
        if table.caption:
            yield Text(encodable(table.caption, options.encoding), style=CAPTION_STYLE)


class _Texts(NamedTuple):
    """Texts of a column."""

    title: str
    cells: list[str]
    numeric: bool

    @property
    def least(self) -> int:
        """Width in which no word is broken, and no number with its spread."""
        whole = self.wanted if self.numeric else min(longest_word(self.cells), LONGEST_WORD)
        return max(whole, longest_word([self.title]))

    @property
    def wanted(self) -> int:
        """Width of the longest line of a cell, and of the longest word of the title."""
        lines = (line for cell in self.cells for line in cell.split("\n"))
        return max(longest_word([self.title]), *map(len, lines))

    @property
    def is_constant(self) -> bool:
        """Whether several rows have the same text."""
        return len(self.cells) > 1 and len(set(self.cells)) == 1

    def stacked(self) -> _Texts:
        """Column with spreads and upper ends of intervals below the number before them."""
        if not self.numeric:
            return self
        return self._replace(cells=[re.sub(r" (?=±|\+/-)|(?<=,) ", "\n", c) for c in self.cells])


class _Layout(NamedTuple):
    """Columns with their widths, and the spaces on both sides of a cell."""

    columns: Sequence[_Texts]
    widths: Sequence[int]
    padding: int


def _fits(columns: Sequence[_Texts], width: int) -> bool:
    """Whether all columns have room for their longest cells."""
    return sum(column.wanted + 1 for column in columns) < width


def _lay_out(columns: Sequence[_Texts], width: int) -> _Layout | None:
    """Layout that breaks the fewest texts; None if the columns have no room beside each other."""
    stacked = [column.stacked() for column in columns]
    for shown, padding, whole in (
        (columns, 1, True), (columns, 0, True),
        (columns, 1, False), (columns, 0, False), (stacked, 0, False),
    ):  # fmt: skip
        room = width - 1 - len(shown) * (1 + 2 * padding)
        if room >= sum(column.wanted if whole else column.least for column in shown):
            return _Layout(shown, _share(shown, room), padding)
    return None


def _share(columns: Sequence[_Texts], room: int) -> list[int]:
    """Width of each column; spare room goes to those with the most lines per cell."""
    widths = [column.least for column in columns]
    wanted = [column.wanted for column in columns]
    for _ in range(min(room, sum(wanted)) - sum(widths)):
        widths[max(range(len(columns)), key=lambda i: wanted[i] / widths[i])] += 1
    return widths


def _grid(table: Table, layout: _Layout, style: Callable[[Row], str], box: Box) -> RichTable:
    """Columns beside each other; the name of a problem stands once above its rows."""
    shown = RichTable(box=box, padding=(0, layout.padding))
    for column, width in zip(layout.columns, layout.widths, strict=True):
        shown.add_column(
            column.title,
            justify="right" if column.numeric else "left",
            min_width=width,
            max_width=width,
            overflow="fold",
        )
    names = layout.columns[0].cells
    grouped = table.columns[0].key == "problem" and len(set(names)) < len(names)
    before = None
    for row, *cells in zip(table.rows, *(c.cells for c in layout.columns), strict=True):
        name = cells[0]
        if grouped and name == before:
            cells[0] = ""
        elif grouped and before is not None:
            shown.add_row()
        before = name
        shown.add_row(*map(Text, cells), style=style(row))
    return shown


def _blocks(columns: Sequence[_Texts]) -> Iterator[RenderableType]:
    """Block for each row: a line for each of its cells, the first above the others."""
    for cells in zip(*(column.cells for column in columns), strict=True):
        named = zip(columns, cells, strict=True)
        first, *more = [f"{c.title}: {cell}" for c, cell in named if cell not in (NOTHING, "-", "")]
        yield Text(first, style="bold", overflow="fold")
        for line in more:
            yield Padding(Text(line, overflow="fold"), (0, 0, 0, 2), expand=False)
        yield Text()
