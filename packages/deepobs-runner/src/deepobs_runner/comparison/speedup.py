"""How many times as fast one optimizer reaches the targets as another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

import numpy as np

from deepobs_runner.analysis.bootstrap import (
    LEAST_SEEDS,
    check_level,
    check_resamples,
    interval,
)
from deepobs_runner.analysis.metrics import Row
from deepobs_runner.analysis.sample_size import check_factor, seeds_for_ratio
from deepobs_runner.analysis.tuned import find
from deepobs_runner.comparison.targets import Target
from deepobs_runner.comparison.time_to_target import Times, comparable_times
from deepobs_runner.config import Unit
from deepobs_runner.results.settings import Setting

Excluded = Literal[
    "", "no target", "no runs", "not recorded", "too short", "not reached", "untrained", "few seeds"
]
"""Why a problem is left out of the mean; `untrained`: the target is reached before training."""


class Options(TypedDict, total=False):
    """How two optimizers are compared, see `speedup`."""

    unit: Unit
    level: float
    resamples: int
    seed: int
    wanted: float


@dataclass(frozen=True, kw_only=True)
class ProblemSpeedup:
    """How many times as fast an optimizer reaches the target of one problem.

    Attributes:
        problem: its name.
        optimizer: label of the optimizer.
        reference: label of what it is compared with.
        target: to reach; None if the problem has none.
        times: of the optimizer; None without runs or target.
        reference_times: of the reference.
        ratio: median time of the reference over that of the optimizer; NaN where it is undefined.
        low: lower end of its interval; NaN with fewer than three seeds on a side.
        high: its upper end.
        unit: to count in.
        excluded: why there is no ratio, or none with an interval; empty if there is one.
        more_seeds: how many more an undecided ratio needs for the wanted interval, or one without
            an interval for any; 0 if it is decided or narrow enough, None if that cannot be said.
    """

    problem: str
    optimizer: str
    reference: str
    target: Target | None
    times: Times | None
    reference_times: Times | None
    ratio: float
    low: float
    high: float
    unit: Unit
    excluded: Excluded
    more_seeds: int | None

    @property
    def decided(self) -> bool:
        """Whether the interval lies on one side of 1."""
        return self.low > 1 or self.high < 1

    @property
    def too_short(self) -> str:
        """Label of the one whose runs end before the other reaches the target, else nothing."""
        return _too_short(self.times, self.reference_times, self.optimizer, self.reference)

    @property
    def reached_by(self) -> tuple[str, ...]:
        """Labels of those that reach the target in half of their runs."""
        sides = ((self.optimizer, self.times), (self.reference, self.reference_times))
        return tuple(label for label, t in sides if t is not None and math.isfinite(t.median))

    def rows(self) -> list[Row]:
        """Return one row of a table."""
        row: Row = {
            "problem": self.problem,
            "optimizer": self.optimizer,
            "reference": self.reference,
            "target": None if self.target is None else str(self.target),
        }
        for name, times in (("", self.times), ("reference_", self.reference_times)):
            row[f"{name}median"] = None if times is None else times.median
            row[f"{name}reached"] = None if times is None else int(times.reached.sum())
            row[f"{name}runs"] = None if times is None else len(times.times)
        names = ("ratio", "low", "high", "excluded", "more_seeds")
        return [{**row, **{name: getattr(self, name) for name in names}}]


@dataclass(frozen=True, kw_only=True)
class Speedup:
    """The geometric mean over problems.

    Attributes:
        optimizer: label.
        reference: label.
        unit: that was counted.
        ratio: geometric mean over the problems that have a ratio with an interval; NaN if none has.
        low: lower end of its interval.
        high: its upper end.
        level: of the intervals.
        problems: one by one, those without a ratio too.
    """

    optimizer: str
    reference: str
    unit: Unit
    ratio: float
    low: float
    high: float
    level: float
    problems: tuple[ProblemSpeedup, ...]

    @property
    def used(self) -> tuple[ProblemSpeedup, ...]:
        """The problems in the mean."""
        return tuple(problem for problem in self.problems if not problem.excluded)

    def rows(self) -> list[Row]:
        """Return a row for every problem, and one for the mean."""
        overall = {
            "problem": f"geometric mean of {len(self.used)}",
            "optimizer": self.optimizer,
            "reference": self.reference,
            "ratio": self.ratio,
            "low": self.low,
            "high": self.high,
        }
        return [*(row for problem in self.problems for row in problem.rows()), overall]


def speedup(
    problems: Mapping[str, Sequence[Setting]],
    targets: Mapping[str, Target | None],
    optimizer: str,
    reference: str,
    *,
    unit: Unit = "epochs",
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    wanted: float = 1.2,
) -> Speedup:
    """Return how many times as fast an optimizer reaches the targets as a reference.

    On a problem: the ratio of the Kaplan-Meier medians. Over problems: the geometric mean, the only
    mean that does not depend on which of the two is the reference (Fleming and Wallace, "How not to
    lie with statistics", CACM 29, 1986). Its interval is a percentile bootstrap in which the seeds
    of every problem and optimizer are drawn on their own: stratified, as proposed by Agarwal,
    Schwarzer, Castro, Courville and Bellemare, "Deep Reinforcement Learning at the Edge of the
    Statistical Precipice", NeurIPS 2021. It says what other seeds on these problems would give,
    not what other problems would.

    A problem where one side does not reach the target in half of its runs has no ratio and is left
    out of the mean, so read `problems` beside it.

    Args:
        problems: as `tuned_settings` returns them.
        targets: by problem.
        optimizer: label of the one.
        reference: label of the other.
        unit: to count in.
        level: of the intervals.
        resamples: bootstrap samples.
        seed: of the bootstrap.
        wanted: an undecided problem needs more seeds until its interval reaches from the ratio over
            this to the ratio times it.

    Raises:
        UsageError: a level outside (0, 1), no resamples, wanted not above 1, no such unit.
    """
    check_level(level)
    check_resamples(resamples)
    check_factor(wanted)
    lines, drawn = [], []
    for problem, listed in problems.items():
        sides = [find(listed, label) for label in (optimizer, reference)]
        if sides == [None, None]:
            continue
        target = targets.get(problem)
        first, second = [None] * 2 if target is None else comparable_times(sides, target, unit)
        ratio, excluded = _ratio(target, first, second)
        low = high = math.nan
        more: int | None = None
        if not math.isnan(ratio) and first is not None and second is not None:
            seeds = min(len(first.times), len(second.times))
            more = LEAST_SEEDS - seeds
            if not excluded:
                words = ((problem, optimizer), (problem, reference))
                drawn.append(_log_ratios(first, second, words, resamples, seed))
                low, high = map(_exp, interval(drawn[-1], level))
                needed = seeds_for_ratio(low, high, seeds, wanted)
                decided = low > 1 or high < 1
                more = 0 if decided else None if needed is None else needed - seeds
        lines.append(
            ProblemSpeedup(
                problem=problem,
                optimizer=optimizer,
                reference=reference,
                target=target,
                times=first,
                reference_times=second,
                ratio=ratio,
                low=low,
                high=high,
                unit=unit,
                excluded=excluded,
                more_seeds=more,
            )
        )
    ratio, low, high = _geometric_mean(lines, drawn, level)
    return Speedup(
        optimizer=optimizer,
        reference=reference,
        unit=unit,
        ratio=ratio,
        low=low,
        high=high,
        level=level,
        problems=tuple(lines),
    )


def _ratio(
    target: Target | None, first: Times | None, second: Times | None
) -> tuple[float, Excluded]:
    """Return the ratio of medians, and why there is none or no interval, else nothing."""
    if target is None:
        return math.nan, "no target"
    for times in (first, second):
        if times is None or not len(times.times):
            return math.nan, "no runs" if times is None else "not recorded"
    if first is None or second is None:  # for type checkers
        return math.nan, "no runs"
    if _too_short(first, second, "first", "second"):
        return math.nan, "too short"
    if math.isinf(first.median) or math.isinf(second.median):
        return math.nan, "not reached"
    if first.median == 0 or second.median == 0:
        return math.nan, "untrained"
    few = min(len(first.times), len(second.times)) < LEAST_SEEDS
    return second.median / first.median, "few seeds" if few else ""


def _too_short(first: Times | None, second: Times | None, optimizer: str, reference: str) -> str:
    if first is None or second is None:
        return ""
    for times, other, label in ((first, second, optimizer), (second, first, reference)):
        if math.isfinite(other.median) and times.ends_before(other.median):
            return label
    return ""


def _log_ratios(
    first: Times, second: Times, words: Sequence[tuple[str, ...]], resamples: int, seed: int
) -> np.ndarray:
    """Return the logarithm of the ratio in each bootstrap sample; NaN where it is undefined."""
    medians = [
        t.replicates(resamples, seed, *w) for t, w in zip((first, second), words, strict=True)
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(medians[1]) - np.log(medians[0]))


def _geometric_mean(
    lines: Sequence[ProblemSpeedup], drawn: Sequence[np.ndarray], level: float
) -> tuple[float, float, float]:
    if not drawn:
        return math.nan, math.nan, math.nan
    ratio = math.exp(np.mean([math.log(line.ratio) for line in lines if not line.excluded]))
    with np.errstate(invalid="ignore"):
        low, high = interval(np.mean(drawn, axis=0), level)
    return ratio, _exp(low), _exp(high)


def _exp(log: float) -> float:
    return math.exp(log) if log < 700 else math.inf
