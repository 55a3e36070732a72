"""Times of which some are only known to be longer: the product-limit estimate and its median."""

from __future__ import annotations

import numpy as np
from scipy import stats

FLAT = 1e-9
"""How close to one half a survival curve is one half: it is a product of rounded fractions."""


def survival_curve(times: np.ndarray, reached: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct times and the share of runs that need longer, each `(T,)`.

    Kaplan and Meier, "Nonparametric estimation from incomplete observations", JASA 53 (1958);
    `scipy.stats.ecdf`.

    Args:
        times: when a run reached the target, or was last seen without having done so, `(n,)`.
        reached: which of the two, `(n,)`.
    """
    if not len(times):
        return np.array([]), np.array([])
    data = stats.CensoredData(uncensored=times[reached], right=times[~reached])
    curve = stats.ecdf(data).sf
    return np.asarray(curve.quantiles), np.asarray(curve.probabilities)


def survival_median(times: np.ndarray, reached: np.ndarray) -> float:
    """Return the time by which half of the runs reach the target.

    Where the survival curve lies at one half over an interval it is the middle of that interval,
    so without censoring it is the ordinary median; if the curve stays at one half it is the time
    when it got there. Infinite if less than half of the runs get there, NaN without runs.
    """
    if not len(times):
        return float("nan")
    return float(resampled_medians(times, reached, np.ones((1, len(times)), dtype=int))[0])


def resampled_medians(times: np.ndarray, reached: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return `survival_median` of each bootstrap sample, `(resamples,)`.

    Args:
        times: `(n,)`, at least one.
        reached: `(n,)`.
        counts: how often each run is drawn, `(resamples, n)`.
    """
    order = np.lexsort((~reached, times))  # at equal times, those that reach it come first
    times, counts = times[order], counts[:, order]
    at_risk = np.cumsum(counts[:, ::-1], axis=1, dtype=int)[:, ::-1]
    events = counts * reached[order]
    # Events at one time are taken one after another, which gives the same product.
    surviving = np.cumprod(1 - events / np.maximum(at_risk, 1), axis=1)
    padded = np.append(times, np.inf)
    at_half = padded[_first(surviving <= 0.5 + FLAT)]
    below = padded[_first(surviving < 0.5 - FLAT)]
    return np.asarray(np.where(np.isinf(below), at_half, (at_half + below) / 2))


def _first(found: np.ndarray) -> np.ndarray:
    """Return the first column that is true in each row; the number of columns if none is."""
    return np.asarray(np.where(found.any(axis=1), found.argmax(axis=1), found.shape[1]))
