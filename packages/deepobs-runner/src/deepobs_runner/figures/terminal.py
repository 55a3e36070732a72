"""Figures as text: the lines of every panel in braille dots, with the numbers of the axes.

plotext (6.1) was tried in its place: its legend covers the curves, its lines cannot be told apart
without colours, and its axes have no round numbers.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from rich.text import Text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 80
HEIGHT = 14
"""Rows of a panel."""

GUTTER = 9
"""Columns for the numbers of the vertical axis."""

INDENT = " " * (GUTTER + 1)

GLYPHS = MappingProxyType(
    {
        "_diverged": "x",
        "_beyond": "x",
        "_left": "x",
        "_best": "@",
        "_start": "o",
        "_minima": "*",
        "_bound": ">",
    }
)
"""What stands for marks that are no lines, by their label."""

UNNAMED = ("_interval", "_run", "_group")
"""Labels of lines that are drawn without a letter."""

DOT = "●"
"""What stands for a value in a row that has a name."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# The dots of a braille character, by row and column of a dot within it (Unicode 15, 2800-28FF).
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


class Series(NamedTuple):
    """Points of a panel; coordinates are shares of its width and height, from the lower left."""

    label: str
    color: str
    points: np.ndarray  # (n, 2)
    joined: bool
    glyph: str = ""


class Cell(NamedTuple):
    """A character: braille dots, or a letter in their place."""

    dots: int = 0
    letter: str = ""
    color: str = ""


