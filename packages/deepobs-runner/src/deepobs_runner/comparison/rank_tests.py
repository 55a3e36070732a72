"""The exact rank-sum test with ties, and the interval of a shift with censored values."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import special

from deepobs_runner.analysis.bootstrap import check_level

EXACT = 60
"""Runs of both sides up to which the distribution of the rank sum is counted, not approximated."""

HUGE = 1e200
"""Stands for infinity where averages are taken; larger than any difference of losses."""


class Tails(NamedTuple):
    """Chances under the hypothesis of a rank sum of the first sample.

    Attributes:
        below: at most the observed one: small if the first sample lies below the second.
        above: at least the observed one.
    """

    below: float
    above: float

    @property
    def p(self) -> float:
        """Two-sided p-value."""
        return min(1.0, 2 * min(self))


class Shift(NamedTuple):
    """Shift of one sample against another.

    Attributes:
        least: lower bound of the median difference; -inf without one.
        most: its upper bound; equal to `least` if the median difference is known.
        low: lower end of the interval; -inf if the runs are too few for the level.
        high: its upper end.
        p: two-sided, of no shift. If it is at most 1 - level the interval leaves out 0; an end
            at 0 is open then, as only the direction is known.
    """

    least: float
    most: float
    low: float
    high: float
    p: float


def rank_sum_tails(first: np.ndarray, second: np.ndarray) -> Tails:
    """Tails of the rank-sum test of two independent samples.

    Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1 (1945); Mann and
    Whitney, "On a test of whether one of two random variables is stochastically larger than the
    other", Annals of Mathematical Statistics 18 (1947). Ties get the mean of their ranks, and the
    distribution is that of all divisions of these ranks, so it is exact with ties, too. Beyond
    `EXACT` values it is the normal one, corrected for ties and continuity.

    Args:
        first: `(n,)`; equal infinite values are ties.
        second: `(m,)`.
    """
    count = len(first)
    ranks = doubled_ranks(np.concatenate([first, second]))
    observed = int(ranks[:count].sum())
    if len(ranks) <= EXACT:
        chances = _rank_sum_chances(tuple(sorted(ranks.tolist())), count)
        return Tails(float(chances[: observed + 1].sum()), float(chances[observed:].sum()))
    spread = math.sqrt(count * len(second) * float(np.var(ranks)) / (len(ranks) - 1))
    if spread == 0:
        return Tails(1.0, 1.0)
    middle = count * float(ranks.mean())
    sides = ((observed + 1 - middle) / spread, (middle + 1 - observed) / spread)
    return Tails(*map(float, special.ndtr(sides)))


def doubled_ranks(values: np.ndarray) -> np.ndarray:
    """Twice the rank of each value, `(n,)`: ties get the mean of their ranks, a half.

    >>> doubled_ranks(np.array([3.0, 1.0, 3.0])).tolist()
    [5, 2, 5]
    """
    _, at, ties = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((2 * np.cumsum(ties) - ties + 1)[at])


@lru_cache(maxsize=256)  # with few ties, or none, most samples have the same ranks
def _rank_sum_chances(ranks: tuple[int, ...], count: int) -> np.ndarray:
    """Chance of each sum of `count` of the ranks, drawn at random, `(Σ ranks + 1,)`."""
    chances = np.zeros((count + 1, sum(ranks) + 1))  # by number of ranks drawn, and their sum
    chances[0, 0] = 1.0
    for rank in ranks:
        chances[1:, rank:] += chances[:-1, : chances.shape[1] - rank].copy()
    found = np.asarray(chances[count] / chances[count].sum())
    found.setflags(write=False)
    return found


def shift_between(least: np.ndarray, most: np.ndarray, tails: Tails, level: float = 0.95) -> Shift:
    """Shift from one sample to another, from bounds of all differences `(n, m)`.

    Without censoring both bounds are the differences, the estimate is their median and the interval
    holds the shifts that the rank-sum test does not reject: Hodges and Lehmann, "Estimates of
    location based on rank tests", Annals of Mathematical Statistics 34 (1963); Bauer, "Constructing
    confidence sets using rank statistics", JASA 67 (1972). For 95 % it takes three values against
    five, or four against four.

    With censoring, order statistics of the lower bounds are at most, and those of the upper bounds
    at least, what they would be without. So the interval covers at its level, whatever the
    censored runs would have done. The test of no shift knows more, see `tails`; where it rejects
    and the interval does not, the interval ends at 0.

    Args:
        least: lower bounds, -inf where nothing is known.
        most: upper bounds, inf where nothing is known.
        tails: tails of the test of no shift; `below` is small if the shift is above 0.
        level: confidence level of the interval.

    Raises:
        UsageError: a level outside (0, 1).
    """
    check_level(level)
    lows, highs = np.sort(least, axis=None), np.sort(most, axis=None)
    outside = int(np.sum(_u_chances(*least.shape) <= (1 - level) / 2 + 1e-12))
    low, high = -math.inf, math.inf
    if outside:
        low, high = float(lows[outside - 1]), float(highs[-outside])
    if tails.p > 1 - level:
        low, high = min(low, 0.0), max(high, 0.0)
    elif tails.below < tails.above:
        low = max(low, 0.0)
    else:
        high = min(high, 0.0)
    return Shift(median_of(lows), median_of(highs), low, high, tails.p)


@lru_cache(maxsize=256)
def _u_chances(n: int, m: int) -> np.ndarray:
    """Return P(U <= u) of Mann and Whitney's U without ties for u = 0 … nm, `(nm + 1,)`."""
    if n + m > EXACT:
        spread = math.sqrt(n * m * (n + m + 1) / 12)
        return np.asarray(special.ndtr((np.arange(n * m + 1) + 0.5 - n * m / 2) / spread))
    sums = _rank_sum_chances(tuple(range(2, 2 * (n + m) + 1, 2)), n)[::2]
    return np.asarray(np.cumsum(sums[n * (n + 1) // 2 :][: n * m + 1]))


def median_of(differences: np.ndarray) -> float:
    """Median of differences; some may be infinite."""
    middle = float(np.median(np.clip(differences, -HUGE, HUGE)))
    return math.copysign(math.inf, middle) if abs(middle) > HUGE / 1000 else middle
