"""An estimate with interval and p-value, and the correction of all p-values of a report."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from deepobs_runner.analysis.metrics import Numbers

Bound = Literal["", "at least", "at most"]


@dataclass(frozen=True, kw_only=True)
class Estimate(Numbers):
    """An estimate, its interval and its p-value.

    The interval inverts the test at the nominal level: it leaves out the value of "no difference"
    (1 for ratios, 0 for differences, 0.5 for probabilities) exactly if `p` is at most 1 - level. An
    end at this value is open then: of censored runs only the direction may be known.
    Claims rest on `p_corrected`, which is never smaller than `p`, so a claim never contradicts its
    interval; an interval may leave out "no difference" where nothing is claimed.

    Attributes:
        value: value of the estimate; a bound of it if `bound` is set.
        low: lower end of the interval; 0 for a ratio and -inf for a difference if it is open, NaN
            if no interval is defined.
        high: upper end; inf if it is open.
        level: confidence level of the interval.
        p: two-sided, uncorrected; NaN if no test is defined.
        p_corrected: by Holm over all tests of a report; NaN if the test is not one of these.
        method: name of the test.
        bound: which side of the value is known; empty if the value itself is.
    """

    value: float
    low: float
    high: float
    level: float
    p: float
    p_corrected: float
    method: str
    bound: Bound = ""

    @property
    def has_interval(self) -> bool:
        """Whether the interval is defined and closed on one side at least."""
        return not math.isnan(self.low) and (math.isfinite(self.high) or self.low not in _OPEN)

    @property
    def open_below(self) -> bool:
        """Whether the lower end of the interval is open."""
        return self.low in _OPEN

    @property
    def decided(self) -> bool:
        """Whether the corrected p-value supports a claim at the level."""
        return self.p_corrected <= 1 - self.level + 1e-12


def uncorrected(
    value: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    *,
    p: ArrayLike,
    level: float,
    method: str,
    bound: Bound = "",
) -> Estimate:
    """Estimate from numbers of any type; it is the only test so far."""
    numbers = (float(np.asarray(number)) for number in (value, low, high, p))
    value, low, high, p = numbers
    return Estimate(
        value=value, low=low, high=high, level=level, p=p, p_corrected=p, method=method, bound=bound
    )


_OPEN = (0.0, -math.inf)


def holm(p: ArrayLike) -> np.ndarray:
    """P-values `(..., m)` corrected for their number, along the last axis.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6 (1979): the chance that any true hypothesis is rejected stays below the level,
    however the tests depend on each other.

    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, axis=-1)
    factors = np.arange(p.shape[-1], 0, -1)
    steps = np.minimum(1.0, factors * np.take_along_axis(p, order, axis=-1))
    corrected = np.empty_like(p)
    np.put_along_axis(corrected, order, np.maximum.accumulate(steps, axis=-1), axis=-1)
    return corrected
