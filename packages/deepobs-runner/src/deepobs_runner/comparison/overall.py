"""Two optimizers over all problems: probability of being faster and geometric mean speedup."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from deepobs_runner.analysis.t_tests import student
from deepobs_runner.comparison.estimate import Estimate, uncorrected
from deepobs_runner.comparison.problem_comparison import ProblemComparison
from deepobs_runner.comparison.speedup import win_share

IMPROVEMENT = "stratified rank-sum"
SEEDS = "normal, over seeds"
LEAST_FOR_MEAN = 4
"""Smallest number of speedups for a mean."""

LEAST_STRATA = 2
"""Smallest number of problems for a probability of being faster."""


class GeometricMean(NamedTuple):
    """The geometric mean speedup over problems.

    Attributes:
        seeds: the mean, with the interval of what other seeds on these problems would give.
        problems: interval of what other problems of this kind would give, from Student's t.
        leave_one_out: least and greatest mean without one of the problems.
        used: the problems in the mean.
    """

    seeds: Estimate
    problems: tuple[float, float]
    leave_one_out: tuple[float, float]
    used: tuple[str, ...]


def improvement(lines: Sequence[ProblemComparison], level: float) -> Estimate | None:
    """Probability that a run of the optimizer is faster than one of the reference.

    The mean over problems of the share of pairs of runs in which the optimizer reaches the target
    first; ties and pairs of which it is unknown count half, and a run that never reaches it is
    last. The test is the rank-sum test stratified by problem, with equal weights (van Elteren, "On
    the combination of independent two-sample tests of Wilcoxon", Bulletin of the International
    Statistical Institute 37, 1960); Agarwal et al., "Deep Reinforcement Learning at the Edge of the
    Statistical Precipice", NeurIPS 2021, for this probability as a measure.

    Returns:
        None if fewer than two problems have times of both, or no run reaches a target on any.
    """
    sides = [(line.times, line.reference_times) for line in lines]
    pairs = [(a, b) for a, b in sides if a and b and len(a.times) and len(b.times)]
    if len(pairs) < LEAST_STRATA or not any(t.reached.any() for pair in pairs for t in pair):
        return None
    shares = np.array([win_share(*pair) for pair in pairs])
    runs = np.array([(len(a.times), len(b.times)) for a, b in pairs])
    value, low, high, p = improvement_of(shares, runs, level)
    return uncorrected(value, low, high, p=p, level=level, method=IMPROVEMENT)


def improvement_of(
    shares: np.ndarray, runs: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean share, interval and p-value, from shares of won pairs `(..., P)`, `(...)` each.

    The interval holds the probabilities θ for which |mean - θ| is at most z times the standard
    error at θ (a score interval, which has a width even where every pair is won). The variance of a
    share is that of method 5 of Newcombe, "Confidence intervals for an effect size measure based on
    the Mann-Whitney statistic", Statistics in Medicine 25 (2006), part 2; at θ = 0.5 it is the
    variance of the rank sum. Where problems differ, the variance at their mean is the larger.

    Args:
        shares: shares of pairs that are won on each problem.
        runs: number of runs of both optimizers on each problem, `(P, 2)`.
        level: confidence level of the interval.
    """
    mean = shares.mean(axis=-1)
    reach = special.ndtri((1 + level) / 2)
    error = math.sqrt(_share_variance(np.array(0.5), runs))
    p = 2 * special.ndtr(-np.abs(mean - 0.5) / error)
    ends = []
    for side in (-1, 1):  # bisection: the end lies between the mean and 0 or 1
        inside, outside = mean, np.full_like(mean, (1 + side) / 2)
        for _ in range(40):
            middle = (inside + outside) / 2
            kept = np.abs(mean - middle) <= reach * np.sqrt(_share_variance(middle, runs))
            inside, outside = np.where(kept, middle, inside), np.where(kept, outside, middle)
        ends.append(inside)
    return mean, ends[0], ends[1], p


def _share_variance(share: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """Variance of the mean of shares of won pairs over problems, `(...)`."""
    n, m = runs[:, 0], runs[:, 1]
    theta = share[..., None]
    rest = (1 - theta) / (2 - theta) + theta / (1 + theta)
    variance = theta * (1 - theta) * (1 + ((n + m) / 2 - 1) * rest) / (n * m)
    return np.asarray(variance.sum(axis=-1) / len(runs) ** 2)


def geometric_mean(lines: Sequence[ProblemComparison], level: float) -> GeometricMean | None:
    """Geometric mean speedup, where a mean is meaningful.

    The geometric mean is the only one that does not depend on which of the two is the reference
    (Fleming and Wallace, "How not to lie with statistics", CACM 29, 1986). Over seeds, the
    intervals of the problems are combined by their squares: Zou and Donner, "Construction of
    confidence limits about effect measures: a general approach", Statistics in Medicine 27 (2008).

    Returns:
        None unless at least `LEAST_FOR_MEAN` problems and more than half of all have a speedup with
        a two-sided interval, and no two of them are decided for different sides.
    """
    used = [line for line in lines if _counts(line)]
    if len(used) < LEAST_FOR_MEAN or 2 * len(used) <= len(lines):
        return None
    if {"faster", "slower"} <= {line.speedup_status for line in used}:
        return None
    logs = np.log([_numbers(line) for line in used])  # (P, 3): value, low, high
    mean, low, high, p = mean_of_intervals(*logs.T, level=level)
    over_problems = student(logs[:, 0]).interval(level)
    without = [np.delete(logs[:, 0], index).mean() for index in range(len(used))]
    return GeometricMean(
        seeds=uncorrected(*np.exp([mean, low, high]), p=p, level=level, method=SEEDS),
        problems=(math.exp(over_problems[0]), math.exp(over_problems[1])),
        leave_one_out=(math.exp(min(without)), math.exp(max(without))),
        used=tuple(line.problem for line in used),
    )


def mean_of_intervals(
    values: np.ndarray, lows: np.ndarray, highs: np.ndarray, *, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean of independent estimates `(..., P)` with its interval and p-value, `(...)`.

    The p-value is the normal one with the half of the interval that looks to 0 as z standard
    errors, so it is at most 1 - level exactly where the interval leaves out 0.
    """
    count = values.shape[-1]
    mean = values.mean(axis=-1)
    below = np.sqrt(((values - lows) ** 2).sum(axis=-1)) / count
    above = np.sqrt(((highs - values) ** 2).sum(axis=-1)) / count
    error = np.where(mean > 0, below, above) / special.ndtri((1 + level) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * special.ndtr(-np.abs(mean) / error)
    p = np.where(error > 0, p, np.where(mean == 0, 1.0, 0.0))
    return mean, mean - below, mean + above, p


def _counts(line: ProblemComparison) -> bool:
    """Whether a problem has a speedup with a two-sided interval."""
    if line.speedup is None or line.speedup.bound or line.undecided != "inconclusive":
        return False
    return all(0 < number < math.inf for number in _numbers(line))


def _numbers(line: ProblemComparison) -> tuple[float, float, float]:
    found = line.speedup
    return (math.nan,) * 3 if found is None else (found.value, found.low, found.high)
