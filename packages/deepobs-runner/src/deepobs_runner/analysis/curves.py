"""Curves over the seeds of a setting: mean, median, quantiles and a band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from deepobs_runner.analysis.bootstrap import (
    LEAST_FOR_MEDIANS,
    check_level,
    check_resamples,
    quantiles,
    resample_counts,
)
from deepobs_runner.analysis.metrics import Metric, Row, is_diverged
from deepobs_runner.errors import UsageError
from deepobs_runner.results.result import RunResult


@dataclass(frozen=True, kw_only=True)
class Band:
    """A metric over the epochs, and its spread over seeds; every array is `(E,)`.

    Attributes:
        metric: metric of the values.
        epochs: epochs of the evaluations.
        runs: that count at an epoch: they reached it, or had diverged.
        mean: NaN where a run that counts has no finite value.
        std: standard deviation of the values, with ddof 1; NaN for one run, and where the mean is.
        median: a run without a finite value is worse than every other; so are the quartiles.
        lower_quartile: lower quartile of the values.
        upper_quartile: upper quartile of the values.
        low: lower end of the band, pointwise; NaN where there are too few runs for it, or where
            none was asked for.
        high: its upper end.
        center: what the band is about, `mean` or `median`.
        level: confidence level of the band.
    """

    metric: Metric
    epochs: np.ndarray
    runs: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    median: np.ndarray
    lower_quartile: np.ndarray
    upper_quartile: np.ndarray
    low: np.ndarray
    high: np.ndarray
    center: str
    level: float

    def rows(self) -> list[Row]:
        """Row for every epoch."""
        names = ("runs", "mean", "std", "median", "lower_quartile", "upper_quartile", "low", "high")
        columns = [getattr(self, name).tolist() for name in ("epochs", *names)]
        return [
            {"metric": str(self.metric), "epoch": epoch, **dict(zip(names, row, strict=True))}
            for epoch, *row in zip(*columns, strict=True)
        ]


def curve_band(
    runs: Sequence[RunResult],
    metric: Metric,
    *,
    center: Literal["mean", "median"] = "mean",
    level: float = 0.95,
    resamples: int | None = 1000,
    seed: int = 0,
) -> Band | None:
    """Curve of a metric over runs, None if they do not have it.

    The band covers the curve at one epoch, not at all epochs at once. That of the mean is Student's
    interval, from two runs on. That of the median is the percentile bootstrap interval over runs,
    from five on (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13); whole
    runs are resampled, the same ones at every epoch.

    Args:
        runs: runs of one setting, one per seed; they may differ in length.
        metric: what to draw.
        center: statistic the band is about.
        level: confidence level of the band.
        resamples: bootstrap samples of the median; None: no band, `low` and `high` are NaN.
        seed: seed of the bootstrap.

    Raises:
        UsageError: a level outside (0, 1), no resamples, no such center.
    """
    check_level(level)
    if resamples is not None:
        check_resamples(resamples)
    if center not in ("mean", "median"):
        raise UsageError(f"center is {center!r}; allowed: mean, median.")
    epochs, table = values_by_epoch(runs, metric)  # (n, E)
    if not np.isfinite(table).any():
        return None
    present = ~np.isnan(table)
    mean = _means(table)
    std = _std(table, mean)
    lower, median, upper = quantiles(table, [0.25, 0.5, 0.75])
    runs_there = present.sum(axis=0)
    low = high = np.full(len(epochs), np.nan)
    if resamples is not None and center == "mean":
        low, high = _student_band(mean, std, runs_there, level)
    elif resamples is not None and len(table) >= LEAST_FOR_MEDIANS:
        counts = resample_counts(len(table), resamples, seed)
        ends = quantiles(_medians(counts, table), [(1 - level) / 2, (1 + level) / 2])
        low, high = np.where(runs_there < LEAST_FOR_MEDIANS, np.nan, ends)
    return Band(
        metric=metric,
        epochs=epochs,
        runs=runs_there,
        mean=mean,
        std=std,
        median=median,
        lower_quartile=lower,
        upper_quartile=upper,
        low=low,
        high=high,
        center=center,
        level=level,
    )


def values_by_epoch(runs: Sequence[RunResult], metric: Metric) -> tuple[np.ndarray, np.ndarray]:
    """Epochs of all runs, `(E,)`, and the metric of each run there, `(n, E)`.

    NaN where a run has no record; the metric's worst value where it had diverged, also after its
    last record.
    """
    epochs_of = [run.epochs() for run in runs]
    epochs = np.unique(np.concatenate([np.array([], dtype=int), *epochs_of]))
    table = np.full((len(runs), len(epochs)), np.nan)
    for row, run, own in zip(table, runs, epochs_of, strict=True):
        if not run.records:
            continue
        values = run.series(metric.split, metric.name)
        if not np.isfinite(values).any() and not is_diverged(run):
            continue
        at = np.searchsorted(epochs, own)
        row[at] = np.where(np.isfinite(values), values, metric.worst)
        if is_diverged(run):
            row[at[-1] + 1 :] = metric.worst
    return epochs, table


def _means(table: np.ndarray) -> np.ndarray:
    """Mean of each column, `(E,)`; NaN if a value is infinite or missing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.nansum(table, axis=0) / np.sum(~np.isnan(table), axis=0)
    return np.where(np.isfinite(means), means, np.nan)


def _student_band(
    mean: np.ndarray, std: np.ndarray, runs: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Student's interval of each mean, `(E,)`; NaN for fewer than two runs."""
    freedom = np.maximum(runs - 1, 1)
    reach = special.stdtrit(freedom, (1 + level) / 2) * std / np.sqrt(np.maximum(runs, 1))
    return mean - reach, mean + reach


def _std(table: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Standard deviation of each column, `(E,)`; NaN where the mean is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.nansum((table - mean) ** 2, axis=0)
        std = np.sqrt(squares / (np.sum(~np.isnan(table), axis=0) - 1))
    return np.where(np.isfinite(mean), std, np.nan)


def _medians(counts: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Median of each bootstrap sample, `(resamples, E)`; NaN for one without values.

    Values are sorted once for all samples. A sample then counts its draws from the best run to the
    worst, at every epoch at once, and its middle is the run at which half of them are counted.
    """
    n = len(table)
    order = np.argsort(table, axis=0)  # (n, E); NaN is sorted to the end
    values = np.take_along_axis(table, order, axis=0)
    kind = np.min_scalar_type(n)  # small numbers are added many at a time
    draws = np.zeros((n + 1, len(counts)), dtype=kind)  # the last row stands for no run
    draws[:n] = counts.T
    order[np.isnan(values)] = n
    present = (~np.isnan(table)).astype(float)  # as multiplying whole numbers is slow
    total = (present.T @ counts.T.astype(float)).astype(int)  # (E, resamples)
    lower, upper = (np.maximum(total - 1, 0) // 2).astype(kind), (total // 2).astype(kind)
    counted, first, second = (np.zeros(total.shape, dtype=kind) for _ in range(3))
    for runs in order:  # (E,): the next run of each epoch
        counted += draws[runs]
        first += counted <= lower
        second += counted <= upper
    columns = np.arange(table.shape[1])[:, None]
    low, high = (values[np.minimum(place, n - 1), columns] for place in (first, second))
    with np.errstate(invalid="ignore"):
        middle = np.where(low == high, low, (low + high) / 2)
    return np.where(total > 0, middle, np.nan).T
