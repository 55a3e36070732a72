"""The exact rank-sum test and the shifts that it does not reject, with censored values."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import stats

from deepobs_runner.analysis.bootstrap import check_level

EXACT = 60
"""Runs of both sides up to which the distribution of the rank sum is counted, not approximated."""

HUGE = 1e200
"""Stands for infinity where averages are taken; larger than any difference of losses."""


class Shift(NamedTuple):
    """By how much one sample lies above another, `(...)` each.

    Attributes:
        least: lower bound of the median difference; -inf if there is none.
        most: its upper bound; equal to `least` if the median difference is known.
        low: lower end of the interval; -inf if the runs are too few for the level.
        high: its upper end.
        p: two-sided, of no shift.
    """

    least: np.ndarray
    most: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


def rank_shift(least: np.ndarray, most: np.ndarray, level: float = 0.95) -> Shift:
    """Return the shift between two samples from bounds of all their differences, `(..., n, m)`.

    Without censoring both bounds are the differences, the estimate is the median of these and the
    interval holds the shifts that the rank-sum test does not reject: Hodges and Lehmann, "Estimates
    of location based on rank tests", Annals of Mathematical Statistics 34 (1963); Bauer,
    "Constructing confidence sets using rank statistics", JASA 67 (1972); Mann and Whitney (1947).

    With censoring, order statistics of the lower bounds are at most, and those of the upper bounds
    at least, what they would be without. So the interval covers at its level, whatever the
    censored runs would have done. Ties count for the hypothesis, so the test is conservative.

    Args:
        least: lower bounds, -inf where nothing is known.
        most: upper bounds, inf where nothing is known.
        level: of the interval; 95 % takes three runs against five, or four against four.

    Raises:
        UsageError: a level outside (0, 1).
    """
    check_level(level)
    n, m = least.shape[-2:]
    pairs = n * m
    lows, highs = (
        np.sort(np.clip(bound, -HUGE, HUGE).reshape(*bound.shape[:-2], pairs), axis=-1)
        for bound in (least, most)
    )
    chances = rank_sum_chances(n, m)
    outside = int(np.sum(chances <= (1 - level) / 2 + 1e-12))
    low, high = np.full(lows.shape[:-1], -np.inf), np.full(lows.shape[:-1], np.inf)
    if outside:
        low, high = lows[..., outside - 1], highs[..., pairs - outside]
    not_above = chances[(lows <= 0).sum(axis=-1)]
    not_below = chances[(highs >= 0).sum(axis=-1)]
    p = np.minimum(1.0, 2 * np.minimum(not_above, not_below))
    lower, upper = (np.median(bounds, axis=-1) for bounds in (lows, highs))
    return Shift(_unclip(lower), _unclip(upper), _unclip(low), _unclip(high), p)


@lru_cache(maxsize=256)
def rank_sum_chances(n: int, m: int) -> np.ndarray:
    """Return P(U <= u) of Mann and Whitney's U under the hypothesis for u = 0 … nm, `(nm + 1,)`.

    Up to `EXACT` values the distribution is counted, beyond it is the normal one with a
    correction for continuity.
    """
    u = np.arange(n * m + 1)
    if n + m > EXACT:
        spread = math.sqrt(n * m * (n + m + 1) / 12)
        chances = stats.norm.cdf((u + 0.5 - n * m / 2) / spread)
    else:
        counts = np.zeros((n + 1, n * m + 1))  # of ways to draw k of the first ranks with a U
        counts[0, 0] = 1.0
        for rank in range(n + m):
            for drawn in range(min(n, rank + 1), 0, -1):
                below = rank - drawn + 1  # values of the other sample below this one
                if below <= m:
                    counts[drawn, below:] += counts[drawn - 1, : n * m + 1 - below]
        chances = np.cumsum(counts[n] / counts[n].sum())
    chances = np.asarray(chances)
    chances.setflags(write=False)
    return chances


def _unclip(value: np.ndarray) -> np.ndarray:
    return np.where(np.abs(value) > HUGE / 1000, np.copysign(np.inf, value), value)
