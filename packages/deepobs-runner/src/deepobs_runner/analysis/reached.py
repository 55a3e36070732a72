"""The hardest value that runs reach, and keep, within a part of their length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepobs_runner.analysis.bootstrap import quantiles
from deepobs_runner.analysis.metrics import Metric, is_counted, is_diverged
from deepobs_runner.results.result import RunResult

WINDOW = 5
"""Evaluations of which the majority meets a target that is reached: one, and the next four."""


def kept_values(values: np.ndarray, metric: Metric) -> np.ndarray:
    """Hardest target that each evaluation reaches, `(n,)`.

    An evaluation reaches a target that it meets, and that the majority of it and the next four
    meets; near the end: the majority of those left. A value that is not finite meets none.

    >>> accuracy = Metric("test", "accuracy", higher_is_better=True)
    >>> kept_values(np.array([0.1, 0.9, 0.5, 0.6, 0.7, 0.8]), accuracy).tolist()
    [0.1, 0.7, 0.5, 0.6, 0.7, 0.8]
    """
    merits = np.where(np.isfinite(values), metric.sign * values, -np.inf)
    left = np.minimum(WINDOW, np.arange(len(merits), 0, -1))  # evaluations in each window
    padded = np.append(merits, np.full(WINDOW - 1, np.nan))  # sorted behind all others
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(padded, WINDOW), axis=1)  # (n, 5)
    middle = windows[np.arange(len(merits)), (left - 1) // 2]
    return np.asarray(metric.sign * np.minimum(merits, middle))


def kept_of(run: RunResult, metric: Metric) -> np.ndarray:
    """Hardest target that each evaluation of a run reaches, see `kept_values`, `(n,)`.

    After a divergence no further evaluation would have met it.
    """
    values = run.series(metric.split, metric.name)
    after = np.full(WINDOW - 1 if is_diverged(run) else 0, np.nan)
    return kept_values(np.append(values, after), metric)[: len(values)]


def reached_within(run: RunResult, metric: Metric, epochs: float) -> float:
    """Hardest target that a run reaches at some evaluation within a number of epochs.

    The value before training does not count, and the first evaluation after it always does, so that
    a run of one epoch reaches something. A run that diverged counts with what it reached before.

    Returns:
        What is worse than any number if nothing is reached.
    """
    ends = run.epochs()
    trained = ends > 0
    if not trained.any():
        return metric.worst
    allowed = trained & (ends <= max(epochs, float(ends[trained][0])))
    return float(metric.sign * (metric.sign * kept_of(run, metric)[allowed]).max())


def median_reached(runs: Sequence[RunResult], metric: Metric, share: float, epochs: float) -> float:
    """Value that half of the runs reach within a share of a number of epochs.

    Args:
        runs: runs of one setting, one per seed; those that do not count are ignored.
        metric: metric of the value.
        share: share of the epochs, above 0 and at most 1.
        epochs: that the runs were planned for; a share of them is allowed.

    Returns:
        What is worse than any number if less than half reach anything, or no run counts.
    """
    reached = [reached_within(run, metric, share * epochs) for run in runs if is_counted(run)]
    return float(quantiles(np.array(reached), [0.5])[0]) if reached else metric.worst
