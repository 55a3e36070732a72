"""Exact rank tests of one and two samples, the shifts they do not reject, Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from deepobs_runner.analysis.bootstrap import check_level

EXACT = 60
"""Runs of both sides up to which the distribution of the rank sum is counted, not approximated."""

HUGE = 1e200
"""Stands for infinity where averages are taken; larger than any difference of losses."""


def signed_rank_distribution(ranks: np.ndarray) -> np.ndarray:
    """Return the chance of each sum of the ranks of positive differences, `(2 Σ ranks + 1,)`.

    Under the hypothesis every difference is as likely positive as negative. Entry s belongs to a
    sum of s / 2, as ranks of ties are halves.
    """
    chances = np.ones(1)
    for rank in np.rint(2 * ranks).astype(int):
        longer = np.zeros(len(chances) + rank)
        longer[: len(chances)] += chances / 2
        longer[rank:] += chances / 2
        chances = longer
    return chances


def signed_rank_p(differences: np.ndarray) -> float:
    """Return the two-sided p-value of the exact Wilcoxon signed-rank test.

    Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1 (1945). Zeros are
    left out, ties get the mean of their ranks, and the distribution is that of all sign changes of
    these ranks, so it is exact with ties too. Infinite differences rank above all others.
    """
    kept = differences[differences != 0]
    if not len(kept):
        return 1.0
    ranks = stats.rankdata(np.abs(kept))
    chances = signed_rank_distribution(ranks)
    observed = round(2 * float(ranks[kept > 0].sum()))
    tail = min(chances[: observed + 1].sum(), chances[observed:].sum())
    return float(min(1.0, 2 * tail))


def rank_sum_distribution(ranks: np.ndarray, count: int) -> np.ndarray:
    """Return the chance of each sum of `count` of the ranks, drawn at random, `(2 Σ ranks + 1,)`.

    Entry s belongs to a sum of s / 2, as ranks of ties are halves.
    """
    doubled = np.rint(2 * ranks).astype(int)
    chances = np.zeros((count + 1, doubled.sum() + 1))  # by number of ranks drawn, and their sum
    chances[0, 0] = 1.0
    for rank in doubled:
        chances[1:, rank:] += chances[:-1, : chances.shape[1] - rank].copy()
    return np.asarray(chances[count] / chances[count].sum())


def rank_sum_p(first: np.ndarray, second: np.ndarray) -> float:
    """Return the two-sided p-value of the rank-sum test of two independent samples.

    Wilcoxon (1945); Mann and Whitney, "On a test of whether one of two random variables is
    stochastically larger than the other", Annals of Mathematical Statistics 18 (1947). Ties get
    the mean of their ranks, and the distribution is that of all ways to divide these ranks, so it
    is exact with ties too, for up to `EXACT` values in all; beyond, it is the normal one.
    """
    if not len(first) or not len(second):
        return 1.0
    ranks = stats.rankdata(np.concatenate([first, second]))
    if len(ranks) > EXACT:
        if ranks.min() == ranks.max():
            return 1.0
        return float(stats.mannwhitneyu(ranks[: len(first)], ranks[len(first) :]).pvalue)
    chances = rank_sum_distribution(ranks, len(first))
    observed = round(2 * float(ranks[: len(first)].sum()))
    tail = min(chances[: observed + 1].sum(), chances[observed:].sum())
    return float(min(1.0, 2 * tail))


def shift_of(
    first: np.ndarray, second: np.ndarray, level: float = 0.95
) -> tuple[float, float, float]:
    """Return the median of all differences of two independent samples, and its interval.

    Hodges and Lehmann (1963) again: the interval holds the shifts that the rank-sum test does not
    reject. For 95 % it takes three values against five, or four against four.

    Raises:
        UsageError: a level outside (0, 1).
    """
    check_level(level)
    if not len(first) or not len(second):
        return math.nan, -math.inf, math.inf
    n, m = len(first), len(second)
    values = [np.clip(side, -HUGE, HUGE) for side in (first, second)]
    differences = np.sort(np.subtract.outer(*values).ravel())  # (n m,)
    if n + m > EXACT:
        spread = math.sqrt(n * m * (n + m + 1) / 12)
        outside = math.floor(n * m / 2 + stats.norm.ppf((1 - level) / 2) * spread)
    else:
        sums = rank_sum_distribution(np.arange(1, n + m + 1), n)[::2]
        below = np.cumsum(sums[n * (n + 1) // 2 :])  # P(U <= 0, 1, 2, …)
        outside = int(np.sum(below <= (1 - level) / 2 + 1e-12))
    low, high = -math.inf, math.inf
    if outside > 0:
        low, high = differences[outside - 1], differences[n * m - outside]
    return _unclip(float(np.median(differences))), _unclip(float(low)), _unclip(float(high))


def hodges_lehmann(differences: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Return the median of all pairwise means of differences `(n,)`, and its interval.

    The interval holds the shifts that the signed-rank test does not reject: Hodges and Lehmann,
    "Estimates of location based on rank tests", Annals of Mathematical Statistics 34 (1963). For
    95 % it takes at least six seeds; with fewer it is unbounded.

    Raises:
        UsageError: a level outside (0, 1).
    """
    check_level(level)
    n = len(differences)
    if not n:
        return math.nan, -math.inf, math.inf
    values = np.clip(differences, -HUGE, HUGE)
    first, second = np.triu_indices(n)
    means = np.sort(values[first] / 2 + values[second] / 2)  # (n (n + 1) / 2,)
    below = np.cumsum(signed_rank_distribution(np.arange(1, n + 1)))[::2]  # P(W <= 0, 1, 2, …)
    outside = int(np.sum(below <= (1 - level) / 2 + 1e-12))  # means to cut off on each side
    low = high = math.inf
    if outside:
        low, high = means[outside - 1], means[len(means) - outside]
    else:
        low = -math.inf
    return _unclip(float(np.median(means))), _unclip(float(low)), _unclip(float(high))


def _unclip(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) > HUGE / 1000 else value


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6 (1979): the chance that any true hypothesis is rejected stays below the level.

    >>> [round(p, 4) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected
