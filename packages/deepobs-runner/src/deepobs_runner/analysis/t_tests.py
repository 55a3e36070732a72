"""Student's and Welch's t, for any number of samples at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special


class Contrast(NamedTuple):
    """Means or differences of means, `(...)` each.

    Attributes:
        value: the mean, or the difference.
        error: its standard error.
        freedom: degrees of freedom of the error.
    """

    value: np.ndarray
    error: np.ndarray
    freedom: np.ndarray

    def interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Values that the two-sided t-test does not reject."""
        reach = special.stdtrit(self.freedom, (1 + level) / 2) * self.error
        return self.value - reach, self.value + reach

    def p(self) -> np.ndarray:
        """Two-sided p-value of 0; without any spread 0, or 1 if the value is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.abs(self.value) / self.error
        p = 2 * special.stdtr(self.freedom, -ratio)
        return np.where(self.error > 0, p, np.where(self.value == 0, 1.0, 0.0))


def student(values: np.ndarray) -> Contrast:
    """Mean along the last axis, `(..., n)` to `(...)`; of at least two values.

    "Student" (W. S. Gosset), "The probable error of a mean", Biometrika 6 (1908). Of differences
    by seed it is the paired t-test.
    """
    n = values.shape[-1]
    error = values.std(axis=-1, ddof=1) / np.sqrt(n)
    return Contrast(values.mean(axis=-1), error, np.full(error.shape, n - 1.0))


def welch(
    first: np.ndarray, second: np.ndarray, known_variance: np.ndarray | float = 0.0
) -> Contrast:
    """Mean `first` - mean `second` along the last axis, `(..., n)` and `(..., m)`.

    Welch, "The generalization of 'Student's' problem when several different population variances
    are involved", Biometrika 34 (1947): the spreads need not be equal. At least two values each.

    Args:
        first: minuend.
        second: subtrahend.
        known_variance: known variance of the difference, in addition to that which the samples
            show, `(...)`. It adds to the error, half of it to each side, but as if it were
            estimated from as many values: with few values their own variance may be far too small,
            and an error that is taken for known would hide that.
    """
    n, m = first.shape[-1], second.shape[-1]
    one = first.var(axis=-1, ddof=1) / n + np.asarray(known_variance) / 2
    other = second.var(axis=-1, ddof=1) / m + np.asarray(known_variance) / 2
    with np.errstate(invalid="ignore"):
        freedom = (one + other) ** 2 / (one**2 / (n - 1) + other**2 / (m - 1))
    freedom = np.where(one + other > 0, freedom, n + m - 2.0)
    value = first.mean(axis=-1) - second.mean(axis=-1)
    return Contrast(value, np.sqrt(one + other), freedom)
