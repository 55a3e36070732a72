"""The comparison of the DeepOBS paper: a column for each problem, a row for each metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from deepobs_runner.analysis import Metric, curve_band, optimizers_of
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.axes import label_axes, legend_below, new_figure
from deepobs_runner.figures.lines import (
    BEYOND,
    Curve,
    draw_lines,
    legend_title,
    metric_at,
    metric_title,
)
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import COLUMN, PAGE, Look, looks_of_settings, paper_style
from deepobs_runner.results.settings import Setting

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRICS = tuple(
    metric_at(split, name) for name in ("objective", "accuracy") for split in ("test", "train_eval")
)
"""From top to bottom, as in the paper."""

PER_PAGE = 4
"""Problems side by side in one figure."""


def comparisons(material: Material) -> Iterator[Drawing]:
    """Yield a comparison of every four problems."""
    names = list(material.tuned)
    for start in range(0, len(names), PER_PAGE):
        page = {problem: material.tuned[problem] for problem in names[start:][:PER_PAGE]}
        drawing = material.draw(
            "comparison",
            None,
            f"Comparison on {', '.join(page)}",
            "Each optimizer at its tuned setting: mean over seeds, and standard deviation (ddof 1) "
            f"shaded{material.but_for_pale}. {BEYOND} a cross is where a run of the setting "
            "diverged.",
            plot_comparison,
            page,
            looks=material.looks,
        )
        several = len(names) > PER_PAGE
        yield replace(drawing, name=f"comparison-{start // PER_PAGE + 1}") if several else drawing


FIGURE = comparisons


def plot_comparison(
    problems: Mapping[str, Sequence[Setting]], *, looks: Mapping[str, Look] | None = None
) -> Figure:
    """Return the comparison of optimizers at their tuned settings, mean ± standard deviation.

    Schneider, Balles and Hennig, "DeepOBS: A Deep Learning Optimizer Benchmark Suite", ICLR 2019,
    figures 2 and 3. A row that no problem has is left out. The problems are those of
    `analysis.tuned_settings`, at most four.

    Raises:
        UsageError: no problem, more than four, or no finite number.
    """
    if not 1 <= len(problems) <= PER_PAGE:
        raise UsageError(f"A comparison shows 1 to {PER_PAGE} problems, not {len(problems)}.")
    looks = looks or looks_of_settings(problems)
    panels = {
        (metric, problem): _curves(listed, metric, looks)
        for metric in METRICS
        for problem, listed in problems.items()
    }
    rows = [m for m in METRICS if any(panels[m, problem] for problem in problems)]
    if not rows:
        raise UsageError(f"{', '.join(problems)}: no run has a finite objective or accuracy.")
    lowest = {problem: m for m in rows for problem in problems if panels[m, problem]}
    drawn = {entry.label for panel in panels.values() for entry in panel}
    labels = [label for label in optimizers_of(problems) if label in drawn]
    width = PAGE if len(problems) > 1 else COLUMN
    with paper_style():
        every = [entry for panel in panels.values() for entry in panel]
        legend = legend_below(labels, width, legend_title(every, "std"))
        figure = new_figure(width, 1.35 * len(rows) + 0.3 + legend.height)
        handles: dict[str, Artist] = {}
        for number, (metric, problem) in enumerate(product(rows, problems)):
            axes = figure.add_subplot(len(rows), len(problems), number + 1)
            label_axes(
                axes,
                xlabel="Epoch" if metric == lowest.get(problem) else "",
                ylabel=metric_title(metric) if number % len(problems) == 0 else "",
                title=problem if metric == rows[0] else "",
            )
            panel = panels[metric, problem]
            if panel:
                handles |= zip(
                    (d.label for d in panel), draw_lines(axes, panel, "std"), strict=True
                )
            else:
                _leave_empty(axes, metric)
        figure.align_ylabels(figure.axes[:: len(problems)])
        legend.draw(figure, [handles[label] for label in labels])
    return figure


def _curves(listed: Sequence[Setting], metric: Metric, looks: Mapping[str, Look]) -> list[Curve]:
    bands = [(s.optimizer, curve_band(s.runs, metric, resamples=None)) for s in listed]
    return [Curve(band, looks[label], label) for label, band in bands if band is not None]


def _leave_empty(axes: Axes, metric: Metric) -> None:
    """Say that a problem does not have a metric."""
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set(xticks=[], yticks=[])
    axes.text(
        0.5, 0.5, f"no {metric.name}", ha="center", va="center", color="0.5",
        transform=axes.transAxes,
    )  # fmt: skip
