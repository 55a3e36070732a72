"""What a tuner with a small budget can expect of an optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from deepobs_runner.analysis.metrics import Metric, Row, final_value, is_counted
from deepobs_runner.results.result import RunResult, without_copies
from deepobs_runner.results.settings import trials_of


@dataclass(frozen=True, kw_only=True)
class TuningCurve:
    """The best of k random trials; every array is `(trials,)`, for k = 1, 2, ….

    Attributes:
        metric: metric of the values.
        expected: mean of the best of k.
        std: its standard deviation over draws of the k trials.
        lower_quartile: lower quartile of the best of k over draws: a quarter of them is lower.
        median: median of the best of k.
        upper_quartile: upper quartile of the best of k.
        epochs: expected cost of k trials; each is expected to cost the mean of all.
        untrained: trials that diverged or ended worse than they began, and count as untrained.
    """

    metric: Metric
    expected: np.ndarray
    std: np.ndarray
    lower_quartile: np.ndarray
    median: np.ndarray
    upper_quartile: np.ndarray
    epochs: np.ndarray
    untrained: int

    def rows(self) -> list[Row]:
        """Row for every number of trials."""
        return [
            {"metric": str(self.metric), "trials": k, "expected": mean, "std": std, "epochs": cost}
            for k, (mean, std, cost) in enumerate(
                zip(self.expected.tolist(), self.std.tolist(), self.epochs.tolist(), strict=True),
                start=1,
            )
        ]


def first_trials(results: Iterable[RunResult]) -> list[RunResult]:
    """Trial of each setting that was tried: of its runs that count the first."""
    return [runs[0] for runs in trials_of(without_copies(filter(is_counted, results)))]


def trial_value(run: RunResult, metric: Metric) -> tuple[float, bool]:
    """Value of a trial for a tuner, and whether it counts as untrained.

    A tuner can always hand back the untrained model, so a trial that diverged or ended worse than
    it began counts with its value before training; NaN without one.
    """
    before = run.series(metric.split, metric.name)[0]
    after = final_value(run, metric)
    if not math.isfinite(after) or metric.sign * after < metric.sign * before:
        return float(before), True
    return float(after), False


def expected_best(results: Iterable[RunResult], metric: Metric) -> TuningCurve | None:
    """Expected best final value of k of the settings tried, for every k.

    Dodge, Gururangan, Card, Schwartz and Smith, "Show Your Work: Improved Reporting of Experimental
    Results", EMNLP 2019, but without replacement, which does not pretend that there were more
    settings than were tried: the chance that the best of k is at most the i-th of n values is
    C(i, k) / C(n, k); Tang, Lee, Xin, Liu, Yu and Lin, "Showing Your Work Doesn't Always Work", ACL
    2020.

    Args:
        results: all trials of one optimizer on one problem.
        metric: what is tuned.

    Returns:
        None without a trial that has the metric.
    """
    trials = first_trials(results)
    found = [trial_value(run, metric) for run in trials]
    known = [i for i, (value, _) in enumerate(found) if math.isfinite(value)]
    if not known:
        return None
    values = np.array([found[i][0] for i in known])
    cost = float(np.mean([trials[i].epochs()[-1] for i in known]))
    ascending = np.sort(metric.sign * values)  # the last is the best
    n = len(ascending)
    chances = np.array([best_of(n, k) for k in range(1, n + 1)])  # (k, n)
    mean = chances @ ascending
    variance = chances @ (ascending - ascending.mean()) ** 2 - (mean - ascending.mean()) ** 2
    quartiles = (_quantiles(ascending, chances, level) for level in (0.25, 0.5, 0.75))
    low, median, high = sorted((metric.sign * q for q in quartiles), key=lambda q: float(q.sum()))
    return TuningCurve(
        metric=metric,
        expected=metric.sign * mean,
        std=np.sqrt(np.maximum(variance, 0.0)),
        lower_quartile=low,
        median=median,
        upper_quartile=high,
        epochs=cost * np.arange(1, n + 1),
        untrained=sum(untrained for _, untrained in found),
    )


def _quantiles(ascending: np.ndarray, chances: np.ndarray, level: float) -> np.ndarray:
    """Smallest value that is at least as good with this chance, for every k, `(k,)`."""
    below = np.cumsum(chances, axis=1)  # (k, n)
    return np.asarray(ascending[np.argmax(below >= level - 1e-12, axis=1)])


def best_of(n: int, k: int) -> np.ndarray:
    """Chance that the i-th smallest of n values is the largest of k drawn, `(n,)`.

    >>> best_of(3, 2).round(3).tolist()
    [0.0, 0.333, 0.667]
    """
    below = [math.comb(i, k) / math.comb(n, k) for i in range(n + 1)]
    return np.diff(below)


def expected_search(lengths: np.ndarray, times: np.ndarray, reached: np.ndarray) -> float:
    """Expected cost of trying settings at random until one reaches the target.

    Trials run one after another, without replacement. Each trial costs its full length, except the
    successful one, which costs its time to target. Of n trials of which m reach it, (n - m) /
    (m + 1) others are expected before the first of these (negative hypergeometric distribution).

    >>> expected_search(np.array([10.0, 10.0, 10.0]), np.array([10.0, 4.0, 10.0]),
    ...                 np.array([False, True, False]))
    14.0

    Args:
        lengths: lengths of the trials, `(n,)`.
        times: times to target of the trials that reach it, `(n,)`.
        reached: mask of trials that reach the target, `(n,)`.

    Returns:
        Expected cost; infinite if no trial reaches the target, NaN without trials.
    """
    if not len(reached):
        return math.nan
    if not reached.any():
        return math.inf
    others = lengths[~reached]
    before = len(others) / (reached.sum() + 1)
    return float((before * others.mean() if len(others) else 0.0) + times[reached].mean())
