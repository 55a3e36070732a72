"""Batch-size scaling: steps to the target over the batch size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepobs_runner.analysis import candidates
from deepobs_runner.analysis.bootstrap import percent
from deepobs_runner.comparison import Target, times_to_target
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.axes import (
    fit_beside,
    legend_unless,
    mark,
    new_figure,
    style_axes,
    use_log_scale,
    use_ticks,
)
from deepobs_runner.figures.lines import name_lines
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import COLUMN, PLAIN, SMALL, Look, Paper, paper_style
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import settings_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

LEAST_SIZES = 3
"""Smallest number of batch sizes for a line."""

HEIGHT = 2.2
"""Of the figure without a legend, in inches."""


def batch_size(material: Material) -> Iterator[Drawing]:
    """Yield the steps to the target over the batch size on every problem."""
    for problem, listed in material.tuned.items():
        runs = {s.optimizer: candidates(s, material.results[problem]) for s in listed}
        target = material.targets[problem]
        goal = f" The target, {target}, is the {target.source}." if target else ""
        yield material.draw(
            "batch-size",
            problem,
            f"Batch sizes on {problem}",
            "Median steps to the target at the setting that is the fastest at each batch size, "
            f"with {percent(material.level)} intervals. The dotted line halves the steps where "
            "the batch doubles; a hollow triangle is a batch size at which no setting reaches the "
            f"target.{goal}",
            plot_batch_size,
            problem,
            runs,
            target,
            material.looks,
            level=material.level,
            paper=material.paper,
        )


FIGURE = batch_size


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The steps to a target of one optimizer at each batch size; every array is `(sizes,)`.

    Attributes:
        sizes: sizes of the batches, in increasing order.
        steps: median over the seeds of the fastest setting; inf where none reaches the target.
        low: lower end of its interval; NaN where it is not known.
        high: upper end of it.
        longest: steps of the longest run, after which nothing is known.
    """

    sizes: np.ndarray
    steps: np.ndarray
    low: np.ndarray
    high: np.ndarray
    longest: np.ndarray


def plot_batch_size(
    problem: str,
    runs: Mapping[str, Sequence[RunResult]],
    target: Target | None,
    looks: Mapping[str, Look],
    *,
    level: float = 0.95,
    paper: Paper = PLAIN,
) -> Figure:
    """Steps to the target over the batch size, both logarithmic.

    Shallue, Lee, Antognini, Sohl-Dickstein, Frostig and Dahl, "Measuring the effects of data
    parallelism on neural network training", JMLR 20 (2019).

    Args:
        problem: its name, the title.
        runs: runs of each optimizer, by label: at several batch sizes, and at each at several
            learning rates at best, as another batch size takes another rate.
        target: what runs have to reach.
        looks: looks of the optimizers, by label.
        level: confidence level of the intervals over seeds.
        paper: width and font.

    Raises:
        UsageError: no target, or no optimizer that reaches it at three batch sizes.
    """
    if target is None:
        raise UsageError(f"{problem}: no target: no official value, and no runs of Adam.")
    found = {label: steps_by_size(listed, target, level) for label, listed in runs.items()}
    curves = {
        label: steps
        for label, steps in found.items()
        if np.isfinite(steps.steps).sum() >= LEAST_SIZES
    }
    if not curves:
        raise UsageError(
            f"{problem}: no optimizer reaches the target, {target}, at {LEAST_SIZES} batch sizes. "
            "Run some with --batch-size, at several learning rates each."
        )
    width, beside = paper.inches(COLUMN), fit_beside(list(curves))
    with paper_style(paper):
        figure = new_figure(width, 1.0)
        axes = style_axes(
            figure.add_subplot(),
            paper,
            xlabel="Batch size",
            ylabel="Steps to the target",
            title=problem,
        )
        use_log_scale(axes, "x")
        use_log_scale(axes)
        sizes = sorted({int(size) for steps in curves.values() for size in steps.sizes})
        use_ticks(axes.xaxis, sizes[:: -(-len(sizes) // 7)])
        axes.set_xlim(sizes[0] / 1.15, sizes[-1] * 1.15)
        lines = [_draw(axes, steps, looks[label], label) for label, steps in curves.items()]
        _draw_perfect(axes, curves)
        if beside:
            name_lines(axes, lines, HEIGHT - 0.45)
        handles = dict(zip(curves, lines, strict=True))
        legend, samples = legend_unless(beside, list(curves), handles, width)
        figure.set_size_inches(width, HEIGHT + legend.height)
        legend.draw(figure, samples)
    return figure


def steps_by_size(runs: Sequence[RunResult], target: Target, level: float = 0.95) -> Steps:
    """Steps to a target at each batch size, those of the fastest setting there."""
    best: dict[int, tuple[float, float, float]] = {}
    longest: dict[int, float] = {}
    for setting in settings_of(runs):
        times = times_to_target(setting.runs, target, "steps")
        size = setting.config.batch_size
        if size is None or not len(times.times):
            continue
        median = times.median
        longest[size] = max(longest.get(size, 0.0), float(times.times.max()))
        if size not in best or median < best[size][0]:
            best[size] = (median, *times.median_interval(level=level))
    sizes = sorted(best)
    columns = np.array([best[size] for size in sizes]).reshape(-1, 3)
    return Steps(
        sizes=np.array(sizes, dtype=float),
        steps=columns[:, 0],
        low=columns[:, 1],
        high=columns[:, 2],
        longest=np.array([longest[size] for size in sizes]),
    )


def _draw(axes: Axes, steps: Steps, look: Look, label: str) -> Line2D:
    """Draw one optimizer with its intervals; return its line."""
    finite = np.isfinite(steps.steps)
    drawn = np.where(finite, steps.steps, np.nan)
    (line,) = axes.plot(steps.sizes, drawn, **look.options(), label=label, zorder=3.0)
    for size, low, high in zip(steps.sizes, steps.low, steps.high, strict=True):
        if math.isfinite(low) and math.isfinite(high):
            axes.plot([size, size], [low, high], color=look.color, linewidth=1.0, label="_interval")
    never = ~finite
    mark(axes, steps.sizes[never], steps.longest[never], look.color, "^", markersize=4.5,
         markerfacecolor="white", label="_bound")  # fmt: skip
    return line


def _draw_perfect(axes: Axes, curves: Mapping[str, Steps]) -> None:
    """Draw the line of perfect scaling through the fewest steps at the smallest batch."""
    first = min(float(steps.sizes[np.isfinite(steps.steps)][0]) for steps in curves.values())
    there = [
        float(steps.steps[index])
        for steps in curves.values()
        for index in np.flatnonzero((steps.sizes == first) & np.isfinite(steps.steps))
    ]
    limits, (left, right) = axes.get_ylim(), axes.get_xlim()
    sizes = np.array([left, right])
    steps = min(there) * first / sizes
    axes.plot(sizes, steps, color="black", linewidth=0.7, linestyle=":", label="_perfect")
    axes.set_ylim(min(limits[0], max(steps[1], limits[0] / 3)), limits[1])
    axes.annotate(
        "steps ∝ 1 / batch size", (0.03, 0.04), xycoords="axes fraction", fontsize=SMALL,
        color="black",
    )  # fmt: skip
