"""What is compared: the metric of a problem, and the value a run has of it at its end."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepobs_runner.analysis.bootstrap import check_level, quantiles
from deepobs_runner.analysis.t_tests import student
from deepobs_runner.errors import UsageError
from deepobs_runner.results.result import RunResult

Row = dict[str, Any]


@dataclass(frozen=True)
class Metric:
    """A number of every evaluation.

    Attributes:
        split: `train_eval`, `valid` or `test`.
        name: as in the records: `objective`, `loss`, `accuracy` or one of the problem.
        higher_is_better: for accuracies, not for losses.
    """

    split: str
    name: str
    higher_is_better: bool

    @property
    def worst(self) -> float:
        """A value that is worse than any number."""
        return -math.inf if self.higher_is_better else math.inf

    @property
    def sign(self) -> float:
        """1 where higher is better, else -1."""
        return 1.0 if self.higher_is_better else -1.0

    def clip(self, value: float) -> float:
        """End of an interval within the values that the metric can have; NaN stays.

        >>> TEST_ACCURACY.clip(1.02), TEST_OBJECTIVE.clip(-0.1)
        (1.0, -0.1)
        """
        return min(max(value, 0.0), 1.0) if self.name == "accuracy" else value

    def __str__(self) -> str:
        return f"{self.split} {self.name}"


class Numbers:
    """Numbers that make one row of a table."""

    def rows(self) -> list[Row]:
        """One row of a table."""
        return [{k: str(v) if isinstance(v, Metric) else v for k, v in vars(self).items()}]


TEST_OBJECTIVE = Metric("test", "objective", higher_is_better=False)
TEST_ACCURACY = Metric("test", "accuracy", higher_is_better=True)


def metric_of(runs: Iterable[RunResult], split: str = "test") -> Metric | None:
    """Metric by which runs of a problem are judged.

    That is the accuracy where there is one, else the objective, else the loss; None without any.
    """
    runs = list(runs)
    for name in ("accuracy", "objective", "loss"):
        if any(name in record["metrics"].get(split, {}) for run in runs for record in run.records):
            return Metric(split, name, higher_is_better=name == "accuracy")
    return None


def own_metric(runs: Iterable[RunResult]) -> Metric | None:
    """Test metric that only this problem has, such as the excess over a known minimum.

    The first that is neither loss, objective nor accuracy, and has a plain name; of a squared one
    its root, if it is recorded. None for a problem without one, or with an accuracy.
    """
    tests = [record["metrics"].get("test", {}) for run in runs for record in run.records]
    names = list(dict.fromkeys(name for values in tests for name in values))
    own = [name for name in names if _PLAIN.fullmatch(name) and name not in ("loss", "objective")]
    if not own or "accuracy" in own:
        return None
    roots = [name for name in own[1:] if all(_is_root(v.get(name), v.get(own[0])) for v in tests)]
    return Metric("test", (roots or own)[0], higher_is_better=False)


_PLAIN = re.compile(r"[a-z]\w{0,39}", re.ASCII | re.IGNORECASE)
"""Names of metrics for headings: results may come from elsewhere."""


def _is_root(value: float | None, squared: float | None) -> bool:
    """Whether a value is the square root of another, or either is missing."""
    if value is None or squared is None or not squared >= 0:
        return True
    return value == math.sqrt(squared)


def is_diverged(run: RunResult) -> bool:
    """Whether a run is recorded as diverged, or ends with a loss that is not finite.

    The original DeepOBS trained diverged runs to the end and gave them no status.
    """
    if run.status == "diverged":
        return True
    if not run.records:
        return False
    for values in run.records[-1]["metrics"].values():
        for name in ("objective", "loss"):
            if name in values and (values[name] is None or not math.isfinite(values[name])):
                return True
    return False


def is_counted(run: RunResult) -> bool:
    """Whether the final value of a run counts: it is done, diverged, or was stopped early.

    Runs that reached a time limit, failed or are still running are truncated and do not count, nor
    do runs without a record.
    """
    return run.finished and not run.out_of_time and len(run.records) > 0


def counted(runs: Iterable[RunResult]) -> list[RunResult]:
    """Runs that count; if none does, all with a record, where they are."""
    recorded = [run for run in runs if run.records]
    return list(filter(is_counted, recorded)) or recorded


def final_value(run: RunResult, metric: Metric) -> float:
    """Metric at the last evaluation; NaN without one or if the run diverged."""
    if not run.records or is_diverged(run):
        return math.nan
    value = run.records[-1]["metrics"].get(metric.split, {}).get(metric.name)
    return math.nan if value is None else float(value)


def best_value(run: RunResult, metric: Metric) -> float:
    """Best finite value of all evaluations, of a diverged run too; NaN without one."""
    values = run.series(metric.split, metric.name)
    values = values[np.isfinite(values)]
    if not len(values):
        return math.nan
    return float(values.max() if metric.higher_is_better else values.min())


def value_of(kind: str) -> Callable[[RunResult, Metric], float]:
    """`final_value` or `best_value` by the name `final` or `best`.

    Raises:
        UsageError: another name.
    """
    functions = {"final": final_value, "best": best_value}
    if kind not in functions:
        raise UsageError(f"kind is {kind!r}; allowed: {', '.join(functions)}.")
    return functions[kind]


def ranked(values: np.ndarray, metric: Metric) -> np.ndarray:
    """Values with every NaN replaced by what is worse than any number."""
    return np.where(np.isnan(values), metric.worst, values)


@dataclass(frozen=True, kw_only=True)
class End(Numbers):
    """How the runs of a setting ended.

    Attributes:
        metric: metric of the values.
        kind: `final`, or `best` over the evaluations.
        runs: those that count and have the metric.
        diverged: how many of them diverged.
        left_out: runs that do not count, see `is_counted`.
        mean: NaN if a run has no finite value.
        std: with ddof 1; NaN for one run.
        median: a run without a finite value is worse than every other; so are the quartiles.
        lower_quartile: lower quartile of the values.
        upper_quartile: upper quartile of the values.
        interquartile_mean: see the function of this name.
        low: lower end of the interval of the mean; NaN for one run, and where the mean is.
        high: its upper end.
        level: confidence level of the interval.
    """

    metric: Metric
    kind: str
    runs: int
    diverged: int
    left_out: int
    mean: float
    std: float
    median: float
    lower_quartile: float
    upper_quartile: float
    interquartile_mean: float
    low: float
    high: float
    level: float


def summarize_end(
    runs: Sequence[RunResult], metric: Metric, kind: str = "final", *, level: float = 0.95
) -> End | None:
    """Mean, spread and quantiles over seeds of the final or the best value.

    Args:
        runs: runs of one setting, one per seed; see `counted`.
        metric: what to summarize.
        kind: `final` or `best`.
        level: confidence level of the interval of the mean, see `mean_interval`.

    Returns:
        None if no run that counts has the metric.

    Raises:
        UsageError: a level outside (0, 1), no such kind.
    """
    check_level(level)
    used = counted(runs)
    having = [r for r in used if metric.name in r.records[-1]["metrics"].get(metric.split, {})]
    if not having:
        return None
    of = value_of(kind)
    values = np.array([of(run, metric) for run in having])
    finite = np.isfinite(values).all()
    lower, median, upper = quantiles(ranked(values, metric), [0.25, 0.5, 0.75])
    low, high = mean_interval(values, level=level)
    return End(
        metric=metric,
        kind=kind,
        runs=len(values),
        diverged=sum(map(is_diverged, having)),
        left_out=len(runs) - len(used),
        mean=float(values.mean()),
        std=float(values.std(ddof=1)) if len(values) > 1 and finite else math.nan,
        median=float(median),
        lower_quartile=float(lower),
        upper_quartile=float(upper),
        interquartile_mean=interquartile_mean(ranked(values, metric)),
        low=low,
        high=high,
        level=level,
    )


def mean_interval(values: np.ndarray, *, level: float = 0.95) -> tuple[float, float]:
    """Student's interval of a mean `(n,)`; NaN for one number or one that is not finite.

    For three seeds it covers at its level, where bootstrap intervals of a mean cover about 75 %
    instead of 95: docs/statistics.md.
    """
    if len(values) < 2 or not np.isfinite(values).all():
        return math.nan, math.nan
    low, high = student(values).interval(level)
    return float(low), float(high)


def interquartile_mean(values: np.ndarray) -> float:
    """Mean without the lowest and the highest quarter, `(n,)`; NaN without values.

    The quarter is rounded down. Agarwal, Schwarzer, Castro, Courville and Bellemare, "Deep
    Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS 2021.

    >>> interquartile_mean(np.array([1.0, 2.0, 4.0, np.inf]))
    3.0
    """
    cut = len(values) // 4
    kept = np.sort(values)[cut : len(values) - cut]
    return float(kept.mean()) if len(kept) else math.nan


@dataclass(frozen=True, kw_only=True)
class Divergence(Numbers):
    """The share of runs that diverged, and its interval.

    Attributes:
        diverged: their number.
        runs: those that count.
        rate: NaN without runs.
        low: lower end of the interval.
        high: its upper end.
        level: confidence level of the interval.
    """

    diverged: int
    runs: int
    rate: float
    low: float
    high: float
    level: float


def divergence_rate(runs: Sequence[RunResult], *, level: float = 0.95) -> Divergence:
    """Share of the runs that count that diverged, with Wilson's interval.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927);
    recommended for few runs by Brown, Cai and DasGupta, Statistical Science 16 (2001).

    Args:
        runs: runs of one setting, as those of a grid are no sample of anything; see `is_counted`.
        level: confidence level of the interval.

    Raises:
        UsageError: a level outside (0, 1).
    """
    check_level(level)
    used = list(filter(is_counted, runs))
    count, total = sum(map(is_diverged, used)), len(used)
    rate = low = high = math.nan
    if total:
        rate = count / total
        from scipy import stats  # takes a second, which other numbers need not wait for

        found = stats.binomtest(count, total).proportion_ci(level, method="wilson")
        low, high = float(found.low), float(found.high)
    return Divergence(diverged=count, runs=total, rate=rate, low=low, high=high, level=level)
