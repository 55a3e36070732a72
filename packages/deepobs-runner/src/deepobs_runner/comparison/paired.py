"""Is one optimizer better than another on a problem? Paired over the seeds both have.

Runs of two programs share nothing by a seed, and are compared without pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from deepobs_runner.analysis.metrics import (
    Metric,
    Row,
    is_counted,
    is_diverged,
    metric_of,
    ranked,
    value_of,
)
from deepobs_runner.analysis.tuned import find
from deepobs_runner.comparison.rank_tests import (
    hodges_lehmann,
    holm,
    rank_sum_p,
    shift_of,
    signed_rank_p,
)
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting


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
        seeds: in common, with runs that count; none if a seed pairs nothing.
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
    """Return the value of each run that counts by its seed, so that more is better."""
    of = value_of(kind)
    values: dict[int, float] = {}
    for run in setting.runs:
        if metric is None or not is_counted(run):
            continue
        value = of(run, metric)
        if math.isfinite(value) or is_diverged(run):
            better = metric.sign * ranked(np.array([value]), metric)
            values.setdefault(run.config.seed, float(better[0]))
    return values


def _programs(setting: Setting) -> set[Any]:
    return {run.environment.get("source") for run in setting.runs}
