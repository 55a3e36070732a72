"""Mean ranks of several optimizers over problems, and which of them differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from deepobs_runner.analysis.bootstrap import percent
from deepobs_runner.comparison import MeanRank, Ranks
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.axes import NUMBER, name_rows, new_figure, style_axes
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import COLUMN, PLAIN, SMALL, Look, Paper, paper_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.2
"""Height of a row, in inches."""

BESIDE = 7.0
"""Points between the bars of groups."""


def ranks(material: Material) -> Iterator[Drawing]:
    """Yield the mean ranks over all problems."""
    yield material.draw(
        "ranks",
        None,
        "Mean ranks",
        "Mean rank by the time to the target over the problems on which all optimizers have times, "
        f"1 is the fastest, with {percent(material.level)} intervals over problems. From ten "
        "problems on, bars join optimizers with mean ranks closer than the critical difference "
        "(CD) of Nemenyi's test.",
        _plot,
        material,
    )


FIGURE = ranks


def _plot(material: Material) -> Figure:
    found = material.ranks()
    if found is None:
        raise UsageError(
            "Mean ranks take three optimizers that have times to the target on the same problem."
        )
    return plot_ranks(found, material.looks, paper=material.paper)


def plot_ranks(ranks: Ranks, looks: Mapping[str, Look], *, paper: Paper = PLAIN) -> Figure:
    """Mean rank of each optimizer with its interval over problems, the best first.

    From ten problems on, bars at the right join the optimizers that Nemenyi's test does not tell
    apart: the critical-difference diagram of Demšar, "Statistical comparisons of classifiers over
    multiple data sets", JMLR 7 (2006).
    """
    ordered = sorted(ranks.ranks, key=lambda entry: entry.rank)
    groups = [] if ranks.critical_difference is None else groups_of(ordered, ranks)
    with paper_style(paper):
        figure = new_figure(paper.inches(COLUMN), ROW * len(ordered) + 0.65)
        axes = style_axes(figure.add_subplot(), paper, grid="x")
        name_rows(axes, [r.optimizer for r in ordered], [looks[r.optimizer].color for r in ordered])
        axes.set_xlim(1 - 0.05, len(ordered) + 0.05)
        axes.set_xticks(range(1, len(ordered) + 1))
        axes.set_xlabel(f"Mean rank on {len(ranks.problems)} problems (1: fastest)", labelpad=2)
        for row, entry in enumerate(ordered):
            look = looks[entry.optimizer]
            if not math.isnan(entry.low):
                axes.plot([entry.low, entry.high], [row, row], color=look.color, linewidth=1.4,
                          label="_interval")  # fmt: skip
            axes.plot([entry.rank], [row], linestyle="none", marker=look.ink.marker, markersize=5.0,
                      color=look.color, label=entry.optimizer, zorder=3.0)  # fmt: skip
        for number, group in enumerate(groups):
            _draw_group(axes, group, number)
        if ranks.critical_difference is not None:
            _draw_difference(axes, ranks.critical_difference)
    return figure


def groups_of(ordered: list[MeanRank], ranks: Ranks) -> list[tuple[int, int]]:
    """First and last row of each largest group within the critical difference."""
    reach = ranks.critical_difference or 0.0
    found: list[tuple[int, int]] = []
    for first, entry in enumerate(ordered):
        last = max(i for i, other in enumerate(ordered) if other.rank - entry.rank <= reach)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def _draw_group(axes: Axes, group: tuple[int, int], number: int) -> None:
    """Draw the bar of a group at the right of the panel."""
    from matplotlib.transforms import ScaledTranslation

    first, last = group
    place = 6 + BESIDE * number
    figure = axes.get_figure()
    assert figure is not None
    moved = axes.get_yaxis_transform() + ScaledTranslation(place / 72, 0, figure.dpi_scale_trans)
    axes.plot([1, 1], [first - 0.25, last + 0.25], color="black", linewidth=2.2, transform=moved,
              clip_on=False, label="_group", solid_capstyle="butt")  # fmt: skip


def _draw_difference(axes: Axes, difference: float) -> None:
    """Draw the length of the critical difference above the panel."""
    left, _ = axes.get_xlim()
    start = left + 0.05
    above = axes.get_xaxis_transform()
    axes.plot([start, start + difference], [1.05, 1.05], color="black", linewidth=0.9, marker="|",
              markersize=4.0, transform=above, clip_on=False, label="_difference")  # fmt: skip
    axes.annotate(
        f"CD = {difference:.2f}", (start + difference, 1.05), xycoords=above, xytext=(4, 0),
        textcoords="offset points", fontsize=SMALL, va="center", color=NUMBER,
        annotation_clip=False,
    )  # fmt: skip
