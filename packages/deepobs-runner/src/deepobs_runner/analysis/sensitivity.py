"""How much the choice of a learning rate matters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from deepobs_runner.analysis.bootstrap import quantiles
from deepobs_runner.analysis.metrics import (
    Metric,
    Numbers,
    Row,
    is_counted,
    is_diverged,
    ranked,
    value_of,
)
from deepobs_runner.errors import UsageError
from deepobs_runner.results.labels import RATES
from deepobs_runner.results.result import RunResult


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """A metric over the learning rates of an optimizer on a problem; every array is `(rates,)`.

    Attributes:
        metric: metric of the values.
        kind: `final`, or `best` over the evaluations.
        rates: learning rates in increasing order.
        medians: over the seeds of a rate; a diverged run is worse than every other.
        runs: number of runs at each rate.
        diverged: number of diverged runs at each rate.
    """

    metric: Metric
    kind: str
    rates: np.ndarray
    medians: np.ndarray
    runs: np.ndarray
    diverged: np.ndarray

    @property
    def best(self) -> int | None:
        """Index of the best rate, the smallest of several; None if no rate has a finite value."""
        if not np.isfinite(self.medians).any():
            return None
        return int(np.argmax(self.metric.sign * self.medians))

    def rows(self) -> list[Row]:
        """Row for every rate."""
        columns = (self.rates, self.medians, self.runs, self.diverged)
        return [
            {"metric": str(self.metric), "lr": lr, "median": value, "runs": n, "diverged": lost}
            for lr, value, n, lost in zip(*(c.tolist() for c in columns), strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class Window(Numbers):
    """The learning rates around the best that are good.

    Attributes:
        percent: how much worse than the best a rate may be; None: it must reach a target.
        low: smallest rate of the window.
        high: largest rate of it.
        decades: log10(high / low): the least its width can be, as rates between are not known.
        decades_at_most: up to the next rates outside; inf if the grid ends first.
    """

    percent: float | None
    low: float
    high: float
    decades: float
    decades_at_most: float


def rate_of(run: RunResult) -> float | None:
    """Learning rate of a run, None if it has no number of that name."""
    given = run.config.hyperparams
    rate = next((given[name] for name in RATES if name in given), None)
    return float(rate) if isinstance(rate, int | float) else None


def learning_rate_sensitivity(
    results: Iterable[RunResult],
    metric: Metric,
    kind: Literal["final", "best"] = "final",
    *,
    seed: int | None = None,
) -> Sensitivity:
    """Metric over the learning rates, the figure of section 3.2 of the DeepOBS paper.

    Schneider, Balles and Hennig, "DeepOBS", ICLR 2019; Asi and Duchi, "The importance of better
    models in stochastic optimization", PNAS 116 (2019), on how to read such a curve.

    Args:
        results: results of one optimizer on one problem that differ in learning rate and seed;
            those without a learning rate, and those that do not count, are left out.
        metric: what to show.
        kind: final value, or the best over the evaluations.
        seed: seed of the runs to take, where some rates have more seeds than others; None: all.

    Raises:
        UsageError: no such kind.
    """
    of = value_of(kind)
    values: dict[float, list[float]] = {}
    lost: dict[float, int] = {}
    for run in results:
        rate = rate_of(run)
        if rate is None or not is_counted(run):
            continue
        if seed is not None and run.config.seed != seed:
            continue
        values.setdefault(rate, []).append(of(run, metric))
        lost[rate] = lost.get(rate, 0) + is_diverged(run)
    rates = sorted(values)
    medians = [float(quantiles(ranked(np.array(values[r]), metric), [0.5])[0]) for r in rates]
    return Sensitivity(
        metric=metric,
        kind=kind,
        rates=np.array(rates),
        medians=np.array(medians),
        runs=np.array([len(values[rate]) for rate in rates], dtype=int),
        diverged=np.array([lost[rate] for rate in rates], dtype=int),
    )


def sensitivity_of(runs: Sequence[RunResult], metric: Metric) -> Sensitivity:
    """Final values over the learning rates, all from the same seed if need be.

    Where some rates have more seeds than others, which the tuned one usually has, rates are
    compared by the lowest seed that all have; without one, by the medians of what there is.
    """
    curve = learning_rate_sensitivity(runs, metric)
    if len(set(curve.runs.tolist())) <= 1:
        return curve
    seeds: dict[float, set[int]] = {}
    for run in runs:
        rate = rate_of(run)
        if rate is not None and is_counted(run):
            seeds.setdefault(rate, set()).add(run.config.seed)
    common = set.intersection(*seeds.values())
    return learning_rate_sensitivity(runs, metric, seed=min(common)) if common else curve


def near_best(curve: Sensitivity, percent: float = 5.0) -> Window | None:
    """Window of learning rates within some percent of the best.

    The window is the range of neighbouring rates around the best with values worse by at most
    `percent` of the size of the best value; for a metric near 0 that means little.

    Returns:
        None if no rate has a finite value.

    Raises:
        UsageError: percent is below 0.
    """
    if not percent >= 0:
        raise UsageError(f"percent is {percent!r}; it must be a number >= 0.")
    best = curve.best
    if best is None:
        return None
    value = curve.medians[best]
    loss = curve.metric.sign * (value - curve.medians)  # how much worse than the best
    return window_around_best(curve, loss <= abs(value) * percent / 100, percent)


def window_around_best(
    curve: Sensitivity, good: np.ndarray, percent: float | None = None
) -> Window | None:
    """Window of neighbouring learning rates around the best that are good.

    Args:
        curve: over the learning rates.
        good: which of them are, `(rates,)`.
        percent: percent of the window, see `Window`.

    Returns:
        None if the best rate is not good, or no rate has a finite value.
    """
    best = curve.best
    if best is None or not good[best]:
        return None
    first = last = best
    while first > 0 and good[first - 1]:
        first -= 1
    while last + 1 < len(good) and good[last + 1]:
        last += 1
    low, high = float(curve.rates[first]), float(curve.rates[last])
    inside = first > 0 and last + 1 < len(good)
    at_most = math.inf
    if inside:
        at_most = _decades(float(curve.rates[first - 1]), float(curve.rates[last + 1]))
    return Window(
        percent=percent, low=low, high=high, decades=_decades(low, high), decades_at_most=at_most
    )


def _decades(low: float, high: float) -> float:
    return math.log10(high / low) if low > 0 else math.inf if high > low else 0.0
