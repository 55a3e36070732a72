"""How many seeds an interval of a wanted width takes."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from deepobs_runner.analysis.bootstrap import check_level
from deepobs_runner.errors import UsageError

MOST_SEEDS = 100_000
"""Beyond this, the answer is "more than anyone will run"."""


def seeds_for_mean(values: np.ndarray, half_width: float, *, level: float = 0.95) -> int | None:
    """Return how many seeds in all make the interval of a mean no wider than wanted.

    The smallest n >= 2 with t(n - 1) · s / sqrt(n) <= half_width, where s is the standard deviation
    of the seeds there are: Student's interval; Cochran, "Sampling Techniques" (1977), section 4.4.
    With few seeds s itself is uncertain, so ask again when there are more.

    Args:
        values: of the metric, one a seed, `(n,)`.
        half_width: wanted, in units of the metric.
        level: of the interval.

    Returns:
        None if the spread is unknown (fewer than two seeds, or one that is not finite) or no
        number of seeds up to 100,000 is enough.

    Raises:
        UsageError: half_width is not above 0, or a level outside (0, 1).
    """
    check_level(level)
    if not half_width > 0:
        raise UsageError(f"half_width is {half_width!r}; it must be a number > 0.")
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    spread = float(np.std(values, ddof=1))
    low, high = 1, 2  # low is too few
    while _half_width(high, spread, level) > half_width:
        low, high = high, 2 * high
        if low > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if _half_width(middle, spread, level) <= half_width:
            high = middle
        else:
            low = middle
    return high


def _half_width(n: int, spread: float, level: float) -> float:
    return float(stats.t.ppf((1 + level) / 2, n - 1)) * spread / math.sqrt(n)


def check_factor(factor: float) -> None:
    """Raise a UsageError unless a factor is above 1."""
    if not factor > 1:
        raise UsageError(f"factor is {factor!r}; it must be a number > 1, such as 1.2.")


def seeds_for_ratio(low: float, high: float, seeds: int, factor: float) -> int | None:
    """Return how many seeds in all bring the interval of a ratio to a wanted width.

    On a logarithmic scale the width of an interval falls as one over the square root of the number
    of seeds (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 6.2).

    Args:
        low: lower end of the interval there is.
        high: its upper end.
        seeds: it rests on.
        factor: wanted: the interval reaches from the ratio divided by this to the ratio times it.

    Returns:
        At least `seeds`; None if the interval is unknown or unbounded.

    Raises:
        UsageError: factor is not above 1.
    """
    check_factor(factor)
    if not (math.isfinite(low) and math.isfinite(high) and 0 < low <= high):
        return None
    ratio = math.log(high / low) / 2 / math.log(factor)
    return max(seeds, math.ceil(seeds * ratio**2 - 1e-9))
