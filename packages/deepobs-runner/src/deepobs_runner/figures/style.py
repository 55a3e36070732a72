"""What all figures have in common: size, fonts, and the colour and marker of each optimizer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from textwrap import fill
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from numpy.typing import ArrayLike

COLUMN = 3.3
"""Width of a column of a two-column paper, in inches."""

PAGE = 6.9
"""Width of a page of a two-column paper, in inches."""

SMALL = 7.0
"""Points of tick labels and legends; everything else has 8."""

STYLE: Mapping[str, Any] = MappingProxyType(
    {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so it is everywhere
        "font.size": 8.0,
        "axes.titlesize": 8.0,
        "axes.labelsize": 8.0,
        "figure.titlesize": 9.0,
        "legend.fontsize": SMALL,
        "legend.title_fontsize": SMALL,
        "axes.linewidth": 0.6,
        "lines.linewidth": 1.3,
        "lines.markersize": 3.6,
        "pdf.fonttype": 42,  # text that can be searched
        "svg.fonttype": "path",  # the same on a machine without the font
        "svg.hashsalt": "deepobs",
    }
)

# Okabe and Ito's palette, told apart with every kind of colour vision; black is left for text, and
# its yellow, too pale for a line on white, is replaced by Tol's wine and olive.
FIXED_COLORS: Mapping[str, str] = MappingProxyType(
    {"SGD": "#0072B2", "Momentum": "#009E73", "Adam": "#D55E00", "AdamW": "#CC79A7"}
)
FREE_COLORS = ("#E69F00", "#56B4E9", "#882255", "#999933", "#777777")
FIXED_MARKERS: Mapping[str, str] = MappingProxyType(
    {"SGD": "o", "Momentum": "s", "Adam": "^", "AdamW": "D"}
)
FREE_MARKERS = ("v", "P", "X", "<", ">", "h", "p", "*")

LineStyle = str | tuple[float, tuple[float, ...]]
LINES: tuple[LineStyle, ...] = ("-", (0, (4.0, 1.5)), (0, (1.0, 1.2)))


@contextmanager
def paper_style() -> Iterator[None]:
    """Set fonts and widths while a figure is made or saved, and leave the settings as they were."""
    from matplotlib import rc_context

    settings: Any = dict(STYLE)
    with rc_context(settings):
        yield


class Ink(NamedTuple):
    """What marks an optimizer in every figure: a colour, and a marker that reads in grey."""

    color: str
    marker: str


class Look(NamedTuple):
    """How a line is drawn.

    Attributes:
        ink: of its optimizer.
        line: tells the settings of an optimizer apart.
        pale: broad and pale: a baseline behind results of yours.
    """

    ink: Ink
    line: LineStyle
    pale: bool


class Subject(NamedTuple):
    """Whose line it is, as far as its look goes."""

    optimizer: str
    baseline: bool


Palette = Mapping[str, Ink]
"""The ink of each optimizer."""


def palette_of(optimizers: Iterable[str]) -> Palette:
    """Return the ink of each optimizer; make one for all figures that are shown together.

    Those of the official runs, and AdamW, are the same everywhere. Others get what is free, in
    order of first appearance; more than there are colours share them, with another marker.

    >>> palette_of(["Mine", "SGD"])["SGD"]
    Ink(color='#0072B2', marker='o')
    """
    free = [name for name in dict.fromkeys(optimizers) if name not in FIXED_COLORS]
    inks = {
        name: Ink(FREE_COLORS[i % len(FREE_COLORS)], FREE_MARKERS[i % len(FREE_MARKERS)])
        for i, name in enumerate(free)
    }
    inks |= {name: Ink(color, FIXED_MARKERS[name]) for name, color in FIXED_COLORS.items()}
    return MappingProxyType(inks)


def line_style(number: int) -> LineStyle:
    """Return the line style of a number: solid, dashed, dotted, then a dash and ever more dots."""
    if number < len(LINES):
        return LINES[number]
    return (0, (5.0, 1.5, *(1.0, 1.5) * (number - len(LINES) + 1)))


def looks_of(subjects: Sequence[Subject], palette: Palette | None = None) -> list[Look]:
    """Return how each line of a figure is drawn; no two of yours, and no two baselines, are alike.

    The first line of an optimizer is solid, further ones keep its ink and change the line. Where
    there are results of yours, the baselines are pale.

    Args:
        subjects: of the lines.
        palette: of all figures shown together; None: of these lines alone.
    """
    palette = palette or palette_of(subject.optimizer for subject in subjects)
    mixed = len({subject.baseline for subject in subjects}) > 1
    looks: list[Look] = []
    for subject in subjects:
        pale = subject.baseline and mixed
        candidates = (Look(palette[subject.optimizer], line_style(i), pale) for i in count())
        looks.append(next(look for look in candidates if look not in looks))
    return looks


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches, whose parts make room for each other."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    engine = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03)
    return Figure(figsize=(width, height), layout=engine)


def dress(axes: Axes, *, xlabel: str = "", ylabel: str = "", title: str = "") -> Axes:
    """Give axes their labels and the look of all axes.

    Ticks are made when a figure is drawn, so what they look like is not left to the settings.
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#000000", alpha=0.12, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", labelsize=SMALL, width=0.6, length=2.5, pad=2)
    axes.tick_params(which="minor", length=1.5, width=0.4)
    axes.set_xlabel(xlabel, labelpad=2)
    axes.set_ylabel(ylabel, labelpad=3)
    if title:
        axes.set_title(title, pad=4)
    return axes


def mark(
    axes: Axes,
    x: ArrayLike,
    y: ArrayLike,
    color: str,
    marker: str,
    *,
    zorder: float = 4.0,
    **look: Any,
) -> Line2D:
    """Put markers that may stand over the edge of the panel, without room made for them."""
    (line,) = axes.plot(
        x, y, color=color, linestyle="none", marker=marker, clip_on=False, zorder=zorder, **look
    )
    line.set_in_layout(False)
    return line


class Legend(NamedTuple):
    """A legend below the panels: what it takes, and what fits."""

    labels: list[str]
    columns: int
    title: str
    height: float

    def draw(self, figure: Figure, handles: Sequence[Artist]) -> None:
        """Put it below everything else."""
        legend = figure.legend(
            handles,
            self.labels,
            loc="outside lower center",
            ncols=self.columns,
            title=self.title or None,
            frameon=False,
            handlelength=HANDLE,  # shows the dashes
            columnspacing=1.2,
            borderaxespad=0.2,
        )
        legend.get_title().set_multialignment("center")


HANDLE = 3.2
"""Length of the sample of a line in a legend, in font sizes."""


def legend_below(labels: Sequence[str], width: float, title: str = "") -> Legend:
    """Return the legend of a figure of a width in inches, with long labels wrapped."""
    letter = 0.6 * SMALL / 72  # inches, rather too wide
    sample = (HANDLE + 2.5) * SMALL / 72
    longest = max(map(len, labels), default=0)
    columns = max(1, min(len(labels), 4, int(width / (longest * letter + sample))))
    fits = int((width / columns - sample) / letter)
    wrapped = [fill(label, max(fits, 10)) for label in labels]
    if title:
        title = fill(title, int(width / letter))
    rows = [wrapped[i::columns] for i in range(columns)]
    lines = max((sum(text.count("\n") + 1.3 for text in column) for column in rows), default=0)
    height = (lines + 1.2 * (title.count("\n") + 1 if title else 0)) * SMALL * 1.2 / 72
    return Legend(wrapped, columns, title, height)
