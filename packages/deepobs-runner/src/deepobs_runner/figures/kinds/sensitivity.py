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
    sensitivity_of,
)
from deepobs_runner.comparison import Target, reaching_window
from deepobs_runner.config import RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.axes import (
    fit_beside,
    legend_unless,
    mark,
    new_figure,
    style_axes,
    use_gap_scale,
    use_log_scale,
)
from deepobs_runner.figures.lines import draw_target, gaps_of, metric_title
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import (
    COLUMN,
    PLAIN,
    SMALL,
    Look,
    Paper,
    Subject,
    looks_of,
    paper_style,
    text_color,
)
from deepobs_runner.results.labels import RATES
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

LEAST_RATES = 3
"""Learning rates that make a curve."""

HEIGHT = 1.7
"""Of the upper panel, in inches."""


def sensitivity(material: Material) -> Iterator[Drawing]:
    """Yield the final values over the learning rates of every problem."""
    for problem, listed in material.tuned.items():
        grids = {s.optimizer: grid_of(s, material.results[problem]) for s in listed}
        yield material.draw(
            "sensitivity",
            problem,
            f"Learning rates on {problem}",
            "Distance of the final value at each learning rate to the best final value, for the "
            "seed that all rates have, else the median over seeds. A ring is the best rate of an "
            "optimizer, a bar below spans the rates around it that reach the target (dashed "
            "line), a cross at the upper edge is a rate of which a run diverged.",
            plot_sensitivity,
            problem,
            grids,
            metric=material.test_metric,
            target=material.targets[problem],
            looks=material.looks,
            paper=material.paper,
        )


FIGURE = sensitivity


