"""Parts of every figure: axes, scales and ticks, marks, direct labels, and the legend below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from deepobs_runner.figures.style import SMALL, Paper, text_color

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.text import Text
    from numpy.typing import ArrayLike

LOG_RATIO = 8.0
"""An axis is logarithmic if its ends are further apart than this."""

HANDLE = 3.2
"""Length of the sample of a line in a legend, in font sizes."""

LONGEST_LABEL = 24
"""Letters of a label that still stands beside its line."""

MOST_LABELS = 9
"""Lines of a panel that still have their labels beside them."""

NUMBER = "0.35"
"""Grey of numbers and remarks within a panel."""


def new_figure(width: float, height: float) -> Figure:
    """Empty figure, sized in inches, with a layout that makes room for its parts."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    engine = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03)
    return Figure(figsize=(width, height), layout=engine)


def style_axes(
    axes: Axes,
    paper: Paper,
    *,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    grid: Literal["both", "x", "y", ""] = "both",
) -> Axes:
    """Give axes their labels, and what all axes have in common.

    Ticks are made when a figure is drawn, so their font and size are not left to the settings.
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(False)
    if grid:
        axes.grid(axis=grid, color="#000000", alpha=0.10, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(
        which="both", labelsize=SMALL, width=0.6, length=2.5, pad=2, labelfontfamily=paper.fonts
    )
    axes.tick_params(which="minor", length=1.5, width=0.4)
    axes.set_xlabel(xlabel, labelpad=2)
    axes.set_ylabel(ylabel, labelpad=3)
    if title:
        axes.set_title(title, pad=4, loc="left", fontweight="bold")
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
        axes.yaxis.set_minor_formatter(LogNumbers(minor_thresholds=(1.2, 0.5)))


def use_gap_scale(axes: Axes, gaps: np.ndarray, margin: float = 0.08) -> None:
    """Make the vertical axis logarithmic for gaps to the best, `(n,)`; some may be 0.

    With a 0 the axis is linear from there to the power of ten below the smallest gap, so that the
    best has a place and the label 0.
    """
    from matplotlib.ticker import FixedLocator, NullLocator

    from deepobs_runner.figures.log_numbers import Numbers

    positive = gaps[np.isfinite(gaps) & (gaps > 0)]
    if not len(positive):
        return
    low, high = float(positive.min()), float(positive.max())
    if not (gaps == 0).any():
        use_log_scale(axes)
        factor = max((high / low) ** margin, 1.2)
        axes.set_ylim(low / factor, high * factor)
        return
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    axes.set_yscale("symlog", linthresh=10.0**first, linscale=0.5)
    powers = list(range(first, last + 1))
    step = -(-len(powers) // 7)  # at most seven labels
    axes.yaxis.set_major_locator(FixedLocator([0.0, *(10.0**p for p in powers[::step])]))
    axes.yaxis.set_major_formatter(Numbers())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(-0.25 * 10.0**first, high * max((high / low) ** margin, 1.3))


def use_ticks(axis: Axis, numbers: Sequence[float], suffix: str = "") -> None:
    """Label an axis at these numbers alone."""
    from matplotlib.ticker import FixedLocator, NullLocator

    from deepobs_runner.figures.log_numbers import Numbers

    axis.set_major_locator(FixedLocator([float(number) for number in numbers]))
    axis.set_major_formatter(Numbers(suffix))
    axis.set_minor_locator(NullLocator())


def use_ratio_ticks(axis: Axis, low: float, high: float) -> None:
    """Label a logarithmic axis of ratios at powers of two: ½×, 1×, 2×; of far ends at fewer."""
    from matplotlib.ticker import FixedLocator, NullLocator

    from deepobs_runner.figures.log_numbers import Ratios

    first, last = int(np.ceil(np.log2(low) - 1e-9)), int(np.floor(np.log2(high) + 1e-9))
    step = max(1, -(-(last - first) // 6))
    powers = [p for p in range(first, last + 1) if p % step == 0]
    axis.set_major_locator(FixedLocator([2.0**p for p in powers]))
    axis.set_major_formatter(Ratios())
    axis.set_minor_locator(NullLocator())


def name_rows(axes: Axes, names: Sequence[str], colors: Sequence[str] | None = None) -> None:
    """Name the rows 0, 1, … of a panel, from top to bottom, at its left."""
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    labels = name_ticks(axes.yaxis, range(len(names)), names)
    for label, color in zip(labels, colors or (), strict=False):
        label.set_color(text_color(color))


def name_ticks(axis: Axis, places: Iterable[float], names: Sequence[str]) -> list[Text]:
    """Write names at places along an axis, as they are, with a "$" too; return what is written."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    axis.set_major_locator(FixedLocator(list(places)))
    axis.set_major_formatter(FixedFormatter(list(names)))
    axis.set_minor_locator(NullLocator())
    labels = list(axis.get_ticklabels())
    for label in labels:
        label.set_parse_math(False)
    return labels


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


def fit_beside(labels: Sequence[str]) -> bool:
    """Whether labels can stand beside their lines instead of in a legend."""
    return len(labels) <= MOST_LABELS and all(
        len(line) <= LONGEST_LABEL for label in labels for line in label.splitlines()
    )


class End(NamedTuple):
    """Where a line ends, in the units of its axes, and what it is called."""

    x: float
    y: float
    label: str
    color: str


