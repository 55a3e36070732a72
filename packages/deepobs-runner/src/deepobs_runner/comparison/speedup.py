"""Speedup: ratio of the times to target of two optimizers."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from deepobs_runner.analysis.bootstrap import check_level
from deepobs_runner.analysis.t_tests import Contrast, welch
from deepobs_runner.comparison.estimate import Bound, Estimate, uncorrected
from deepobs_runner.comparison.rank_tests import Shift, Tails, rank_sum_tails, shift_between
from deepobs_runner.comparison.time_to_target import Times

WELCH = "Welch's t on log times"
RANK_SUM = "rank-sum shift of log times"
ONE_RUN = "ratio of times, without a test"


def speedup_of(first: Times, second: Times, level: float = 0.95) -> Estimate | None:
    """Time of `second` divided by that of `first`: above 1 if `first` is faster.

    If every run reaches the target: the ratio of geometric mean times and Welch's t on their
    logarithms, see `log_speedup`. Otherwise the median ratio of all pairs and the rank-sum test,
    see `log_shift`; where censored runs leave the median ratio open, the value is the bound of it
    that is known.

    Returns:
        None without a run on a side, where a target is reached before training, and where nothing
        is known of the ratio because too few runs reach the target.

    Raises:
        UsageError: a level outside (0, 1).
    """
    check_level(level)
    sides = (first, second)
    if any(not len(s.times) or (s.times[s.reached] == 0).any() for s in sides):
        return None
    if all(s.reached.all() for s in sides):
        if min(len(s.times) for s in sides) < 2:
            ratio, unknown = second.geometric_mean / first.geometric_mean, math.nan
            return uncorrected(ratio, unknown, unknown, p=unknown, level=level, method=ONE_RUN)
        found = log_speedup(first.times, second.times, first.grid, second.grid)
        low, high = found.interval(level)
        value, low, high = np.exp(found.value), np.exp(low), np.exp(high)
        return uncorrected(value, low, high, p=found.p(), level=level, method=WELCH)
    shift = log_shift(first, second, level)
    log, bound = _known(shift)
    if math.isnan(log):
        return None
    numbers = np.exp(np.array([log, shift.low, shift.high]))
    return uncorrected(*numbers, p=shift.p, level=level, method=RANK_SUM, bound=bound)


def _known(shift: Shift) -> tuple[float, Bound]:
    """Estimate of a shift, else a bound of it, else an end of the interval."""
    if shift.least == shift.most:
        return shift.least, ""
    if shift.low >= 0 or (math.isfinite(shift.least) and shift.high > 0):
        return max(shift.least, shift.low), "at least"
    if shift.high <= 0 or math.isfinite(shift.most):
        return min(shift.most, shift.high), "at most"
    return math.nan, ""


def log_speedup(
    first: np.ndarray, second: np.ndarray, first_grid: np.ndarray, second_grid: np.ndarray
) -> Contrast:
    """Mean log `second` - mean log `first` along the last axis, `(..., n)` and `(..., m)`.

    A time is only known up to the distance to the evaluation before, which is a variance of
    1/12 of its square, the same for runs of one spread. So the mean log time has a variance of
    grid² / (12 time²) (delta method) beside that over seeds, and it does not fall with the number
    of runs: where all of them arrive within one epoch, seeds do not tell when. It counts as if it
    were estimated, see `welch`: two runs that arrive in one epoch have a spread, too.

    Args:
        first: times, above 0.
        second: times, above 0.
        first_grid: distances between evaluations, as `first`.
        second_grid: as `second`.
    """
    known = sum(
        np.mean((grid / times) ** 2, axis=-1) / 12
        for grid, times in ((first_grid, first), (second_grid, second))
    )
    return welch(np.log(second), np.log(first), known)


def log_shift(first: Times, second: Times, level: float = 0.95) -> Shift:
    """Shift of log times from `first` to `second`, see `shift_between`."""
    return shift_between(*log_speedup_bounds(first, second), _tails(first, second), level)


def _tails(first: Times, second: Times) -> Tails:
    """Tails of the rank-sum test of equal times, small `below` where `first` is faster.

    Both sides are censored at the earliest end of a censored run of either: then both are samples
    of one distribution if optimizers are equal, all that is later are ties, and the test is exact.
    It assumes that runs were not ended for what they would have done.
    """
    end = min(
        float(np.min(side.times, where=~side.reached & ~side.lost, initial=np.inf))
        for side in (first, second)
    )
    one, other = (
        np.where(side.reached & (side.times <= end), side.times, np.inf) for side in (first, second)
    )
    return rank_sum_tails(one, other)


def log_speedup_bounds(first: Times, second: Times) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest value of log `second` - log `first` can be, `(n, m)` each.

    A censored run reaches the target after its end, or never; one that diverged after the end of
    the longest of these runs.
    """
    horizon = max(float(first.times.max()), float(second.times.max()))
    bounds = []
    for side in (first, second):
        least = np.where(side.lost, horizon, side.times)
        with np.errstate(divide="ignore"):
            bounds.append((np.log(least), np.log(np.where(side.reached, least, np.inf))))
    (least1, most1), (least2, most2) = bounds
    with np.errstate(invalid="ignore"):  # of two times that are 0: not known
        return least2[None, :] - most1[:, None], most2[None, :] - least1[:, None]


def reached_p(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Fisher's exact two-sided p-value of k of n against l of m; NaN without runs.

    Fisher, "The logic of inductive inference", Journal of the Royal Statistical Society 98 (1935).
    """
    if not first[1] or not second[1]:
        return math.nan
    (k, n), (other, m) = first, second
    counts = np.arange(max(0, k + other - m), min(n, k + other) + 1)
    chances = special.binom(n, counts) * special.binom(m, k + other - counts)
    chances /= chances.sum()
    observed = chances[k - counts[0]]
    return float(min(chances[chances <= observed * (1 + 1e-9)].sum(), 1.0))


def win_share(first: Times, second: Times) -> float:
    """Share of pairs in which `first` is faster; unknown ones and ties count half.

    A run that never reaches the target is slower than any that does. NaN without runs.
    """
    if not len(first.times) or not len(second.times):
        return math.nan
    least, most = log_speedup_bounds(first, second)
    return float(np.mean((least > 0) + 0.5 * (~(least > 0) & ~(most < 0))))
