"""How often runs diverge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from deepobs_runner.analysis.bootstrap import check_level
from deepobs_runner.analysis.metrics import Row, is_diverged, is_finished
from deepobs_runner.results.result import RunResult


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """The share of runs that diverged, and its interval.

    Attributes:
        diverged: their number.
        runs: finished runs.
        rate: NaN without runs.
        low: lower end of the interval.
        high: its upper end.
        level: of the interval.
    """

    diverged: int
    runs: int
    rate: float
    low: float
    high: float
    level: float

    def rows(self) -> list[Row]:
        """Return one row of a table."""
        return [dict(vars(self))]


def divergence_rate(runs: Sequence[RunResult], *, level: float = 0.95) -> Divergence:
    """Return the share of finished runs that diverged, with Wilson's interval.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927);
    recommended for few runs by Brown, Cai and DasGupta, Statistical Science 16 (2001).

    Args:
        runs: of one setting, as those of a grid are no sample of anything; those still running or
            failed are left out.
        level: of the interval.

    Raises:
        UsageError: a level outside (0, 1).
    """
    check_level(level)
    finished = [run for run in runs if is_finished(run)]
    count, total = sum(map(is_diverged, finished)), len(finished)
    rate = low = high = math.nan
    if total:
        rate = count / total
        found = stats.binomtest(count, total).proportion_ci(level, method="wilson")
        low, high = float(found.low), float(found.high)
    return Divergence(diverged=count, runs=total, rate=rate, low=low, high=high, level=level)
