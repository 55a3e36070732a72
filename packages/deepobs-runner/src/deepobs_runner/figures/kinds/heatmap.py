"""Heat map: speedup of several optimizers over one reference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from deepobs_runner.comparison import ProblemComparison, Ranks, Verdict
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.axes import NUMBER, name_ticks, new_figure, style_axes
from deepobs_runner.figures.kinds.forest import text_of
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import (
    BETTER,
    COLUMN,
    PAGE,
    PLAIN,
    SMALL,
    WORSE,
    Paper,
    paper_style,
)
from deepobs_runner.text import file_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST = 2
"""Optimizers beside the reference; one is a forest plot."""

ROW, FURTHEST = 0.26, 4.0
"""Height of a row in inches; the ratio from which on the colour is the same."""

SHORT: Mapping[str, str] = MappingProxyType(
    {
        "not reached": "neither",
        "no target": "no target",
        "no runs": "no runs",
        "not recorded": "–",
        "untrained": "–",
        "too short": "too short",
    }
)
"""What stands in a cell without a speedup."""


def heatmaps(material: Material) -> Iterator[Drawing]:
    """Yield a map for each reference that several optimizers are compared with."""
    verdicts = material.verdicts()
    references = list(dict.fromkeys(verdict.reference for verdict in verdicts))
    rows = {name: [v for v in verdicts if v.reference == name] for name in references}
    several = [name for name in references if len(rows[name]) >= LEAST] or references[:1]
    files = file_names(several)
    for name in several or [""]:
        drawing = material.draw(
            "heatmap",
            None,
            f"Speedup over {name} on all problems" if name else "Speedup on all problems",
            f"Speedup over {name} to the target; blue is faster. Hatched cells are inconclusive "
            "by the p-value corrected for all tests of the report. The rank is the mean over "
            "problems, 1 is the fastest.",
            plot_heatmap,
            rows.get(name, []),
            ranks=material.ranks(),
            paper=material.paper,
        )
        yield replace(drawing, name=f"heatmap-{files[name]}") if len(several) > 1 else drawing


FIGURE = heatmaps


def plot_heatmap(
    verdicts: Sequence[Verdict], *, ranks: Ranks | None = None, paper: Paper = PLAIN
) -> Figure:
    """Speedup of several optimizers over one reference: colour by its logarithm.

    A row for each optimizer, that with the best mean rank first, and a column for each problem.
    Cells that the corrected p-value does not decide are hatched.

    Args:
        verdicts: verdicts of at least two optimizers against the same reference.
        ranks: mean ranks at the right, see `comparison.mean_ranks`.
        paper: width and font; the usual width is that of a page. In a column the problems are the
            rows.

    Raises:
        UsageError: fewer than two optimizers, or several references.
    """
    if len(verdicts) < LEAST:
        raise UsageError(
            f"A heat map takes {LEAST} optimizers with one reference; got {len(verdicts)}. Name "
            "one with --reference."
        )
    if len({verdict.reference for verdict in verdicts}) > 1:
        raise UsageError("A heat map takes verdicts of one reference.")
    problems = list(dict.fromkeys(line.problem for v in verdicts for line in v.problems))
    reference = verdicts[0].reference
    mean_rank = {r.optimizer: r.rank for r in ranks.ranks} if ranks is not None else {}
    names = [verdict.optimizer for verdict in verdicts]
    names = sorted([*names, reference], key=lambda name: mean_rank.get(name, math.inf))
    if not mean_rank:
        names = [*(verdict.optimizer for verdict in verdicts), reference]
    table = {v.optimizer: {line.problem: line for line in v.problems} for v in verdicts}
    width = paper.inches(PAGE)
    with paper_style(paper):
        flipped = width == COLUMN  # more rows than columns fit
        rows, columns = (problems, names) if flipped else (names, problems)
        figure = new_figure(width, (0.2 if flipped else ROW) * len(rows) + 1.15)
        axes = style_axes(figure.add_subplot(), paper, grid="")
        axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
        for row, column in np.ndindex(len(rows), len(columns)):
            name, problem = rows[row], columns[column]
            if flipped:
                name, problem = problem, name
            if name == reference:
                _cell(axes, row, column, 0.0, "1×", hatched=False)
            else:
                _draw(axes, row, column, table[name].get(problem))
        _label(axes, rows, columns, reference)
        if mean_rank:
            _write_ranks(axes, names, mean_rank, flipped=flipped)
        _add_bar(figure, axes, verdicts[0].unit, paper)
    return figure


def _draw(axes: Axes, row: int, column: int, line: ProblemComparison | None) -> None:
    """Draw the cell of an optimizer on a problem."""
    if line is None or line.shown_speedup is None:
        text = "no runs" if line is None else SHORT.get(line.speedup_status, "–")
        _cell(axes, row, column, None, text, hatched=False)
        return
    decided = line.speedup_status in ("faster", "slower")
    _cell(
        axes, row, column, math.log2(line.shown_speedup.value), text_of(line), hatched=not decided
    )


def _cell(
    axes: Axes, row: int, column: int, value: float | None, text: str, *, hatched: bool
) -> None:
    """Draw a cell: coloured by a logarithm, or empty, with its text."""
    from matplotlib.patches import Rectangle

    color = (0.96, 0.96, 0.96) if value is None else _color(value)
    box = Rectangle(
        (column, row), 1, 1, facecolor=color, edgecolor="white", linewidth=1.2,
        label="_empty" if value is None else "_cell",
    )  # fmt: skip
    axes.add_patch(box)
    if hatched:
        axes.add_patch(
            Rectangle(
                (column, row),
                1,
                1,
                fill=False,
                edgecolor="#00000055",
                linewidth=0.0,
                hatch="/////",
                label="_hatch",
            )
        )
    light = value is None or sum(color) / 3 > 0.55
    axes.text(
        column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=SMALL,
        color=NUMBER if value is None else "black" if light else "white",
        bbox={"boxstyle": "square,pad=0.15", "facecolor": color, "edgecolor": "none"},
    )  # fmt: skip


def _scale() -> tuple[Any, Any]:
    """Colours and what of a logarithm to base 2 they show."""
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    colors = LinearSegmentedColormap.from_list("speedup", [WORSE, "#F2F2F2", BETTER])
    reach = math.log2(FURTHEST)
    return colors, Normalize(-reach, reach, clip=True)


def _color(value: float) -> tuple[float, float, float]:
    colors, norm = _scale()
    red, green, blue, _ = colors(float(norm(value)))
    return float(red), float(green), float(blue)


def _label(axes: Axes, rows: Sequence[str], columns: Sequence[str], reference: str) -> None:
    """Name rows and columns; the reference is grey."""
    below = name_ticks(axes.xaxis, np.arange(len(columns)) + 0.5, columns)
    for label in below:
        label.set(rotation=30, ha="right", rotation_mode="anchor")
    for label in [*below, *name_ticks(axes.yaxis, np.arange(len(rows)) + 0.5, rows)]:
        if label.get_text() == reference:
            label.set_color(NUMBER)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _write_ranks(
    axes: Axes, names: Sequence[str], mean_rank: dict[str, float], *, flipped: bool
) -> None:
    """Write the mean ranks at the right of their rows, or above their columns."""
    for index, name in enumerate(names):
        if name in mean_rank:
            share = (index + 0.5) / len(names)
            axes.annotate(
                f"{mean_rank[name]:.1f}",
                (share, 1) if flipped else (1, 1 - share),
                xytext=(0, 4) if flipped else (13, 0),
                va="bottom" if flipped else "center",
                xycoords="axes fraction", textcoords="offset points", fontsize=SMALL, ha="center",
            )  # fmt: skip
    axes.annotate(
        "rank", (0, 1) if flipped else (1, 1), xytext=(-4, 4) if flipped else (13, 3),
        ha="right" if flipped else "center", va="bottom", xycoords="axes fraction",
        textcoords="offset points", fontsize=SMALL, color=NUMBER,
    )  # fmt: skip


def _add_bar(figure: Figure, axes: Axes, unit: str, paper: Paper) -> None:
    """Add the colours of the ratios at the right."""
    from matplotlib.cm import ScalarMappable

    from deepobs_runner.figures.log_numbers import number_text

    colors, norm = _scale()
    bar = figure.colorbar(ScalarMappable(norm, colors), ax=axes, aspect=14, pad=0.09, fraction=0.05)
    ends = {-2: "≤¼×", -1: "½×", 0: "1×", 1: "2×", 2: f"≥{number_text(FURTHEST)}×"}
    bar.set_ticks(list(ends), labels=list(ends.values()))
    bar.ax.set_ylabel(f"speedup in {unit.replace('_', ' ')}", fontsize=SMALL, labelpad=2)
    bar.ax.tick_params(labelsize=SMALL, length=2.0, width=0.6, pad=2, labelfontfamily=paper.fonts)
    bar.outline.set_visible(False)
