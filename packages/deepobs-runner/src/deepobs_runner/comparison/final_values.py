"""Difference of the final values of two optimizers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from deepobs_runner.analysis.bootstrap import check_level
from deepobs_runner.analysis.metrics import (
    Metric,
    is_counted,
    is_diverged,
    metric_of,
    ranked,
    value_of,
)
from deepobs_runner.analysis.t_tests import student, welch
from deepobs_runner.comparison.estimate import Estimate, uncorrected
from deepobs_runner.comparison.rank_tests import Shift, rank_sum_tails, shift_between
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting

LEAST_PAIRS = 6
"""Common seeds from which on runs are paired. With fewer, pairs cost more degrees of freedom than
common initial weights are worth: docs/statistics.md."""

WELCH = "Welch's t"
PAIRED = "paired t over common seeds"
RANK_SUM = "rank-sum shift"
ONE_RUN = "difference, without a test"


def final_difference(
    first: Mapping[int, float],
    second: Mapping[int, float],
    *,
    seeds_pair: bool = True,
    level: float = 0.95,
) -> Estimate | None:
    """Difference of the values of `first` and `second`, by seed.

    Which test is used follows from the runs that there are, by this rule: the rank-sum shift if a
    run diverged, which is worse than every other and has no value, or if neither side has any
    spread, as t-tests take that for certainty; the paired t-test from `LEAST_PAIRS` common seeds on
    if seeds pair runs; otherwise Welch's t over all runs.

    Args:
        first: value of each run by its seed, more is better; -inf for a diverged run.
        second: the same of the reference.
        seeds_pair: whether runs of one seed share anything: not if two programs made them.
        level: confidence level of the interval.

    Returns:
        None without a run on a side; one run on a side has no interval.

    Raises:
        UsageError: a level outside (0, 1).
    """
    check_level(level)
    if not first or not second:
        return None
    one, other = (np.array(list(side.values())) for side in (first, second))
    common = sorted(first.keys() & second.keys())
    if min(len(one), len(other)) < 2 and np.isfinite([*one, *other]).all():
        gain, nan = one.mean() - other.mean(), math.nan
        return uncorrected(gain, nan, nan, p=nan, level=level, method=ONE_RUN)
    if not np.isfinite([*one, *other]).all() or np.ptp(one) == np.ptp(other) == 0:
        shift = rank_shift(one, other, level)
        ends = shift.low, shift.high
        return uncorrected(shift.least, *ends, p=shift.p, level=level, method=RANK_SUM)
    if seeds_pair and len(common) >= LEAST_PAIRS:
        contrast, method = student(np.array([first[s] - second[s] for s in common])), PAIRED
    else:
        contrast, method = welch(one, other), WELCH
    low, high = contrast.interval(level)
    return uncorrected(contrast.value, low, high, p=contrast.p(), level=level, method=method)


def rank_shift(first: np.ndarray, second: np.ndarray, level: float = 0.95) -> Shift:
    """Shift from `second` to `first` by the rank-sum test, `(n,)` and `(m,)`.

    Values may be infinite; equal infinite ones are ties.
    """
    with np.errstate(invalid="ignore"):
        differences = np.subtract.outer(first, second)
    differences[np.isnan(differences)] = 0.0
    return shift_between(differences, differences, rank_sum_tails(second, first), level)


def values_by_seed(
    setting: Setting, metric: Metric, kind: Literal["final", "best"] = "final"
) -> dict[int, float]:
    """Value of each run that counts by its seed, so that more is better.

    A diverged run has the value -inf.
    """
    of = value_of(kind)
    values: dict[int, float] = {}
    for run in filter(is_counted, setting.runs):
        value = of(run, metric)
        if math.isfinite(value) or is_diverged(run):
            better = metric.sign * ranked(np.array([value]), metric)
            values.setdefault(run.config.seed, float(better[0]))
    return values


def common_metric(first: Sequence[RunResult], second: Sequence[RunResult]) -> Metric | None:
    """Metric of the comparison: the problem's, or an objective or loss that both have."""
    for name in ("accuracy", "objective", "loss"):
        if all(_has(runs, "test", name) for runs in (first, second)):
            return Metric("test", name, higher_is_better=name == "accuracy")
    return metric_of(first) if metric_of(first) == metric_of(second) else None


def same_program(first: Setting, second: Setting) -> bool:
    """Whether one program made the runs of both, so that a seed pairs them."""
    one, other = ({run.environment.get("source") for run in s.runs} for s in (first, second))
    return one == other


def _has(runs: Sequence[RunResult], split: str, name: str) -> bool:
    return any(name in record["metrics"].get(split, {}) for r in runs for record in r.records)
