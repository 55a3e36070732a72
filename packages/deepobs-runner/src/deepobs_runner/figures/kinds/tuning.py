"""What a tuner with a small budget can expect: the best of k random trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from deepobs_runner.figures.axes import one_panel, set_limits, use_ticks
from deepobs_runner.figures.lines import metric_title
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import Look
from deepobs_runner.results.result import RunResult

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST_TRIALS = 3
"""Settings that make a curve."""


def tuning(material: Material) -> Iterator[Drawing]:
    """Yield what k trials can be expected to give on every problem."""
    for problem, listed in material.tuned.items():
        trials = {s.optimizer: candidates(s, material.results[problem]) for s in listed}
        yield material.draw(
            "tuning",
            problem,
            f"Tuning on {problem}",
            "Expected best final value of k settings drawn at random, without replacement, from "
            "those that were tried, and its standard deviation. A trial that failed counts as an "
            "untrained model.",
            plot_tuning,
            problem,
            trials,
            material.looks,
            metric=material.test_metric,
        )


FIGURE = tuning


def plot_tuning(
    problem: str,
    trials: Mapping[str, Sequence[RunResult]],
    looks: Mapping[str, Look],
    *,
    metric: Metric | None = None,
) -> Figure:
    """Return the expected best final value over the number of trials, ± standard deviation.

    The trials are runs of each optimizer at all settings that were tried, by label. Without a
    metric, it is the one by which the problem is judged, on validation examples if every run has
    them.

    Raises:
        UsageError: no optimizer has three trials.
    """
    metric = metric or _tuned_metric([run for runs in trials.values() for run in runs])
    curves = {} if metric is None else tuning_curves(trials, metric)
    if metric is None or not curves:
        raise UsageError(f"{problem}: of no optimizer are there {LEAST_TRIALS} finished trials.")
    names = [_name(label, curve) for label, curve in curves.items()]
    with one_panel(
        names,
        "expected best of k trials ± standard deviation",
        2.2,
        xlabel="Trials k",
        ylabel=f"Best {metric_title(metric).lower()}",
        title=problem,
    ) as (figure, axes, handles):
        _set_view(axes, list(curves.values()))
        for name, (label, curve) in zip(names, curves.items(), strict=True):
            handles.append(_draw(axes, curve, looks[label], name))
    return figure


def tuning_curves(
    trials: Mapping[str, Sequence[RunResult]], metric: Metric
) -> dict[str, TuningCurve]:
    """Return the curve of each optimizer that has three trials."""
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
    untrained = f", {curve.untrained} failed" if curve.untrained else ""
    return f"{label} ({len(curve.expected)} trials{untrained})"


def _set_view(axes: Axes, curves: Sequence[TuningCurve]) -> None:
    """Show all expected values; a loss on a logarithmic axis if they are far apart."""
    values = np.concatenate([curve.expected for curve in curves])
    low, high = float(values.min()), float(values.max())
    most = max(len(curve.expected) for curve in curves)
    axes.set(xscale="log", xlim=(0.93, most * 1.08))
    use_ticks(axes.xaxis, [*(k for k in (1, 2, 3, 5, 10, 20, 50) if k < most / 1.3), most])
    set_limits(axes, low, high, 0.06, log=not curves[0].metric.higher_is_better)


def _draw(axes: Axes, curve: TuningCurve, look: Look, name: str) -> Artist:
    trials = np.arange(1, len(curve.expected) + 1)
    (line,) = axes.plot(
        trials,
        curve.expected,
        **look.options(),
        markevery=0.12,
        zorder=3.0,
        label=name,
    )
    if not look.pale:
        low, high = curve.expected - curve.std, curve.expected + curve.std
        axes.fill_between(trials, low, high, color=look.ink.color, alpha=0.12, linewidth=0)
    return line
