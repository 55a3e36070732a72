"""What a tuner with a small budget can expect: the best of k random trials."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepobs_runner.analysis import (
    Metric,
    TuningCurve,
    candidates,
    expected_best,
    metric_of,
)
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.axes import (
    fit_beside,
    legend_unless,
    new_figure,
    style_axes,
    use_gap_scale,
    use_ticks,
)
from deepobs_runner.figures.lines import gaps_of, metric_title, name_lines
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import COLUMN, PLAIN, Look, Paper, paper_style
from deepobs_runner.results.result import RunResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

LEAST_TRIALS = 3
"""Settings that make a curve."""

HEIGHT = 2.2
"""Of the figure without a legend, in inches."""


def tuning(material: Material) -> Iterator[Drawing]:
    """Yield what k trials can be expected to give on every problem."""
    for problem, listed in material.tuned.items():
        trials = {s.optimizer: candidates(s, material.results[problem]) for s in listed}
        yield material.draw(
            "tuning",
            problem,
            f"Tuning on {problem}",
            "Best final value of k settings drawn at random, without replacement, from those that "
            "were tried: its median, and its quartiles as thin lines, as distance to the best of "
            "all. A trial that diverged or ended worse than it began counts as untrained.",
            plot_tuning,
            problem,
            trials,
            material.looks,
            metric=material.test_metric,
            paper=material.paper,
        )


FIGURE = tuning


def plot_tuning(
    problem: str,
    trials: Mapping[str, Sequence[RunResult]],
    looks: Mapping[str, Look],
    *,
    metric: Metric | None = None,
    paper: Paper = PLAIN,
) -> Figure:
    """Best final value over the number of random trials: median and quartiles.

    The trials are runs of each optimizer at all settings that were tried, by label. Without a
    metric, it is the one by which the problem is judged, on validation examples if every run has
    them. Values are distances to the best of all trials, on a logarithmic axis.

    Raises:
        UsageError: no optimizer has three trials.
    """
    metric = metric or _tuned_metric([run for runs in trials.values() for run in runs])
    curves = {} if metric is None else tuning_curves(trials, metric)
    if metric is None or not curves:
        raise UsageError(f"{problem}: no optimizer has {LEAST_TRIALS} finished trials.")
    names = [_name(label, curve) for label, curve in curves.items()]
    width, beside = paper.inches(COLUMN), fit_beside(names)
    quartiles = {label: _gaps(curve, _best(curves.values())) for label, curve in curves.items()}
    with paper_style(paper):
        figure = new_figure(width, 1.0)
        title = metric_title(metric).lower()
        name = f"best − {title}" if metric.higher_is_better else f"{title} − best"
        axes = style_axes(
            figure.add_subplot(),
            paper,
            xlabel="Trials k",
            ylabel=f"Best of k: {name}",
            title=problem,
        )
        most = max(len(curve.median) for curve in curves.values())
        axes.set(xscale="log", xlim=(0.93, most * 1.08))
        ticks = [k for k in (1, 2, 3, 5, 10, 20, 50, 100, 200) if k < most / 1.3]
        use_ticks(axes.xaxis, [*ticks, most])
        use_gap_scale(axes, np.concatenate([gaps.ravel() for gaps in quartiles.values()]))
        lines = [
            _draw(axes, quartiles[label], looks[label], name)
            for name, label in zip(names, curves, strict=True)
        ]
        if beside:
            name_lines(axes, lines, HEIGHT - 0.45)
        legend, samples = legend_unless(beside, names, dict(zip(names, lines, strict=True)), width)
        figure.set_size_inches(width, HEIGHT + legend.height)
        legend.draw(figure, samples)
    return figure


def _best(curves: Iterable[TuningCurve]) -> float:
    """Best value of all trials: the best of k where k is all of them."""
    curves = list(curves)
    sign = curves[0].metric.sign
    return sign * max(sign * float(curve.median[-1]) for curve in curves)


def _gaps(curve: TuningCurve, best: float) -> np.ndarray:
    """Distances of both quartiles and the median to the best, `(3, trials)`."""
    values = np.array([curve.lower_quartile, curve.median, curve.upper_quartile])
    return gaps_of(values, best, curve.metric)


def tuning_curves(
    trials: Mapping[str, Sequence[RunResult]], metric: Metric
) -> dict[str, TuningCurve]:
    """Curve of each optimizer that has three trials."""
    curves = {label: expected_best(runs, metric) for label, runs in trials.items()}
    return {
        label: curve
        for label, curve in curves.items()
        if curve is not None and len(curve.expected) >= LEAST_TRIALS
    }


def _tuned_metric(runs: Sequence[RunResult]) -> Metric | None:
    held_out = all("valid" in run.records[0]["metrics"] for run in runs)
    return metric_of(runs, "valid" if held_out and runs else "test")


def _name(label: str, curve: TuningCurve) -> str:
    untrained = f", {curve.untrained} untrained" if curve.untrained else ""
    return f"{label}\n{len(curve.expected)} trials{untrained}"


def _draw(axes: Axes, gaps: np.ndarray, look: Look, name: str) -> Line2D:
    """Draw the median and, thin, the quartiles of one optimizer; return the line of the median."""
    low, median, high = gaps
    trials = np.arange(1, len(median) + 1)
    (line,) = axes.plot(trials, median, **look.options(), markevery=0.15, zorder=3.0, label=name)
    for quartile in (low, high):
        axes.plot(trials, quartile, color=look.color, linewidth=0.5, alpha=0.8, label="_quartile")
    if not look.thin:
        axes.fill_between(trials, low, high, color=look.color, alpha=0.10, linewidth=0)
    return line
