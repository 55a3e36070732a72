"""The comparison of the DeepOBS paper: a column for each problem, a row for each metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from deepobs_runner.analysis import Metric, metric_of, optimizers_of
from deepobs_runner.analysis.bootstrap import percent
from deepobs_runner.comparison import Target
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.axes import fit_beside, legend_unless, new_figure, style_axes
from deepobs_runner.figures.kinds.curves import LINES_AND_BANDS, scale_text
from deepobs_runner.figures.lines import (
    Curve,
    check_scale,
    curve_of,
    draw_lines,
    metric_at,
    name_lines,
    value_title,
)
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import (
    COLUMN,
    PAGE,
    PLAIN,
    SMALL,
    Look,
    Paper,
    Scale,
    looks_of_settings,
    paper_style,
)
from deepobs_runner.results.settings import Setting

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

PER_PAGE = 4
"""Problems side by side in one figure."""

HEIGHT = 1.35
"""Of a panel with its labels, in inches."""


def comparisons(material: Material) -> Iterator[Drawing]:
    """Yield a comparison of every four problems."""
    names = list(material.tuned)
    for start in range(0, len(names), PER_PAGE):
        page = {problem: material.tuned[problem] for problem in names[start:][:PER_PAGE]}
        drawing = material.draw(
            "comparison",
            None,
            f"Comparison on {', '.join(page)}",
            "Each optimizer at its tuned setting; above the metric by which a problem is judged, "
            f"below the training objective. {scale_text(material.scale)} "
            f"{LINES_AND_BANDS.format(level=percent(material.level))}{material.thin_text} A cross "
            "is where half of the runs had diverged.",
            plot_comparison,
            page,
            looks=material.looks,
            targets=material.targets,
            level=material.level,
            scale=material.scale,
            paper=material.paper,
        )
        several = len(names) > PER_PAGE
        yield replace(drawing, name=f"comparison-{start // PER_PAGE + 1}") if several else drawing


FIGURE = comparisons


def plot_comparison(
    problems: Mapping[str, Sequence[Setting]],
    *,
    looks: Mapping[str, Look] | None = None,
    targets: Mapping[str, Target | None] | None = None,
    level: float = 0.95,
    scale: Scale = "gap",
    paper: Paper = PLAIN,
) -> Figure:
    """Comparison of optimizers at their tuned settings, with the statistic of curves.

    The upper row is the metric by which a problem is judged, the lower one the training objective,
    which is left out where no problem has it. As figures 2 and 3 of Schneider, Balles and Hennig,
    "DeepOBS: A Deep Learning Optimizer Benchmark Suite", ICLR 2019, but medians and their intervals
    in place of means and standard deviations, which reach below 0 on a logarithmic axis.

    Args:
        problems: those of `analysis.tuned_settings`, at most four.
        looks: looks of the optimizers, by label.
        targets: by problem, drawn where they are given.
        level: confidence level of the bands.
        scale: see `plot_curves`.
        paper: width and font; the usual width is that of a page for several problems. In a column
            each of several problems has a row.

    Raises:
        UsageError: no problem, more than four, no finite number, or no such scale.
    """
    check_scale(scale)
    if not 1 <= len(problems) <= PER_PAGE:
        raise UsageError(f"A comparison shows 1 to {PER_PAGE} problems; got {len(problems)}.")
    looks = looks or looks_of_settings(problems)
    panels = {name: _panels(listed, looks, level) for name, listed in problems.items()}
    depth = max(map(len, panels.values()))
    if not depth:
        raise UsageError(f"{', '.join(problems)}: no run has a finite objective or accuracy.")
    drawn = {entry.label for found in panels.values() for panel in found for entry in panel}
    labels = [label for label in optimizers_of(problems) if label in drawn]
    width = paper.inches(PAGE if len(problems) > 1 else COLUMN)
    wide = width > COLUMN
    stacked = wide or len(problems) == 1  # the panels of a problem stand one below the other
    rows, columns = (depth, len(problems)) if stacked else (len(problems), depth)
    beside = fit_beside(labels) and (wide or columns == 1)
    height = HEIGHT if wide else 1.5
    with paper_style(paper):
        figure = new_figure(width, 1.0)
        handles: dict[str, Artist] = {}
        named = False
        for number, (problem, found) in enumerate(panels.items()):
            for level_, panel in enumerate(found):
                row, column = (level_, number) if stacked else (number, level_)
                axes = figure.add_subplot(rows, columns, row * columns + column + 1)
                lowest = level_ == len(found) - 1 if stacked else number == len(problems) - 1
                style_axes(axes, paper, xlabel="Epoch" if lowest else "")
                if level_ == 0:
                    axes.set_title(problem, pad=4, loc="left", fontweight="bold")
                target = None if targets is None else targets.get(problem)
                lines = draw_lines(axes, panel, scale=scale, target=target)
                axes.set_ylabel(value_title(axes, panel[0].band.metric), labelpad=1, fontsize=SMALL)
                handles |= zip((d.label for d in panel), lines, strict=True)
                outer = column == columns - 1
                if beside and outer and not named:
                    name_lines(axes, lines, height - 0.4)
                    named = named or len(lines) == len(labels)
        legend, samples = legend_unless(beside and named, labels, handles, width)
        figure.set_size_inches(width, height * rows + 0.15 + legend.height)
        legend.draw(figure, samples)
    return figure


def _panels(
    listed: Sequence[Setting], looks: Mapping[str, Look], level: float
) -> list[list[Curve]]:
    """Curves of each panel of a problem, from top to bottom, without empty ones."""
    judged = metric_of(run for setting in listed for run in setting.runs)
    metrics = [*([judged] if judged else []), metric_at("train_eval", "objective")]
    found = [_curves(listed, metric, looks, level) for metric in metrics]
    return [curves for curves in found if curves]


def _curves(
    listed: Sequence[Setting], metric: Metric, looks: Mapping[str, Look], level: float
) -> list[Curve]:
    found = (curve_of(s, metric, looks[s.optimizer], s.optimizer, level=level) for s in listed)
    return [curve for curve in found if curve is not None]
