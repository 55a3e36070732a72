"""Power of a comparison: how likely Welch's t-test finds a difference with some seeds.

As in Cohen, "Statistical Power Analysis for the Behavioral Sciences" (1988), chapter 2. The usual
noncentral t distribution takes the degrees of freedom for known; Welch's follow from the samples,
which matters for few seeds: with two, the test is half as powerful. So the power is integrated over
what the samples may show.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import optimize, special

from deepobs_runner.analysis.bootstrap import check_level
from deepobs_runner.errors import UsageError

MOST_SEEDS = 10_000
"""Seeds of an optimizer beyond which no number is given."""

POINTS = 32
"""Of Gauss-Legendre quadrature, for the variance of each sample."""


def welch_power(
    difference: float,
    deviation: float,
    seeds: int,
    *,
    other_deviation: float | None = None,
    other_seeds: int | None = None,
    known_variance: float = 0.0,
    level: float = 0.95,
) -> float:
    """Probability that Welch's two-sided t-test finds a difference of means.

    The values of both sides are normal. Given the variances of the samples, the probability is that
    of a normal distribution; it is integrated over their chi-squared distributions.

    >>> round(welch_power(1.0, 1.0, 17), 3)
    0.806

    Args:
        difference: difference of the true means.
        deviation: standard deviation over the seeds of one side.
        seeds: number of seeds of one optimizer, at least 2.
        other_deviation: standard deviation of the other optimizer; None: the same.
        other_seeds: number of seeds of the other optimizer; None: as many.
        known_variance: known variance of the difference, which does not fall with the number of
            seeds, such as that of times which are known up to an epoch.
        level: confidence level of the interval; the test rejects at 1 - level.

    Raises:
        UsageError: fewer than two seeds, a negative deviation, a level outside (0, 1).
    """
    check_level(level)
    sides = (
        (deviation, seeds),
        (
            deviation if other_deviation is None else other_deviation,
            seeds if other_seeds is None else other_seeds,
        ),
    )
    if min(number for _, number in sides) < 2:
        raise UsageError("A test takes at least two seeds of each optimizer.")
    if not all(spread >= 0 for spread, _ in sides):
        raise UsageError(f"deviation is {deviation!r}; it must be a number >= 0.")
    (one, n), (other, m) = ((spread**2 / number, number) for spread, number in sides)
    variance = one + other + known_variance
    if variance == 0:
        return 1.0 if difference else 0.0
    # (POINTS, POINTS): what samples may show, see `t_tests.welch`
    first = one * _chi_squared(n - 1)[:, None] + known_variance / 2
    second = other * _chi_squared(m - 1)[None, :] + known_variance / 2
    shown = first + second
    with np.errstate(invalid="ignore"):
        freedom = shown**2 / (first**2 / (n - 1) + second**2 / (m - 1))
    freedom = np.where(shown > 0, freedom, n + m - 2.0)
    critical = -special.stdtrit(freedom, (1 - level) / 2) * np.sqrt(shown / variance)
    shift = abs(difference) / math.sqrt(variance)
    found = special.ndtr(shift - critical) + special.ndtr(-shift - critical)
    weights = _nodes()[1]
    return float(weights @ found @ weights)


@lru_cache(maxsize=1)
def _nodes() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss-Legendre quadrature on (0, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(POINTS)
    return (nodes + 1) / 2, weights / 2


@lru_cache(maxsize=64)
def _chi_squared(freedom: int) -> np.ndarray:
    """Chi-squared distribution over its degrees of freedom at the nodes, `(POINTS,)`."""
    return np.asarray(2 * special.gammaincinv(freedom / 2, _nodes()[0]) / freedom)


def seeds_for_power(
    difference: float,
    deviation: float,
    *,
    power: float = 0.8,
    known_variance: float = 0.0,
    level: float = 0.95,
) -> int | None:
    """Fewest seeds of each optimizer with which a difference is found that often.

    >>> seeds_for_power(1.0, 1.0)
    17

    Args:
        difference: difference of the true means.
        deviation: standard deviation over seeds, the same for both.
        power: wanted probability.
        known_variance: as for `welch_power`.
        level: confidence level of the interval.

    Returns:
        At least 2; None if 10,000 are too few.

    Raises:
        UsageError: a power outside (0, 1), and as `welch_power`.
    """
    _check_power(power)

    def enough(seeds: int) -> bool:
        found = welch_power(
            difference, deviation, seeds, known_variance=known_variance, level=level
        )
        return found >= power

    # The normal distribution with known spread: a few seeds too few, so the search begins there.
    needed = special.ndtri((1 + level) / 2) + special.ndtri(power)
    known = difference**2 - needed**2 * known_variance
    if known <= 0 or (begin := 2 * (needed * deviation) ** 2 / known) > MOST_SEEDS:
        return None
    return _first(enough, max(2, math.floor(begin)))


def _first(holds: Callable[[int], bool], begin: int) -> int | None:
    """Smallest number from `begin` on for which something holds, which then holds on."""
    low, high = begin - 1, begin
    while not holds(high):
        low, high = high, high + max(1, high - low) * 2
        if high > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def detectable(
    deviation: float,
    seeds: int,
    *,
    power: float = 0.8,
    known_variance: float = 0.0,
    level: float = 0.95,
) -> float:
    """Smallest difference of means that some seeds find that often.

    >>> round(detectable(1.0, 17), 2)
    0.99

    Raises:
        UsageError: a power outside (0, 1), and as `welch_power`.
    """
    _check_power(power)

    scale = math.sqrt(2 * deviation**2 / seeds + known_variance)
    if scale == 0:
        return 0.0

    def lacking(difference: float) -> float:
        found = welch_power(
            difference, deviation, seeds, known_variance=known_variance, level=level
        )
        return found - power

    if lacking(0.0) >= 0:
        return 0.0
    high = 4 * scale
    while lacking(high) < 0:
        high *= 2
    return float(optimize.brentq(lacking, 0.0, high, xtol=1e-9 * scale, rtol=1e-9))


def _check_power(power: float) -> None:
    if not 0 < power < 1:
        raise UsageError(f"power is {power!r}; it must lie between 0 and 1, such as 0.8.")
