"""Is one optimizer better than another on a problem? Paired over the seeds both have.

Runs of two programs share nothing by a seed, and are compared without pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import stats

from deepobs_runner.analysis.bootstrap import check_level
from deepobs_runner.analysis.metrics import (
    Metric,
    Row,
    is_diverged,
    is_finished,
    metric_of,
    ranked,
    value_of,
)
from deepobs_runner.analysis.tuned import find
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting

EXACT = 60
"""Runs of both sides up to which the distribution of the rank sum is counted, not approximated."""

HUGE = 1e200
"""Stands for infinity where averages are taken; larger than any difference of losses."""


@dataclass(frozen=True, kw_only=True)
class Paired:
    """What the final values of two optimizers say; gains above 0 favour `optimizer`.

    Attributes:
        problem: its name.
        optimizer: label of the one.
        reference: label of the other.
        metric: compared; None if the runs have none in common.
        kind: `final`, or `best` over the evaluations.
        by_seed: whether a seed pairs two runs; not if two programs made them.
        seeds: in common, with finished runs; none if a seed pairs nothing.
        runs: number of runs that are compared, of the one and of the other.
        wins: pairs in which the optimizer is better; a diverged run is worse than any other.
        ties: pairs in which they are equal, two diverged runs among them.
        diverged: pairs of two diverged runs; any two are a pair where a seed pairs nothing.
        gain: how much better it is: Hodges-Lehmann estimate; NaN without runs to compare.
        low: lower end of its interval; -inf if the runs are too few for the level.
        high: its upper end.
        level: of the interval.
        p: two-sided, of the exact signed-rank test over pairs, else of the rank-sum test; 1 where
            all are ties or there are none.
        p_holm: corrected for the number of problems.
        p_least: the least p that so many runs can give.
    """

    problem: str
    optimizer: str
    reference: str
    metric: Metric | None
    kind: str
    by_seed: bool
    seeds: tuple[int, ...]
    runs: tuple[int, int]
    wins: int
    ties: int
    diverged: int
    gain: float
    low: float
    high: float
    level: float
    p: float
    p_holm: float
    p_least: float

    def rows(self) -> list[Row]:
        """Return one row of a table."""
        metric = None if self.metric is None else str(self.metric)
        runs = dict(zip(("optimizer_runs", "reference_runs"), self.runs, strict=True))
        kept = {name: value for name, value in vars(self).items() if name != "runs"}
        return [{**kept, "metric": metric, "seeds": len(self.seeds), **runs}]


def signed_rank_distribution(ranks: np.ndarray) -> np.ndarray:
    """Return the chance of each sum of the ranks of positive differences, `(2 Σ ranks + 1,)`.

    Under the hypothesis every difference is as likely positive as negative. Entry s belongs to a
    sum of s / 2, as ranks of ties are halves.
    """
    chances = np.ones(1)
    for rank in np.rint(2 * ranks).astype(int):
        longer = np.zeros(len(chances) + rank)
        longer[: len(chances)] += chances / 2
        longer[rank:] += chances / 2
        chances = longer
    return chances


def signed_rank_p(differences: np.ndarray) -> float:
    """Return the two-sided p-value of the exact Wilcoxon signed-rank test.

    Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1 (1945). Zeros are
    left out, ties get the mean of their ranks, and the distribution is that of all sign changes of
    these ranks, so it is exact with ties too. Infinite differences rank above all others.
    """
    kept = differences[differences != 0]
    if not len(kept):
        return 1.0
    ranks = stats.rankdata(np.abs(kept))
    chances = signed_rank_distribution(ranks)
    observed = round(2 * float(ranks[kept > 0].sum()))
    tail = min(chances[: observed + 1].sum(), chances[observed:].sum())
    return float(min(1.0, 2 * tail))


def rank_sum_distribution(ranks: np.ndarray, count: int) -> np.ndarray:
    """Return the chance of each sum of `count` of the ranks, drawn at random, `(2 Σ ranks + 1,)`.

    Entry s belongs to a sum of s / 2, as ranks of ties are halves.
    """
    doubled = np.rint(2 * ranks).astype(int)
    chances = np.zeros((count + 1, doubled.sum() + 1))  # by number of ranks drawn, and their sum
    chances[0, 0] = 1.0
    for rank in doubled:
        chances[1:, rank:] += chances[:-1, : chances.shape[1] - rank].copy()
    return np.asarray(chances[count] / chances[count].sum())


def rank_sum_p(first: np.ndarray, second: np.ndarray) -> float:
    """Return the two-sided p-value of the rank-sum test of two independent samples.

    Wilcoxon (1945); Mann and Whitney, "On a test of whether one of two random variables is
    stochastically larger than the other", Annals of Mathematical Statistics 18 (1947). Ties get
    the mean of their ranks, and the distribution is that of all ways to divide these ranks, so it
    is exact with ties too, for up to `EXACT` values in all; beyond, it is the normal one.
    """
    if not len(first) or not len(second):
        return 1.0
    ranks = stats.rankdata(np.concatenate([first, second]))
    if len(ranks) > EXACT:
        if ranks.min() == ranks.max():
            return 1.0
        return float(stats.mannwhitneyu(ranks[: len(first)], ranks[len(first) :]).pvalue)
    chances = rank_sum_distribution(ranks, len(first))
    observed = round(2 * float(ranks[: len(first)].sum()))
    tail = min(chances[: observed + 1].sum(), chances[observed:].sum())
    return float(min(1.0, 2 * tail))


def shift_of(
    first: np.ndarray, second: np.ndarray, level: float = 0.95
) -> tuple[float, float, float]:
    """Return the median of all differences of two independent samples, and its interval.

    Hodges and Lehmann (1963) again: the interval holds the shifts that the rank-sum test does not
    reject. For 95 % it takes three values against five, or four against four.

    Raises:
        UsageError: a level outside (0, 1).
    """
    check_level(level)
    if not len(first) or not len(second):
        return math.nan, -math.inf, math.inf
    n, m = len(first), len(second)
    values = [np.clip(side, -HUGE, HUGE) for side in (first, second)]
    differences = np.sort(np.subtract.outer(*values).ravel())  # (n m,)
    if n + m > EXACT:
        spread = math.sqrt(n * m * (n + m + 1) / 12)
        outside = math.floor(n * m / 2 + stats.norm.ppf((1 - level) / 2) * spread)
    else:
        sums = rank_sum_distribution(np.arange(1, n + m + 1), n)[::2]
        below = np.cumsum(sums[n * (n + 1) // 2 :])  # P(U <= 0, 1, 2, …)
        outside = int(np.sum(below <= (1 - level) / 2 + 1e-12))
    low, high = -math.inf, math.inf
    if outside > 0:
        low, high = differences[outside - 1], differences[n * m - outside]
    return _unclip(float(np.median(differences))), _unclip(float(low)), _unclip(float(high))


def hodges_lehmann(differences: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Return the median of all pairwise means of differences `(n,)`, and its interval.

    The interval holds the shifts that the signed-rank test does not reject: Hodges and Lehmann,
    "Estimates of location based on rank tests", Annals of Mathematical Statistics 34 (1963). For
    95 % it takes at least six seeds; with fewer it is unbounded.

    Raises:
        UsageError: a level outside (0, 1).
    """
    check_level(level)
    n = len(differences)
    if not n:
        return math.nan, -math.inf, math.inf
    values = np.clip(differences, -HUGE, HUGE)
    first, second = np.triu_indices(n)
    means = np.sort(values[first] / 2 + values[second] / 2)  # (n (n + 1) / 2,)
    below = np.cumsum(signed_rank_distribution(np.arange(1, n + 1)))[::2]  # P(W <= 0, 1, 2, …)
    outside = int(np.sum(below <= (1 - level) / 2 + 1e-12))  # means to cut off on each side
    low = high = math.inf
    if outside:
        low, high = means[outside - 1], means[len(means) - outside]
    else:
        low = -math.inf
    return _unclip(float(np.median(means))), _unclip(float(low)), _unclip(float(high))


