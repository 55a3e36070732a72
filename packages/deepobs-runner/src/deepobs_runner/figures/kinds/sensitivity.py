"""How much the learning rate matters: the final value over the rates, and the good window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from deepobs_runner.analysis import (
    Metric,
    Sensitivity,
    Window,
    candidates,
    metric_of,
    near_best,
    sensitivity_of,
)
from deepobs_runner.config import RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.axes import (
    label_axes,
    legend_below,
    mark,
    new_figure,
    set_limits,
    use_log_scale,
)
from deepobs_runner.figures.lines import metric_title
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import COLUMN, Look, Subject, looks_of, paper_style
from deepobs_runner.results.labels import RATES
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST_RATES = 3
"""Learning rates that make a curve."""


def sensitivity(material: Material) -> Iterator[Drawing]:
    """Yield the final values over the learning rates of every problem."""
    for problem, listed in material.tuned.items():
        grids = {s.optimizer: grid_of(s, material.results[problem]) for s in listed}
        yield material.draw(
            "sensitivity",
            problem,
            f"Learning rates on {problem}",
            "Final value at each learning rate, for the seed that all rates have, else the median "
            "over seeds. A ring is the best rate, a bar spans the rates around it that are at most "
            "5 % worse, a cross is a rate of which a run diverged or whose value is beyond the "
            "panel.",
            plot_sensitivity,
            problem,
            grids,
            metric=material.test_metric,
            looks=material.looks,
        )


FIGURE = sensitivity


def plot_sensitivity(
    problem: str,
    grids: Mapping[str, Sequence[RunResult]],
    *,
    metric: Metric | None = None,
    percent: float = 5.0,
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """Return the final value over the learning rates, on a logarithmic axis.

    The best rate is ringed. Rates of which a run diverged, or whose value is beyond the panel, are
    marked at its edge. A bar below spans the rates that are worse than the best by some percent at
    most. The grids are runs of each optimizer at different learning rates, by label; without a
    metric, it is the one by which the problem is judged.

    Raises:
        UsageError: no optimizer has three learning rates and a finite value.
    """
    metric = metric or metric_of(run for runs in grids.values() for run in runs)
    curves = {} if metric is None else sensitivities(grids, metric)
    if metric is None or not curves:
        raise UsageError(
            f"{problem}: no optimizer was run at {LEAST_RATES} learning rates, or none ends with a "
            "finite value."
        )
    if looks is None:
        subjects = [Subject(grids[label][0].config.optimizer_id.name, False) for label in curves]
        looks = dict(zip(curves, looks_of(subjects), strict=True))
    windows = {label: near_best(curve, percent) for label, curve in curves.items()}
    with paper_style():
        names = [f"{label}{_width_of(windows[label])}" for label in curves]
        title = f"ring: best; bar: within {percent:g} % of it; x: diverged, or beyond the panel"
        legend = legend_below(names, COLUMN, title)
        strip = 0.1 * (len(curves) + 1)
        figure = new_figure(COLUMN, 2.6 + strip + legend.height)
        parts = figure.add_gridspec(2, 1, height_ratios=[1.8, strip])
        axes = figure.add_subplot(parts[0])
        below = figure.add_subplot(parts[1], sharex=axes)
        label_axes(axes, ylabel=f"Final {metric_title(metric).lower()}", title=problem)
        label_axes(below, xlabel="Learning rate")
        use_log_scale(axes, "x")
        _set_view(axes, list(curves.values()))
        handles: list[Artist] = [
            _draw(axes, curve, looks[label], names[row], row)
            for row, (label, curve) in enumerate(curves.items())
        ]
        _draw_windows(below, windows, looks)
        axes.tick_params(labelbottom=False)
        legend.draw(figure, handles)
    return figure


def grid_of(setting: Setting, results: Iterable[RunResult]) -> list[RunResult]:
    """Return the runs that differ from those of a setting in learning rate and seed alone."""
    alike = _without_rate(setting.config)
    return [run for run in candidates(setting, results) if _without_rate(run.config) == alike]


def _without_rate(config: RunConfig) -> RunConfig:
    others = {name: value for name, value in config.hyperparams.items() if name not in RATES}
    return replace(config, hyperparams=others, seed=0)


def sensitivities(
    grids: Mapping[str, Sequence[RunResult]], metric: Metric
) -> dict[str, Sensitivity]:
    """Return the curve of each optimizer that has three rates, and a finite value at one."""
    curves = {label: sensitivity_of(runs, metric) for label, runs in grids.items()}
    return {
        label: curve
        for label, curve in curves.items()
        if np.sum(curve.rates > 0) >= LEAST_RATES and curve.best is not None
    }


def _width_of(window: Window | None) -> str:
    """Return the width of a window in words: the grid says it to within its own steps."""
    if window is None:
        return ""
    if np.isinf(window.decades_at_most):
        return f" (≥ {window.decades:.1f} decades)"
    return f" ({window.decades:.1f} to {window.decades_at_most:.1f} decades)"


def _set_view(axes: Axes, curves: Sequence[Sensitivity]) -> None:
    """Show what is good: of a loss, up to twenty times as far from the best as the median."""
    values = np.concatenate([curve.medians for curve in curves])
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    if not curves[0].metric.higher_is_better:
        high = min(high, low + 20 * (float(np.median(values)) - low)) if len(values) > 2 else high
        high = max(high, low + 1e-9)
    set_limits(axes, low, high, 0.06, log=not curves[0].metric.higher_is_better)


def _draw(axes: Axes, curve: Sensitivity, look: Look, name: str, row: int) -> Artist:
    """Draw one curve with its best rate and what has no place in the panel; return the line.

    The row is that of its crosses, counted from the edge where the worst values are.
    """
    color = look.ink.color
    finite = np.where(np.isfinite(curve.medians), curve.medians, np.nan)
    (line,) = axes.plot(
        curve.rates, finite,
        color=color,
        linestyle=look.line,
        marker=look.ink.marker, markersize=2.8, linewidth=1.1,
        label=name,
    )  # fmt: skip
    beyond = (curve.diverged > 0) | ~(finite <= axes.get_ylim()[1])
    height = 0.03 + 0.04 * row if curve.metric.higher_is_better else 0.97 - 0.04 * row
    axes.plot(
        curve.rates[beyond], np.full(beyond.sum(), height),
        color=color, linestyle="none", marker="x", markersize=3.4, label="_beyond",
        transform=axes.get_xaxis_transform(),
    )  # fmt: skip
    best = curve.best
    if best is not None:
        spot = [curve.rates[best]], [finite[best]]
        mark(axes, *spot, color, "o", markersize=8.0, fillstyle="none", label="_best")
    return line


def _draw_windows(
    axes: Axes, windows: Mapping[str, Window | None], looks: Mapping[str, Look]
) -> None:
    """Draw a bar for each window, one below the other; one of a single rate is a dot."""
    axes.set(yticks=[], ylim=(len(windows) - 0.4, -0.6))
    axes.spines["left"].set_visible(False)
    for row, (label, window) in enumerate(windows.items()):
        if window is not None:
            color = looks[label].ink.color
            axes.plot(
                [window.low, window.high], [row, row], color=color, linewidth=4.0, label="_window"
            )
            ends = [window.low, window.high], [row, row]
            mark(axes, *ends, color, "o", markersize=4.0, label="_ends")