def plot_sensitivity(
    problem: str,
    grids: Mapping[str, Sequence[RunResult]],
    *,
    metric: Metric | None = None,
    target: Target | None = None,
    looks: Mapping[str, Look] | None = None,
    paper: Paper = PLAIN,
) -> Figure:
    """Gap of the final value to the best over the learning rates, both logarithmic.

    The best rate is ringed. Rates of which a run diverged are crosses at the upper edge, and no
    line leads to them. A bar below spans the rates around the best that reach the target; without a
    target, those that are at most 5 % worse. The grids are runs of each optimizer at different
    learning rates, by label; without a metric, it is the one by which the problem is judged.

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
    windows = {
        label: reaching_window(curve, grids[label], target) for label, curve in curves.items()
    }
    width, beside = paper.inches(COLUMN), fit_beside(list(curves))
    best = _best(list(curves.values()))
    strip = 0.12 * len(curves) + 0.05
    with paper_style(paper):
        figure = new_figure(width, 1.0)
        parts = figure.add_gridspec(2, 1, height_ratios=[HEIGHT, strip])
        axes = figure.add_subplot(parts[0])
        below = figure.add_subplot(parts[1], sharex=axes)
        style_axes(axes, paper, ylabel=_gap_name(metric), title=problem)
        style_axes(below, paper, xlabel="Learning rate", grid="x")
        use_log_scale(axes, "x")
        gaps = {label: gaps_of(curve.medians, best, metric) for label, curve in curves.items()}
        use_gap_scale(axes, np.concatenate(list(gaps.values())), 0.1)
        lines = [
            _draw(axes, curve, gaps[label], looks[label], label, row)
            for row, (label, curve) in enumerate(curves.items())
        ]
        if target is not None and target.metric == metric:
            draw_target(axes, float(gaps_of(np.array(target.value), best, metric)))
        _draw_windows(below, windows, looks)
        axes.tick_params(labelbottom=False)
        if beside:
            _name_windows(below, curves, looks)
        legend, samples = legend_unless(
            beside, list(curves), dict(zip(curves, lines, strict=True)), width
        )
        figure.set_size_inches(width, HEIGHT + 0.6 + strip + legend.height)
        legend.draw(figure, samples)
    return figure


def _gap_name(metric: Metric) -> str:
    """Label of the vertical axis.

    >>> _gap_name(Metric("test", "accuracy", higher_is_better=True))
    'Best − final test accuracy'
    """
    title = metric_title(metric).lower()
    return f"Best − final {title}" if metric.higher_is_better else f"Final {title} − best"


def _best(curves: Iterable[Sensitivity]) -> float:
    """Best final value of all optimizers."""
    curves = list(curves)
    values = np.concatenate([curve.medians for curve in curves])
    values = values[np.isfinite(values)]
    return float(values.max() if curves[0].metric.higher_is_better else values.min())


def grid_of(setting: Setting, results: Iterable[RunResult]) -> list[RunResult]:
    """Runs that differ from those of a setting in learning rate and seed alone.

    A winner was retrained on the validation examples that its trials held out.
    """
    alike = _without_rate(setting.config)
    return [run for run in candidates(setting, results) if _without_rate(run.config) == alike]


def _without_rate(config: RunConfig) -> RunConfig:
    others = {name: value for name, value in config.hyperparams.items() if name not in RATES}
    return replace(config, hyperparams=others, seed=0, valid_size=0)


def sensitivities(
    grids: Mapping[str, Sequence[RunResult]], metric: Metric
) -> dict[str, Sensitivity]:
    """Curve of each optimizer that has three rates, and a finite value at one."""
    curves = {label: sensitivity_of(runs, metric) for label, runs in grids.items()}
    return {
        label: curve
        for label, curve in curves.items()
        if np.sum(curve.rates > 0) >= LEAST_RATES and curve.best is not None
    }


def _draw(
    axes: Axes, curve: Sensitivity, gaps: np.ndarray, look: Look, name: str, row: int
) -> Line2D:
    """Draw one curve with its best rate, and the rates that diverged; return the line.

    The row is that of its crosses, counted from the upper edge.
    """
    failed = (curve.diverged > 0) | ~np.isfinite(gaps)
    drawn = np.where(failed, np.nan, gaps)
    options = look.options() | {"markersize": 3.0, "linewidth": 1.0 if look.thin else 1.2}
    (line,) = axes.plot(curve.rates, drawn, **options, label=name)
    axes.plot(
        curve.rates[failed], np.full(failed.sum(), 0.97 - 0.045 * row),
        color=look.color, linestyle="none", marker="x", markersize=3.2, label="_beyond",
        transform=axes.get_xaxis_transform(),
    )  # fmt: skip
    best = curve.best
    if best is not None:
        mark(axes, [curve.rates[best]], [gaps[best]], look.color, "o", markersize=7.5,
             fillstyle="none", markeredgewidth=0.9, label="_best")  # fmt: skip
    return line


def _draw_windows(
    axes: Axes, windows: Mapping[str, Window | None], looks: Mapping[str, Look]
) -> None:
    """Draw a bar for each window, one below the other; one of a single rate is a dot."""
    axes.set(yticks=[], ylim=(len(windows) - 0.4, -0.6))
    axes.spines["left"].set_visible(False)
    for row, (label, window) in enumerate(windows.items()):
        if window is not None:
            color = looks[label].color
            axes.plot(
                [window.low, window.high], [row, row], color=color, linewidth=2.5, label="_window"
            )
            ends = [window.low, window.high], [row, row]
            mark(axes, *ends, color, looks[label].ink.marker, markersize=4.0, label="_ends")


def _name_windows(axes: Axes, curves: Mapping[str, Sensitivity], looks: Mapping[str, Look]) -> None:
    """Write the name of each optimizer at the right of its bar."""
    for row, label in enumerate(curves):
        axes.annotate(
            label, (1.0, row), xycoords=("axes fraction", "data"), xytext=(5, 0),
            textcoords="offset points", fontsize=SMALL, va="center",
            color=text_color(looks[label].color), annotation_clip=False,
        )  # fmt: skip
