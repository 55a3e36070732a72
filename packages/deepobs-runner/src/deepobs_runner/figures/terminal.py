"""Figures as text: the lines of every panel in braille dots, with the numbers of the axes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

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

GLYPHS = MappingProxyType(
    {"_diverged": "x", "_beyond": "x", "_left": "x", "_best": "@", "_start": "o", "_minima": "*"}
)
"""What stands for marks that are no lines, by their label."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# The dots of a braille character, by row and column of a dot within it (Unicode 15, 2800-28FF).
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


@dataclass(frozen=True)
class Series:
    """Points of a panel; coordinates are shares of its width and height, from the lower left."""

    label: str
    color: str
    points: np.ndarray  # (n, 2)
    joined: bool
    glyph: str = ""


class Canvas:
    """A panel of braille dots and letters."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.dots = np.zeros((rows, columns), dtype=int)
        self.letters = np.full((rows, columns), "", dtype=object)
        self.colors = np.full((rows, columns), "", dtype=object)

    def put(self, x: float, y: float, color: str, letter: str = "") -> None:
        """Set the dot at a place within the panel, or a letter."""
        if not (0 <= x <= 1 and 0 <= y <= 1):
            return
        column = min(int(x * self.columns * 2), self.columns * 2 - 1)
        row = min(int((1 - y) * self.rows * 4), self.rows * 4 - 1)
        cell = row // 4, column // 2
        self.dots[cell] |= DOTS[row % 4][column % 2]
        self.colors[cell] = color
        if letter:
            self.letters[cell] = letter

    def line(self, start: np.ndarray, end: np.ndarray, color: str) -> None:
        """Set the dots between two places, as far as they lie within the panel."""
        size = np.array([self.columns * 2, self.rows * 4])
        steps = int(min(np.abs((end - start) * size).max(), 4 * size.max())) + 1
        for share in np.linspace(0, 1, steps + 1):
            x, y = start + share * (end - start)
            self.put(x, y, color)

    def row(self, number: int) -> Text:
        """Return one row, in colour."""
        text = Text()
        for dots, letter, color in zip(
            self.dots[number], self.letters[number], self.colors[number], strict=True
        ):
            text.append(letter or (chr(0x2800 + dots) if dots else " "), style=color or "")
        return text


def to_text(figure: Figure, *, width: int = WIDTH) -> Text:
    """Return the panels of a figure as text, one below the other, and the legend.

    A letter on a line says whose it is, so that it reads without colour. Bands and contours are
    left out.
    """
    panels = [(axes, series_of(axes)) for axes in figure.axes]
    panels = [(axes, found) for axes, found in panels if any(s.label for s in found)]
    labels = list(dict.fromkeys(s.label for _, found in panels for s in found if s.label))
    names = {label: LETTERS[i % len(LETTERS)] for i, label in enumerate(labels)}
    colors = {s.label: s.color for _, found in panels for s in found if s.label}
    text = Text()
    heading = figure.get_suptitle()
    if heading:
        text.append(f"{heading}\n", style="bold")
    for axes, found in panels:
        text.append_text(_panel(axes, found, names, width))
    for label in labels:
        first, *more = textwrap.wrap(label, width - GUTTER - 3)
        text.append(f"{' ' * GUTTER} {names[label]}", style=colors[label])
        text.append(f" {first}\n")
        text.append("".join(f"{' ' * GUTTER}   {line}\n" for line in more))
    for legend in figure.legends:
        title = legend.get_title().get_text()
        for line in textwrap.wrap(title, width - GUTTER - 1):
            text.append(f"{' ' * GUTTER} {line}\n")
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
            points = _stairs(points)
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


def _stairs(points: np.ndarray) -> np.ndarray:
    """Return the corners of steps that hold each value until the next point."""
    corners = np.repeat(points, 2, axis=0)[:-1]
    corners[1::2, 0] = points[1:, 0]
    return corners


def _panel(axes: Axes, found: Sequence[Series], names: dict[str, str], width: int) -> Text:
    canvas = Canvas(width - GUTTER - 2, HEIGHT)
    for index, series in enumerate(found):
        _draw(canvas, series, names, index / max(len(found), 1))
    text = Text()
    title = " - ".join(
        filter(None, (axes.get_title() or axes.get_title("left"), axes.get_ylabel()))
    )
    text.append(f"{' ' * GUTTER} {title}\n")
    numbers = _rows_of_ticks(axes)
    for row in range(HEIGHT):
        text.append(f"{numbers.get(row, ''):>{GUTTER}}{'┤' if row in numbers else '│'}")
        text.append_text(canvas.row(row))
        text.append("\n")
    text.append(f"{' ' * GUTTER}└{'─' * canvas.columns}\n")
    text.append(f"{' ' * GUTTER} {_line_of_ticks(axes, canvas.columns)}\n")
    below = [other.get_xlabel() for other in axes.get_shared_x_axes().get_siblings(axes)]
    name = axes.get_xlabel() or next(filter(None, below), "")
    if name:
        text.append(f"{' ' * GUTTER} {name:^{canvas.columns}}".rstrip() + "\n")
    return text


def _draw(canvas: Canvas, series: Series, names: dict[str, str], offset: float) -> None:
    """Draw one series; its letter stands on it four times, or at every point of no line."""
    points = series.points[np.isfinite(series.points).all(axis=1)]
    letter = series.glyph or names[series.label]
    if not series.joined:
        for x, y in points:
            canvas.put(x, y, series.color, letter)
        return
    broken = ~np.isfinite(series.points).all(axis=1)
    for (start, end), cut in zip(
        zip(series.points[:-1], series.points[1:], strict=True),
        broken[:-1] | broken[1:],
        strict=True,
    ):
        if not cut:
            canvas.line(start, end, series.color)
    for share in (np.arange(4) + offset) / 4:
        if len(points):
            x, y = points[int(share * len(points))]
            canvas.put(x, y, series.color, letter)


def _rows_of_ticks(axes: Axes) -> dict[int, str]:
    """Return the numbers beside the rows of a panel."""
    low, high = axes.get_ylim()
    transform: Any = axes.transData - axes.transAxes
    rows: dict[int, str] = {}
    for tick in axes.get_yticks():
        if low <= tick <= high:
            height = transform.transform((axes.get_xlim()[0], tick))[1]
            rows.setdefault(min(int((1 - height) * HEIGHT), HEIGHT - 1), f"{tick:.6g}")
    return rows


def _line_of_ticks(axes: Axes, columns: int) -> str:
    """Return the numbers below a panel; one without room is left out."""
    low, high = axes.get_xlim()
    transform: Any = axes.transData - axes.transAxes
    line = ""
    for tick in axes.get_xticks():
        if low <= tick <= high:
            at = transform.transform((tick, axes.get_ylim()[0]))[0]
            number = f"{tick:.6g}"
            start = max(0, min(int(at * columns) - len(number) // 2, columns - len(number)))
            if not line or start > len(line):
                line = line.ljust(start) + number
    return line
