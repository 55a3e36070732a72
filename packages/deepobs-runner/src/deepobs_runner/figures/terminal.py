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
    {"_diverged": "x", "_beyond": "x", "_left": "x", "_best": "@", "_start": "o", "_minima": "*"}
)
"""What stands for marks that are no lines, by their label."""

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
        """Return one row, in colour."""
        cells = [self.cells.get((number, column), Cell()) for column in range(self.columns)]
        return Text.assemble(
            *((c.letter or (chr(0x2800 + c.dots) if c.dots else " "), c.color) for c in cells)
        )


def to_text(figure: Figure, *, width: int = WIDTH) -> Text:
    """Return the panels of a figure as text, one below the other, and the legend.

    A letter on a line says whose it is, so that it reads without colour. Bands and contours are
    left out.
    """
    panels = [(axes, series_of(axes)) for axes in figure.axes]
    panels = [(axes, found) for axes, found in panels if any(s.label for s in found)]
    colors = {s.label: s.color for _, found in panels for s in found if s.label}
    names = {label: LETTERS[i % len(LETTERS)] for i, label in enumerate(colors)}
    text = Text()
    if heading := figure.get_suptitle():
        text.append(f"{heading}\n", style="bold")
    for axes, found in panels:
        text.append_text(_panel(axes, found, names, width))
    for label, letter in names.items():
        first, *more = textwrap.wrap(label, width - GUTTER - 3)
        text.append(f"{INDENT}{letter}", style=colors[label]).append(f" {first}\n")
        text.append("".join(f"{INDENT}  {line}\n" for line in more))
    for legend in figure.legends:
        for line in textwrap.wrap(legend.get_title().get_text(), width - GUTTER - 1):
            text.append(f"{INDENT}{line}\n")
    return text


def series_of(axes: Axes) -> list[Series]:
    """Return what a panel shows: lines, points, and marks that have a glyph in place of a label."""
    axes.get_xlim(), axes.get_ylim()  # settles the scale
    found = []
    for line in axes.lines:
        label = str(line.get_label())
        if label.startswith("_") and label not in GLYPHS:
            continue
        points = np.asarray(line.get_xydata(), dtype=float)
        if line.get_drawstyle() == "steps-post":
            points = _corners(points)
        where: Any = line.get_transform() - axes.transAxes
        with np.errstate(all="ignore"):
            places = where.transform(points)
        joined = line.get_linestyle() != "None"
        color, glyph = str(line.get_color()), GLYPHS.get(label, "")
        found.append(Series("" if glyph else label, color, places, joined, glyph))
    for container in axes.containers:  # points with intervals
        data: Any = container[0]
        places = (axes.transData - axes.transAxes).transform(data.get_xydata())
        found.append(Series(str(container.get_label()), str(data.get_color()), places, False))
    return found


def _corners(points: np.ndarray) -> np.ndarray:
    """Return the corners of steps that hold each value until the next point."""
    corners = np.repeat(points, 2, axis=0)[:-1]
    corners[1::2, 0] = points[1:, 0]
    return corners


def _panel(axes: Axes, found: Sequence[Series], names: Mapping[str, str], width: int) -> Text:
    canvas = Canvas(width - GUTTER - 2, HEIGHT)
    for index, series in enumerate(found):
        _draw(canvas, series, names, index / len(found))
    titles = (axes.get_title() or axes.get_title("left"), axes.get_ylabel())
    text = Text(f"{INDENT}{' - '.join(filter(None, titles))}\n")
    numbers: dict[int, str] = {}
    for number, share in _ticks(axes, "y"):
        numbers.setdefault(min(int((1 - share) * HEIGHT), HEIGHT - 1), number)
    for row in range(HEIGHT):
        text.append(f"{numbers.get(row, ''):>{GUTTER}}{'┤' if row in numbers else '│'}")
        text.append_text(canvas.row(row)).append("\n")
    text.append(f"{' ' * GUTTER}└{'─' * canvas.columns}\n")
    text.append(f"{INDENT}{_line_of_ticks(axes, canvas.columns)}\n")
    shared = [other.get_xlabel() for other in axes.get_shared_x_axes().get_siblings(axes)]
    if name := axes.get_xlabel() or next(filter(None, shared), ""):
        text.append(f"{INDENT}{name:^{canvas.columns}}".rstrip() + "\n")
    return text


def _draw(canvas: Canvas, series: Series, names: Mapping[str, str], offset: float) -> None:
    """Draw one series; its letter stands on it four times, or at every point of no line."""
    finite = np.isfinite(series.points).all(axis=1)
    points = series.points[finite]
    letter = series.glyph or names[series.label]
    if series.joined:
        for i in np.flatnonzero(finite[:-1] & finite[1:]):
            canvas.line(series.points[i], series.points[i + 1], series.color)
        if len(points):
            points = points[((np.arange(4) + offset) / 4 * len(points)).astype(int)]
    for x, y in points:
        canvas.put(x, y, series.color, letter)


def _ticks(axes: Axes, which: str) -> Iterator[tuple[str, float]]:
    """Yield the numbers along an axis, and at which share of the panel they stand."""
    transform: Any = axes.transData - axes.transAxes
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    if which == "x":
        for tick in axes.get_xticks():
            if left <= tick <= right:
                yield f"{tick:.6g}", transform.transform((tick, low))[0]
    else:
        for tick in axes.get_yticks():
            if low <= tick <= high:
                yield f"{tick:.6g}", transform.transform((left, tick))[1]


def _line_of_ticks(axes: Axes, columns: int) -> str:
    """Return the numbers below a panel; one without room is left out."""
    line = ""
    for number, share in _ticks(axes, "x"):
        start = max(0, min(int(share * columns) - len(number) // 2, columns - len(number)))
        if not line or start > len(line):
            line = line.ljust(start) + number
    return line