class Canvas:
    """A panel of braille dots and letters."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.cells: dict[tuple[int, int], Cell] = {}

    def put(self, x: float, y: float, color: str, letter: str = "") -> None:
        """Set the dot at a place within the panel, or a letter."""
        if 0 <= x <= 1 and 0 <= y <= 1:
            column = min(int(x * self.columns * 2), self.columns * 2 - 1)
            row = min(int((1 - y) * self.rows * 4), self.rows * 4 - 1)
            place = row // 4, column // 2
            cell = self.cells.get(place, Cell())
            dots = cell.dots | DOTS[row % 4][column % 2]
            self.cells[place] = Cell(dots, letter or cell.letter, color)

    def line(self, start: np.ndarray, end: np.ndarray, color: str) -> None:
        """Set the dots between two places, as far as they lie within the panel."""
        size = np.array([self.columns * 2, self.rows * 4])
        steps = int(min(np.abs((end - start) * size).max(), 4 * size.max())) + 1
        for share in np.linspace(0, 1, steps + 1):
            x, y = start + share * (end - start)
            self.put(x, y, color)

    def row(self, number: int) -> Text:
        """One row, in colour."""
        cells = [self.cells.get((number, column), Cell()) for column in range(self.columns)]
        return Text.assemble(
            *((c.letter or (chr(0x2800 + c.dots) if c.dots else " "), c.color) for c in cells)
        )


def to_text(figure: Figure, *, width: int = WIDTH) -> Text:
    """Panels of a figure as text, one below the other, and what its letters stand for.

    A letter on a line identifies its optimizer without colour. Where rows have names, as in a
    forest plot, a dot stands for a value, and numbers are written behind their row. Bands and
    contours are left out; a map is a table of its cells.
    """
    panels = [(axes, series_of(axes)) for axes in figure.axes]
    panels = [
        (axes, found) for axes, found in panels if any(s.label for s in found) or _is_map(axes)
    ]
    colors = {
        s.label: s.color
        for axes, found in panels
        for s in found
        if s.label and not _row_names(axes)
    }
    names = {label: LETTERS[i % len(LETTERS)] for i, label in enumerate(colors)}
    text = Text()
    if heading := figure.get_suptitle():
        text.append(f"{heading}\n", style="bold")
    for axes, found in panels:
        text.append_text(
            _table(axes, width) if _is_map(axes) else _panel(axes, found, names, width)
        )
    for label, letter in names.items():
        first, *more = textwrap.wrap(label, width - GUTTER - 3)
        text.append(f"{INDENT}{letter}", style=colors[label]).append(f" {first}\n")
        text.append("".join(f"{INDENT}  {line}\n" for line in more))
    return text


def _row_names(axes: Axes) -> list[str]:
    """Names of the rows of a panel, from top to bottom; none where it has numbers."""
    from matplotlib.ticker import FixedFormatter

    siblings: Any = axes.get_shared_y_axes().get_siblings(axes)
    for panel in (axes, *siblings):
        formatter = panel.yaxis.get_major_formatter()
        if isinstance(formatter, FixedFormatter):
            return [str(name) for name in formatter.seq]
    return []


def _is_map(axes: Axes) -> bool:
    """Whether a panel is a map of cells: both axes have names, and nothing is a line."""
    from matplotlib.ticker import FixedFormatter

    named = isinstance(axes.xaxis.get_major_formatter(), FixedFormatter)
    return named and bool(_row_names(axes))


def _table(axes: Axes, width: int) -> Text:
    """Cells of a map as a table, flipped where it is too wide."""
    from deepobs_runner.figures.log_numbers import number_text

    formatter: Any = axes.xaxis.get_major_formatter()
    rows, columns = _row_names(axes), [str(name) for name in formatter.seq]
    cells = {
        (int(y), int(x)): text.get_text()
        for text in axes.texts
        for x, y in [text.get_position()]
        if text.get_transform() == axes.transData
    }
    for mesh in axes.collections:
        values: np.ndarray = np.ma.filled(np.ma.atleast_2d(np.ma.asarray(mesh.get_array())), np.nan)
        for (row, column), value in np.ndenumerate(values):
            cells[row, column] = number_text(float(f"{value:.2g}")) if np.isfinite(value) else ""
    count = max((column for _, column in cells), default=0) + 1
    if len(columns) < count:  # not every column has a name: those that have none are left empty
        step = -(-count // len(columns))
        columns = [columns[i // step] if i % step == 0 else "" for i in range(count)]
    if sum(len(name) + 2 for name in columns) > width - max(map(len, rows)):
        rows, columns = columns, rows
        cells = {(column, row): cell for (row, column), cell in cells.items()}
    wide = max(map(len, (*rows, "")))
    widths = [
        max(len(name), *(len(cells.get((row, i), "")) for row in range(len(rows))))
        for i, name in enumerate(columns)
    ]
    text = Text(f"{axes.get_title('left') or axes.get_title()}\n")
    text.append(" " * wide + "".join(f"  {n:>{w}}" for n, w in zip(columns, widths, strict=True)))
    for row, name in enumerate(rows):
        found = (f"  {cells.get((row, i), ''):>{w}}" for i, w in enumerate(widths))
        text.append(f"\n{name:>{wide}}{''.join(found)}")
    return text.append("\n")


def series_of(axes: Axes) -> list[Series]:
    """Contents of a panel: lines, points, and marks that have a glyph in place of a label."""
    axes.get_xlim(), axes.get_ylim()  # settles the scale
    rows = _row_names(axes)
    found = []
    for line in axes.lines:
        label = str(line.get_label())
        if label.startswith("_") and label not in GLYPHS and label not in UNNAMED:
            continue
        points = np.asarray(line.get_xydata(), dtype=float)
        if line.get_drawstyle() == "steps-post":
            points = _corners(points)
        where: Any = line.get_transform() - axes.transAxes
        with np.errstate(all="ignore"):
            places = where.transform(points)
        joined = line.get_linestyle() != "None"
        glyph = GLYPHS.get(label, "")
        if glyph and rows and line.get_marker() == "<":
            glyph = "<"
        elif rows and not label.startswith("_"):
            glyph = DOT
        name = "" if label.startswith("_") else label
        found.append(Series(name, str(line.get_color()), places, joined, glyph))
    return found


def _corners(points: np.ndarray) -> np.ndarray:
    """Corners of steps that hold each value until the next point."""
    corners = np.repeat(points, 2, axis=0)[:-1]
    corners[1::2, 0] = points[1:, 0]
    return corners


def _panel(axes: Axes, found: Sequence[Series], names: Mapping[str, str], width: int) -> Text:
    rows = _row_names(axes)
    gutter = max(GUTTER, *map(len, rows)) if rows else GUTTER
    notes = _notes(axes, len(rows))
    room = max(map(len, notes), default=0)
    height = len(rows) or HEIGHT
    canvas = Canvas(max(width - gutter - 2 - room, 20), height)
    for index, series in enumerate(found):
        _draw(canvas, series, names, index / len(found))
    titles = (axes.get_title("left") or axes.get_title(), axes.get_ylabel())
    indent = " " * (gutter + 1)
    text = Text(f"{indent}{' - '.join(filter(None, titles))}\n")
    numbers: dict[int, str] = dict(enumerate(rows))
    for number, share in () if rows else _ticks(axes, "y"):
        numbers.setdefault(min(int((1 - share) * height), height - 1), number)
    for row in range(height):
        text.append(f"{numbers.get(row, ''):>{gutter}}{'┤' if row in numbers else '│'}")
        text.append_text(canvas.row(row))
        text.append(f" {notes[row]}".rstrip() + "\n" if rows else "\n")
    text.append(f"{' ' * gutter}└{'─' * canvas.columns}\n")
    text.append(f"{indent}{_line_of_ticks(axes, canvas.columns)}\n")
    shared = [other.get_xlabel() for other in axes.get_shared_x_axes().get_siblings(axes)]
    if name := axes.get_xlabel() or next(filter(None, shared), ""):
        text.append(f"{indent}{name:^{canvas.columns}}".rstrip() + "\n")
    return text


def _notes(axes: Axes, rows: int) -> list[str]:
    """Numbers and remarks in each row of a panel."""
    found: list[list[str]] = [[] for _ in range(rows)]
    for text in axes.texts:
        coordinates: Any = getattr(text, "xycoords", "data")
        vertical = coordinates[1] if isinstance(coordinates, tuple) else coordinates
        place = getattr(text, "xy", (0.0, -1.0))[1]
        if vertical == "data" and place in range(rows) and text.get_text().strip():
            found[int(place)].append(text.get_text())
    return ["  ".join(texts) for texts in found]


def _draw(canvas: Canvas, series: Series, names: Mapping[str, str], offset: float) -> None:
    """Draw one series; its letter stands on it four times, or at every point of no line."""
    finite = np.isfinite(series.points).all(axis=1)
    points = series.points[finite]
    letter = series.glyph or names.get(series.label, "")
    if series.joined:
        for i in np.flatnonzero(finite[:-1] & finite[1:]):
            canvas.line(series.points[i], series.points[i + 1], series.color)
        if len(points):
            points = points[((np.arange(4) + offset) / 4 * len(points)).astype(int)]
    for x, y in points if letter else ():
        canvas.put(x, y, series.color, letter)


def _ticks(axes: Axes, which: str) -> Iterator[tuple[str, float]]:
    """Yield the numbers along an axis, and at which share of the panel they stand."""
    transform: Any = axes.transData - axes.transAxes
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    axis = axes.xaxis if which == "x" else axes.yaxis
    start, end = (left, right) if which == "x" else (low, high)
    ticks = [tick for tick in axis.get_majorticklocs() if start <= tick <= end]
    for tick, label in zip(ticks, axis.get_major_formatter().format_ticks(ticks), strict=True):
        place = (tick, low) if which == "x" else (left, tick)
        if label:
            yield label, transform.transform(place)[0 if which == "x" else 1]


def _line_of_ticks(axes: Axes, columns: int) -> str:
    """Numbers below a panel; one without room is left out."""
    line = ""
    for number, share in _ticks(axes, "x"):
        start = max(0, min(int(share * columns) - len(number) // 2, columns - len(number)))
        if not line or start > len(line):
            line = line.ljust(start) + number
    return line
