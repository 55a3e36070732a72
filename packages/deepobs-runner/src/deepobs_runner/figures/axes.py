"""Parts of every figure: axes, their labels, scales and ticks, marks, and the legend below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from deepobs_runner.figures.style import COLUMN, SMALL, paper_style

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from numpy.typing import ArrayLike

LOG_RATIO = 8.0
"""An axis is logarithmic if its ends are further apart than this."""

HANDLE = 3.2
"""Length of the sample of a line in a legend, in font sizes."""


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches, whose parts make room for each other."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    engine = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03)
    return Figure(figsize=(width, height), layout=engine)


@contextmanager
def one_panel(
    names: Sequence[str], note: str, height: float, **labels: str
) -> Iterator[tuple[Figure, Axes, list[Artist]]]:
    """Yield a figure as wide as a column, its axes, and a list for what its legend shows.

    The legend has these names, in the order of the list, and the note as its title; the panel's
    height is in inches.
    """
    with paper_style():
        legend = legend_below(names, COLUMN, note)
        figure = new_figure(COLUMN, height + legend.height)
        handles: list[Artist] = []
        yield figure, label_axes(figure.add_subplot(), **labels), handles
        legend.draw(figure, handles)


def label_axes(axes: Axes, *, xlabel: str = "", ylabel: str = "", title: str = "") -> Axes:
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


def set_limits(axes: Axes, low: float, high: float, margin: float, *, log: bool = False) -> None:
    """Set the ends of the vertical axis, with a margin that is a share of what is shown.

    With `log` it is logarithmic if the values are positive and far apart.
    """
    if log and low > 0 and high / low > LOG_RATIO:
        use_log_scale(axes)
        factor = (high / low) ** margin
        axes.set_ylim(low / factor, high * factor)
        return
    room = margin * ((high - low) or abs(high) or 1.0)
    axes.set_ylim(low - room, high + room)


def use_log_scale(axes: Axes, which: Literal["x", "y"] = "y") -> None:
    """Make an axis logarithmic."""
    from matplotlib.ticker import NullLocator

    from deepobs_runner.figures.log_numbers import LogNumbers

    if which == "x":
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(LogNumbers())
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(LogNumbers())
        axes.yaxis.set_minor_formatter(LogNumbers(minor_thresholds=(1.5, 0.5)))


def use_plain_log_ticks(
    axis: Axis, steps: Sequence[float] = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
) -> None:
    """Label a logarithmic axis of one decade or less at these steps."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def use_ticks(axis: Axis, numbers: Sequence[float]) -> None:
    """Label an axis at these numbers alone."""
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    axis.set_major_locator(FixedLocator([float(number) for number in numbers]))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


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