def _unclip(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) > HUGE / 1000 else value


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6 (1979): the chance that any true hypothesis is rejected stays below the level.

    >>> [round(p, 4) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def compare_paired(
    problems: Mapping[str, Sequence[Setting]],
    optimizer: str,
    reference: str,
    *,
    metric: Metric | None = None,
    kind: Literal["final", "best"] = "final",
    level: float = 0.95,
) -> list[Paired]:
    """Return the comparison of two optimizers on every problem on which both have runs.

    Seeds pair runs: of the same package they share initial weights, and of the same recipe the
    data order, which removes that part of the spread. Against runs of another program a seed is
    only a name, so there all runs of the one are set against all runs of the other. P-values are
    corrected over the problems that can be compared (`holm`); the intervals are not.

    Args:
        problems: as `tuned_settings` returns them.
        optimizer: label of the one.
        reference: label of the other.
        metric: compared; None: test accuracy where both have one, else the test objective or loss.
        kind: final value, or the best over the evaluations.
        level: of the intervals.

    Raises:
        UsageError: a level outside (0, 1), no such kind.
    """
    found = []
    for problem, listed in problems.items():
        first, second = find(listed, optimizer), find(listed, reference)
        if first is None or second is None:
            continue
        chosen = metric or _common_metric(first.runs, second.runs)
        found.append(_compare(problem, first, second, chosen, kind, level))
    counted = [index for index, paired in enumerate(found) if all(paired.runs)]
    for index, p in zip(counted, holm([found[i].p for i in counted]), strict=True):
        found[index] = replace(found[index], p_holm=p)
    return found


def _common_metric(first: Sequence[RunResult], second: Sequence[RunResult]) -> Metric | None:
    """Return the metric to judge by if both have it, else an objective or loss both have."""
    for name in ("accuracy", "objective", "loss"):
        if all(_has(runs, "test", name) for runs in (first, second)):
            return Metric("test", name, higher_is_better=name == "accuracy")
    return metric_of(first) if metric_of(first) == metric_of(second) else None


def _has(runs: Sequence[RunResult], split: str, name: str) -> bool:
    return any(name in record["metrics"].get(split, {}) for r in runs for record in r.records)


def _compare(
    problem: str,
    first: Setting,
    second: Setting,
    metric: Metric | None,
    kind: Literal["final", "best"],
    level: float,
) -> Paired:
    sides = [_values(setting, metric, kind) for setting in (first, second)]
    by_seed = _programs(first) == _programs(second)
    seeds: tuple[int, ...] = ()
    if by_seed:
        seeds = tuple(sorted(sides[0].keys() & sides[1].keys()))
        sides = [{seed: side[seed] for seed in seeds} for side in sides]
    gains = [np.array(list(side.values())) for side in sides]
    differences = np.zeros(0)
    if by_seed:
        both_diverged = np.isinf(gains[0]) & np.isinf(gains[1])
        with np.errstate(invalid="ignore"):
            differences = np.where(both_diverged, 0.0, gains[0] - gains[1])
        gain, low, high = hodges_lehmann(differences, level)
        p, p_least = signed_rank_p(differences), 2 * 0.5 ** len(seeds)
    else:
        one, other = gains
        both_diverged = np.logical_and.outer(np.isinf(one), np.isinf(other))
        gain, low, high = shift_of(one, other, level)
        p, p_least = rank_sum_p(one, other), 2 / math.comb(len(one) + len(other), len(one))
    return Paired(
        problem=problem,
        optimizer=first.optimizer,
        reference=second.optimizer,
        metric=metric,
        kind=kind,
        by_seed=by_seed,
        seeds=seeds,
        runs=(len(gains[0]), len(gains[1])),
        wins=int(np.sum(differences > 0)),
        ties=int(np.sum(differences == 0)),
        diverged=int(both_diverged.sum()),
        gain=gain,
        low=low,
        high=high,
        level=level,
        p=p,
        p_holm=p,
        p_least=min(1.0, p_least),
    )


def _values(
    setting: Setting, metric: Metric | None, kind: Literal["final", "best"]
) -> dict[int, float]:
    """Return the value of each finished run by its seed, so that more is better."""
    of = value_of(kind)
    values: dict[int, float] = {}
    for run in setting.runs:
        if metric is None or not is_finished(run):
            continue
        value = of(run, metric)
        if math.isfinite(value) or is_diverged(run):
            better = metric.sign * ranked(np.array([value]), metric)
            values.setdefault(run.config.seed, float(better[0]))
    return values


def _programs(setting: Setting) -> set[Any]:
    return {run.environment.get("source") for run in setting.runs}