def label_ends(axes: Axes, ends: Sequence[End], height: float) -> None:
    """Write the names of lines at the right edge, each at the height where its line ends.

    Names that would overlap are moved apart, and a thin line leads to each that is moved. The
    height of the panel is in inches, as it is not laid out yet.
    """
    axes.get_ylim()  # settles the scale
    points = height * 72
    transform: Any = axes.transData - axes.transAxes
    places = transform.transform([(end.x, end.y) for end in ends])  # (n, 2): shares of the panel
    shares = np.clip(np.nan_to_num(places[:, 1]), 0.0, 1.0)
    lines = [end.label.count("\n") + 1 for end in ends]
    sizes = [1.15 * SMALL * n for n in lines]
    moved = keep_within(spread(shares * points, sizes), sizes, -SMALL, points + SMALL)
    for end, place, y, at in zip(ends, places, shares, moved, strict=True):
        x = float(np.clip(place[0], 0.0, 1.0))
        axes.annotate(
            end.label,
            (x, y),
            xycoords="axes fraction",
            xytext=(1.05, at / points),
            textcoords="axes fraction",
            color=text_color(end.color),
            fontsize=SMALL,
            va="center",
            linespacing=1.0,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-", "color": end.color, "linewidth": 0.5, "shrinkA": 1.0,
                "shrinkB": 1.0, "relpos": (0.0, 0.5),
                "linestyle": "-" if x > 0.95 else ":",  # across the panel it is no curve
            },
        )  # fmt: skip


def spread(places: ArrayLike, heights: ArrayLike) -> np.ndarray:
    """Places moved apart until things of these heights do not overlap, `(n,)`.

    Neighbours that would overlap share the middle of where they were.

    >>> spread([0.0, 10.0, 11.0], [4.0, 4.0, 4.0]).tolist()
    [0.0, 8.5, 12.5]
    """
    wanted, sizes = np.asarray(places, dtype=float), np.asarray(heights, dtype=float)
    order = np.argsort(wanted, kind="stable")
    groups: list[list[int]] = []
    for index in order:
        groups.append([int(index)])
        while len(groups) > 1 and _top(groups[-2], wanted, sizes) > _bottom(
            groups[-1], wanted, sizes
        ):
            last = groups.pop()
            groups[-1] += last
    moved = wanted.copy()
    for group in groups:
        at = _bottom(group, wanted, sizes)
        for index in group:
            moved[index] = at + sizes[index] / 2
            at += sizes[index]
    return moved


def keep_within(
    places: np.ndarray, heights: Sequence[float], low: float, high: float
) -> np.ndarray:
    """Places of things of these heights, moved apart, that lie between two ends, `(n,)`.

    If there is no room for all, they go on beyond the upper end.

    >>> keep_within(np.array([0.0, 4.0, 20.0]), [4.0, 4.0, 4.0], 0.0, 22.0).tolist()
    [2.0, 6.0, 20.0]
    """
    moved, order = places.copy(), np.argsort(places, kind="stable")
    end = high
    for index in order[::-1]:
        moved[index] = min(moved[index], end - heights[index] / 2)
        end = moved[index] - heights[index] / 2
    end = low
    for index in order:
        moved[index] = max(moved[index], end + heights[index] / 2)
        end = moved[index] + heights[index] / 2
    return moved


def _bottom(group: Sequence[int], wanted: np.ndarray, sizes: np.ndarray) -> float:
    """Lower edge of things on top of each other around the mean of their places."""
    return float(wanted[group].mean() - sizes[group].sum() / 2)


def _top(group: Sequence[int], wanted: np.ndarray, sizes: np.ndarray) -> float:
    return _bottom(group, wanted, sizes) + float(sizes[group].sum())


class Legend(NamedTuple):
    """A legend below the panels: what it takes, and what fits."""

    labels: list[str]
    columns: int
    height: float

    def draw(self, figure: Figure, handles: Sequence[Artist]) -> None:
        """Put it below everything else."""
        if handles:
            figure.legend(
                handles,
                self.labels,
                loc="outside lower center",
                ncols=self.columns,
                frameon=False,
                handlelength=HANDLE,  # shows the dashes
                columnspacing=1.2,
                borderaxespad=0.2,
            )


def legend_below(labels: Sequence[str], width: float) -> Legend:
    """Legend of a figure of a width in inches, with long labels wrapped."""
    letter = 0.6 * SMALL / 72  # inches, rather too wide
    sample = (HANDLE + 2.5) * SMALL / 72
    longest = max(map(len, labels), default=0)
    columns = max(1, min(len(labels), 4, int(width / (longest * letter + sample))))
    fits = int((width / columns - sample) / letter)
    wrapped = [fill(label, max(fits, 10)) for label in labels]
    rows = [wrapped[i::columns] for i in range(columns)]
    lines = max((sum(text.count("\n") + 1.3 for text in column) for column in rows), default=0)
    return Legend(wrapped, columns, lines * SMALL * 1.2 / 72)


def legend_unless(
    beside: bool, labels: Sequence[str], handles: Mapping[str, Artist], width: float
) -> tuple[Legend, list[Artist]]:
    """Legend of a figure, an empty one where labels stand beside their lines."""
    shown = [] if beside else [label for label in labels if label in handles]
    return legend_below(shown, width), [handles[label] for label in shown]
