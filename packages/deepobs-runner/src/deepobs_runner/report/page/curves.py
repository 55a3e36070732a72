"""Curves as the page stores them: thinned, rounded, and reduced to median and range."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from deepobs_runner.analysis import Metric, metric_of
from deepobs_runner.analysis.curves import values_by_epoch
from deepobs_runner.analysis.metrics import own_metric
from deepobs_runner.comparison import Target
from deepobs_runner.comparison.time_to_target import progress
from deepobs_runner.config import Unit
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import PANELS, Setting

NUMBERS = 34_000
"""Largest total number of values of all curves; each takes about seven bytes."""

FEWEST, MOST = 24, 200
"""Points of a curve, at least and at most."""

WORTH_SEEDS = 60
"""Points per curve from which on single seeds are stored, too."""

DIGITS = 5
"""Significant digits of a value."""


def compact(value: float | None, best: float = math.nan) -> float | int | None:
    """Number with few digits, None if it is not finite.

    Near the best value further digits stay, so that the gap to it has two.

    >>> compact(0.123456789), compact(87.123456, best=87.1234), compact(3.0), compact(math.inf)
    (0.12346, 87.123456, 3, None)
    """
    if value is None or not math.isfinite(value):
        return None
    if value == 0 or (value == round(value) and abs(value) < 1e6):
        return round(value)
    decimals = DIGITS - 1 - math.floor(math.log10(abs(value)))
    gap = abs(value - best)
    if math.isfinite(gap) and gap > 0:
        decimals = max(decimals, min(1 - math.floor(math.log10(gap)), decimals + 3))
    return float(f"{value:.{decimals}f}") if decimals > 0 else round(value)


def thinned(length: int, most: int) -> np.ndarray:
    """Indices of the points of a curve that are kept, `(k,)`.

    Half of them are evenly spaced, half logarithmically, as curves bend most at their beginning.
    The first and the last are always among them.

    >>> thinned(1000, 6).tolist()
    [0, 1, 32, 500, 999]
    """
    if length <= most:
        return np.arange(length)
    half = most // 2
    log = np.geomspace(1, length - 1, half)
    even = np.linspace(0, length - 1, most - half)
    return np.unique(np.round(np.concatenate([[0], log, even])).astype(int))


def points_of(settings: Sequence[Setting]) -> tuple[int, bool]:
    """Number of points of a curve, and whether those of single seeds are stored."""
    bands = 3 * sum(len(metrics_of(setting.runs)) for setting in settings)
    alone = sum(len(setting.runs) for setting in settings if len(setting.runs) > 1)
    for curves, seeds in ((bands + alone, True), (bands, False)):
        most = NUMBERS // max(curves, 1)
        if most >= WORTH_SEEDS or not seeds:
            return min(max(most, FEWEST), MOST), seeds
    raise AssertionError


def metrics_of(runs: Iterable[RunResult]) -> list[Metric]:
    """Metrics that have a curve, that of the training objective first, the problem's own last."""
    runs = list(runs)
    recorded = [run.records[0]["metrics"] for run in runs if run.records]
    found = [
        Metric(split, name, higher_is_better=name == "accuracy")
        for split, name in PANELS
        if any(name in metrics.get(split, {}) for metrics in recorded)
    ]
    further = own_metric(runs) if found else metric_of(runs)
    return [*found, *([] if further is None else [further])]


