"""Bootstrap over the seeds of a setting, and quantiles that know infinite values.

A run that diverged has no final value; where only order counts it is worse than every other, which
is written as an infinite value. Every random number comes from a generator named by a seed and
words, so an interval repeats and does not depend on what else was computed.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from deepobs_runner.errors import UsageError

LEAST_FOR_MEDIANS = 5
"""With fewer runs the bootstrap interval of a median, which lies within their range, covers less
than 90 % instead of 95."""


def check_level(level: float) -> None:
    """Raise a UsageError unless a level of confidence lies between 0 and 1."""
    if not 0 < level < 1:
        raise UsageError(f"level is {level!r}; it must lie between 0 and 1, such as 0.95.")


def percent(level: float) -> str:
    """Level of confidence in words.

    >>> percent(0.95), percent(0.999)
    ('95 %', '99.9 %')
    """
    return f"{100 * level:g} %"


def check_resamples(resamples: int) -> None:
    """Raise a UsageError unless there is at least one bootstrap sample."""
    if resamples < 1:
        raise UsageError(f"resamples is {resamples!r}; it must be a whole number >= 1.")


def generator(seed: int, *words: str) -> np.random.Generator:
    """Random generator of an address."""
    return np.random.default_rng([seed, *(zlib.crc32(word.encode()) for word in words)])


@lru_cache(maxsize=256)  # a report asks for those of one setting several times
def resample_counts(n: int, resamples: int, seed: int, *words: str) -> np.ndarray:
    """Count of each of n runs in each bootstrap sample, `(resamples, n)`.

    The same arguments give the same array, which cannot be written to.

    Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979).

    Args:
        n: runs.
        resamples: bootstrap samples.
        seed: seed of the bootstrap.
        words: what is drawn for, see `generator`.

    Raises:
        UsageError: no resamples.
    """
    check_resamples(resamples)
    counts = generator(seed, *words).multinomial(n, np.full(n, 1 / n), size=resamples)
    counts = counts.astype(np.min_scalar_type(n))  # small, as they are kept
    counts.setflags(write=False)
    return counts


def quantiles(values: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Quantiles along the first axis, `(levels, ...)`; NaN entries are left out.

    As `numpy.nanquantile` (type 7 of Hyndman and Fan, 1996), but between a finite and an infinite
    value the quantile is infinite, and at a value it is that value, which numpy calls NaN.
    Without a value it is NaN.

    >>> quantiles(np.array([1.0, 2.0, np.inf]), [0.5, 0.75]).tolist()
    [2.0, inf]
    """
    count = np.sum(~np.isnan(values), axis=0)  # (...)
    # A column without a value keeps its NaN.
    sorted_values = np.sort(values, axis=0)
    rows = []
    for level in levels:
        position = level * np.maximum(count - 1, 0)
        below = np.floor(position + 1e-12).astype(int)
        weight = np.maximum(position - below, 0.0)
        above = np.minimum(below + 1, np.maximum(count - 1, 0))
        low = np.take_along_axis(sorted_values, below[None], axis=0)[0]
        high = np.take_along_axis(sorted_values, above[None], axis=0)[0]
        with np.errstate(invalid="ignore"):
            mixed = np.where(low == high, low, low * (1 - weight) + high * weight)
        rows.append(np.where(weight < 1e-12, low, mixed))
    return np.array(rows)


def interval(replicates: np.ndarray, level: float) -> tuple[float, float]:
    """Percentile interval of bootstrap replicates `(resamples,)`.

    A replicate that is undefined (NaN) could be anything: it counts as -inf for the lower end and
    as inf for the upper one, so the interval is never narrower for it.

    Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.

    Raises:
        UsageError: a level outside (0, 1).
    """
    check_level(level)
    tail = (1 - level) / 2
    low = quantiles(np.where(np.isnan(replicates), -np.inf, replicates), [tail])[0]
    high = quantiles(np.where(np.isnan(replicates), np.inf, replicates), [1 - tail])[0]
    return float(low), float(high)
