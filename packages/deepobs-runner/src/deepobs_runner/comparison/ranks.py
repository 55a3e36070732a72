"""Mean ranks of several optimizers over problems."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from deepobs_runner.analysis.bootstrap import check_level
from deepobs_runner.analysis.metrics import Row
from deepobs_runner.analysis.t_tests import student
from deepobs_runner.analysis.tuned import find
from deepobs_runner.comparison.rank_tests import doubled_ranks
from deepobs_runner.comparison.speedup import win_share
from deepobs_runner.comparison.targets import Target
from deepobs_runner.comparison.time_to_target import comparable_times
from deepobs_runner.config import Unit
from deepobs_runner.results.settings import Setting

LEAST_OPTIMIZERS = 3
"""For two optimizers, the probability of being faster is equivalent."""

LEAST_FOR_DIFFERENCE = 10
"""Problems from which on a critical difference is given."""


@dataclass(frozen=True, kw_only=True)
class MeanRank:
    """The mean rank of one optimizer.

    Attributes:
        optimizer: its label.
        rank: mean over problems; 1 is the fastest.
        low: lower end of the interval over problems; NaN for fewer than three problems.
        high: its upper end.
    """

    optimizer: str
    rank: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """Mean ranks of several optimizers over the same problems.

    Attributes:
        problems: on which each of them has times to the target.
        level: confidence level of the intervals.
        ranks: ranks of each optimizer.
        p: p-value of Friedman's test that all are equal; NaN for fewer than three problems.
        critical_difference: mean ranks that differ by more differ by Nemenyi's test; None for
            fewer than ten problems.
    """

    problems: tuple[str, ...]
    level: float
    ranks: tuple[MeanRank, ...]
    p: float
    critical_difference: float | None

    def rows(self) -> list[Row]:
        """Row for every optimizer."""
        return [{**vars(rank), "problems": len(self.problems)} for rank in self.ranks]


def mean_ranks(
    problems: Mapping[str, Sequence[Setting]],
    targets: Mapping[str, Target | None],
    labels: Sequence[str],
    *,
    unit: Unit = "epochs",
    level: float = 0.95,
) -> Ranks | None:
    """Mean rank of each optimizer by its time to the target.

    The rank on a problem is 1 plus, over all others, the share of pairs of runs that these win:
    the rank that a single run of each would have on average. A run that never reaches the target is
    last; on a problem without runs that reach the target, all optimizers tie. The interval is
    over problems, by Student's t.

    Friedman, "The use of ranks to avoid the assumption of normality", JASA 32 (1937); Nemenyi
    (1963); Demšar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7 (2006).

    Returns:
        None for fewer than three optimizers or without a problem on which all have times.

    Raises:
        UsageError: a level outside (0, 1), no such unit.
    """
    check_level(level)
    if len(labels) < LEAST_OPTIMIZERS:
        return None
    table: dict[str, list[float]] = {}
    for problem, listed in problems.items():
        target = targets.get(problem)
        sides = [find(listed, label) for label in labels]
        if target is None or None in sides:
            continue
        found = [times for times in comparable_times(sides, target, unit) if times is not None]
        if all(len(times.times) for times in found):
            table[problem] = [
                1 + sum(win_share(other, times) for other in found if other is not times)
                for times in found
            ]
    if not table:
        return None
    ranks = np.array(list(table.values()))  # (P, optimizers)
    count, optimizers = ranks.shape
    low = high = np.full(optimizers, math.nan)
    p = math.nan
    if count >= 3:
        low, high = (np.clip(e, 1, optimizers) for e in student(ranks.T).interval(level))
        if np.ptp(ranks, axis=1).any():
            p = _friedman_p(ranks)
    return Ranks(
        problems=tuple(table),
        level=level,
        ranks=tuple(
            MeanRank(optimizer=label, rank=float(rank), low=float(one), high=float(other))
            for label, rank, one, other in zip(labels, ranks.mean(axis=0), low, high, strict=True)
        ),
        p=p,
        critical_difference=_nemenyi(optimizers, count, level),
    )


def _friedman_p(values: np.ndarray) -> float:
    """P-value of Friedman's test of values `(problems, optimizers)`, for ties too.

    Friedman, "The use of ranks to avoid the assumption of normality implicit in the analysis of
    variance", Journal of the American Statistical Association 32 (1937).
    """
    optimizers = values.shape[1]
    ranks = np.array([doubled_ranks(row) for row in values]) / 2
    sums = ranks.sum(axis=0)
    spread = ((ranks - (optimizers + 1) / 2) ** 2).sum()  # of all ranks; less with ties
    between = ((sums - sums.mean()) ** 2).sum()
    statistic = (optimizers - 1) * between / spread
    return float(special.chdtrc(optimizers - 1, statistic))


def _nemenyi(optimizers: int, problems: int, level: float) -> float | None:
    if problems < LEAST_FOR_DIFFERENCE:
        return None
    from scipy import stats  # takes a second

    reach = stats.studentized_range.ppf(level, optimizers, np.inf) / math.sqrt(2)
    return float(reach * math.sqrt(optimizers * (optimizers + 1) / (6 * problems)))