def curves_of(
    target: Target | None,
    settings: Sequence[Setting],
    labels: Sequence[str],
    most: int,
    *,
    seeds: bool,
) -> dict[str, Any]:
    """Curves of a problem.

    Args:
        target: target of the problem.
        settings: that have curves; those that are compared have `chosen_by`.
        labels: labels of the optimizers, which settings refer to by index.
        most: points of a curve.
        seeds: whether the curve of each seed is stored for the judged metric.
    """
    runs = [run for setting in settings for run in setting.runs]
    metrics = metrics_of(runs)
    judged = target.metric if target is not None else metric_of(runs)
    tables = [[values_by_epoch(s.runs, metric) for metric in metrics] for s in settings]
    bests = [_best(metric, [row[i][1] for row in tables]) for i, metric in enumerate(metrics)]
    return {
        "metrics": [
            {"name": str(m), "higher": m.higher_is_better, "best": compact(best)}
            for m, best in zip(metrics, bests, strict=True)
        ],
        "judged": metrics.index(judged) if judged in metrics else None,
        "target": None if target is None else compact(target.value),
        "settings": [
            {
                "o": labels.index(setting.optimizer),
                "label": setting.label,
                "source": setting.source,
                "tuned": bool(setting.chosen_by),
                "seeds": [run.config.seed for run in setting.runs],
                **_curve(
                    setting,
                    row,
                    bests,
                    most,
                    metrics.index(judged) if seeds and judged in metrics else None,
                ),
            }
            for setting, row in zip(settings, tables, strict=True)
        ],
    }


def _best(metric: Metric, tables: Sequence[np.ndarray]) -> float:
    """Best finite value of all runs, NaN without one."""
    values = np.concatenate([table.ravel() for table in tables])
    values = values[np.isfinite(values)]
    if not len(values):
        return math.nan
    return float(values.max() if metric.higher_is_better else values.min())


def _curve(
    setting: Setting,
    tables: Sequence[tuple[np.ndarray, np.ndarray]],
    bests: Sequence[float],
    most: int,
    alone: int | None,
) -> dict[str, Any]:
    epochs = tables[0][0] if tables else np.zeros(0)
    at = thinned(len(epochs), most)
    kept = epochs[at]
    bands = [
        _band(table[:, at], best) if np.isfinite(table).any() else None
        for (_, table), best in zip(tables, bests, strict=True)
    ]
    found: dict[str, Any] = {"x": _axes(setting.runs, kept), "bands": bands}
    if alone is not None and len(setting.runs) > 1 and bands[alone] is not None:
        rows = tables[alone][1][:, at].tolist()
        found["runs"] = [[compact(value, bests[alone]) for value in row] for row in rows]
    return found


def _band(table: np.ndarray, best: float) -> list[list[float | int | None]]:
    """Median, lowest and highest of runs `(n, E)` at every point; of one run its values."""
    if len(table) == 1:
        return [[compact(value, best) for value in table[0].tolist()]]
    with warnings.catch_warnings():  # no value without runs
        warnings.simplefilter("ignore", RuntimeWarning)
        rows = (np.nanmedian(table, axis=0), np.nanmin(table, axis=0), np.nanmax(table, axis=0))
    return [[compact(value, best) for value in row.tolist()] for row in rows]


def _axes(runs: Sequence[RunResult], epochs: np.ndarray) -> dict[str, Any]:
    """Positions of the points of a curve in each unit; a number is a factor of the epochs.

    Seconds are the median over seeds. Units that the records do not tell are left out.
    """
    axes: dict[str, Any] = {"epochs": [compact(epoch) for epoch in epochs.tolist()]}
    units: tuple[Unit, ...] = ("steps", "gradient_evaluations", "seconds")
    for unit in units:
        found = [progress(run, unit) for run in runs if run.records]
        if not found or any(entry is None or entry[1] != unit for entry in found):
            continue
        rows = [
            np.interp(epochs, run.epochs(), entry[0], right=np.nan)
            for run, entry in zip([run for run in runs if run.records], found, strict=True)
            if entry is not None
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            axes[unit] = _as_factor(np.nanmedian(rows, axis=0), epochs)
    if "steps" in axes and runs[0].config.batch_size:
        size = runs[0].config.batch_size * runs[0].config.world_size
        steps = axes["steps"]
        axes["examples"] = [s * size for s in steps] if isinstance(steps, list) else steps * size
    return axes


def _as_factor(values: np.ndarray, epochs: np.ndarray) -> Any:
    """Factor by which values are proportional to the epochs, else the values."""
    if len(epochs) and epochs[-1] > 0:
        factor = values[-1] / epochs[-1]
        if np.allclose(values, factor * epochs, rtol=1e-6, atol=1e-9):
            return compact(float(factor))
    return [compact(value) for value in values.tolist()]
