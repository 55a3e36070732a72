"""The comparison of two optimizers on one problem: one line of a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from deepobs_runner.analysis.metrics import Metric, Row
from deepobs_runner.analysis.tuned import find
from deepobs_runner.comparison.estimate import Estimate
from deepobs_runner.comparison.final_values import (
    common_metric,
    final_difference,
    same_program,
    values_by_seed,
)
from deepobs_runner.comparison.speedup import reached_p, speedup_of
from deepobs_runner.comparison.targets import Target
from deepobs_runner.comparison.time_to_target import Times, comparable_times
from deepobs_runner.config import Unit
from deepobs_runner.results.settings import Setting

SpeedupStatus = Literal[
    "faster", "slower", "inconclusive", "not reached", "too short", "one run",
    "no target", "no runs", "not recorded", "untrained",
]  # fmt: skip
FinalStatus = Literal["better", "worse", "inconclusive", "no runs"]


@dataclass(frozen=True, kw_only=True)
class ProblemComparison:
    """Speedup and difference of final values on one problem.

    Attributes:
        problem: its name.
        optimizer: label of the optimizer.
        reference: label of what it is compared with.
        unit: to count time in.
        level: confidence level of the intervals.
        target: target to reach; None if the problem has none.
        times: times of the optimizer; None without runs or target.
        reference_times: times of the reference.
        speedup: above 1 where the optimizer is faster; None if nothing is known of it.
        undecided: the status of a speedup that no test decides.
        reached_p: Fisher's exact p-value, uncorrected, of the runs that reach the target; NaN
            without times.
        final: difference of final values, above 0 where the optimizer is better.
        final_metric: that is compared; None if the runs have none in common.
        final_runs: number of runs with a final value, of the optimizer and the reference.
        diverged: how many of these diverged.
        pairs: common seeds; 0 where two programs made the runs.
        other_targets: speedup to an easier and a harder target, where these are known; outside the
            correction of p-values, so never decided.
    """

    problem: str
    optimizer: str
    reference: str
    unit: Unit
    level: float
    target: Target | None
    times: Times | None
    reference_times: Times | None
    speedup: Estimate | None
    undecided: SpeedupStatus
    reached_p: float
    final: Estimate | None
    final_metric: Metric | None
    final_runs: tuple[int, int]
    diverged: tuple[int, int]
    pairs: int
    other_targets: Mapping[str, Estimate | None]

    @property
    def reached(self) -> tuple[int, int]:
        """Number of runs of the optimizer that reach the target, and of all its runs."""
        return (0, 0) if self.times is None else self.times.reached_of

    @property
    def reference_reached(self) -> tuple[int, int]:
        """Number of runs of the reference that reach the target, and of all its runs."""
        return (0, 0) if self.reference_times is None else self.reference_times.reached_of

    @property
    def speedup_status(self) -> SpeedupStatus:
        """Status of the speedup by the corrected p-value, or the reason without one."""
        if self.speedup is None or not self.speedup.decided:
            return self.undecided
        return "faster" if self.speedup.low >= 1 else "slower"

    @property
    def shown_speedup(self) -> Estimate | None:
        """Speedup to show; None where the status is the reason against one.

        A bound that follows from the end of runs is about their length, not about the optimizer.
        """
        return None if self.speedup_status in ("too short", "not reached") else self.speedup

    @property
    def final_status(self) -> FinalStatus:
        """Status of the final value by the corrected p-value."""
        if self.final is None:
            return "no runs"
        if not self.final.decided:
            return "inconclusive"
        return "better" if self.final.low >= 0 else "worse"

    @property
    def too_short(self) -> str:
        """Optimizer with runs that end before the other reaches the target; else empty."""
        if self.undecided != "too short":
            return ""
        first = _ends_before(self.times, self.reference_times)
        return self.optimizer if first else self.reference

    def rows(self) -> list[Row]:
        """One row of a table."""
        row: Row = {
            "problem": self.problem,
            "optimizer": self.optimizer,
            "reference": self.reference,
            "target": None if self.target is None else str(self.target),
        }
        for name, times in (("", self.times), ("reference_", self.reference_times)):
            row[f"{name}time"] = None if times is None else times.geometric_mean
            row[f"{name}median"] = None if times is None else times.median
            row[f"{name}reached"] = None if times is None else times.reached_of[0]
            row[f"{name}runs"] = None if times is None else times.reached_of[1]
        row |= {"reached_p": self.reached_p, "speedup_status": self.speedup_status}
        row |= _flat("speedup", self.speedup)
        for name, estimate in self.other_targets.items():
            row |= _flat(f"{name}_speedup", estimate)
        metric = None if self.final_metric is None else str(self.final_metric)
        row |= {"metric": metric, "final_status": self.final_status}
        row |= _flat("final", self.final)
        for index, name in enumerate(("", "reference_")):
            row[f"{name}final_runs"] = self.final_runs[index]
            row[f"{name}diverged"] = self.diverged[index]
        return [{**row, "pairs": self.pairs}]


def compare_on_problem(
    problem: str,
    listed: Sequence[Setting],
    target: Target | None,
    optimizer: str,
    reference: str,
    *,
    unit: Unit = "epochs",
    level: float = 0.95,
    other_targets: Mapping[str, Target | None] = MappingProxyType({}),
) -> ProblemComparison:
    """Compare on one problem; p-values are not corrected yet.

    Args:
        problem: its name.
        listed: the tuned settings of the problem, see `tuned_settings`.
        target: target to reach.
        optimizer: label of the one.
        reference: label of the other.
        unit: unit of time.
        level: confidence level of the intervals.
        other_targets: easier and harder ones, by name.

    Raises:
        UsageError: a level outside (0, 1), no such unit.
    """
    sides = find(listed, optimizer), find(listed, reference)
    speedup, undecided, times = _speedup(sides, target, unit, level)
    metric = final = None
    values: tuple[dict[int, float], ...] = ({}, {})
    pairs = 0
    one, other = sides
    if one is not None and other is not None:
        metric = common_metric(one.runs, other.runs)
    if one is not None and other is not None and metric is not None:
        values = values_by_seed(one, metric), values_by_seed(other, metric)
        seeds_pair = same_program(one, other)
        final = final_difference(*values, seeds_pair=seeds_pair, level=level)
        pairs = len(values[0].keys() & values[1].keys()) if seeds_pair else 0
    reached = [(0, 0) if t is None else t.reached_of for t in times]
    runs = [len(side) for side in values]
    diverged = [sum(map(math.isinf, side.values())) for side in values]
    return ProblemComparison(
        problem=problem,
        optimizer=optimizer,
        reference=reference,
        unit=unit,
        level=level,
        target=target,
        times=times[0],
        reference_times=times[1],
        speedup=speedup,
        undecided=undecided,
        reached_p=reached_p(*reached),
        final=final,
        final_metric=metric,
        final_runs=(runs[0], runs[1]),
        diverged=(diverged[0], diverged[1]),
        pairs=pairs,
        other_targets={
            name: _uncorrected(_speedup(sides, other_target, unit, level)[0])
            for name, other_target in other_targets.items()
        },
    )


def _speedup(
    sides: Sequence[Setting | None], target: Target | None, unit: Unit, level: float
) -> tuple[Estimate | None, SpeedupStatus, tuple[Times | None, Times | None]]:
    """Speedup, its status if no test decides it, and the times of both sides."""
    if target is None:
        return None, "no target", (None, None)
    first, second = comparable_times(sides, target, unit)
    times = first, second
    if first is None or second is None:
        return None, "no runs", times
    if not len(first.times) or not len(second.times):
        return None, "not recorded", times
    if any((side.times[side.reached] == 0).any() for side in (first, second)):
        return None, "untrained", times
    estimate = speedup_of(first, second, level)
    if _ends_before(first, second) or _ends_before(second, first):
        return estimate, "too short", times
    if estimate is None:
        return None, "not reached", times
    one_run = min(len(first.times), len(second.times)) < 2
    return estimate, "one run" if one_run else "inconclusive", times


def _uncorrected(estimate: Estimate | None) -> Estimate | None:
    return None if estimate is None else replace(estimate, p_corrected=math.nan)


def _ends_before(times: Times | None, other: Times | None) -> bool:
    """Whether too many runs of one side end before the other side reaches the target."""
    if times is None or other is None:
        return False
    return math.isfinite(other.median) and times.ends_before(other.median)


def _flat(name: str, estimate: Estimate | None) -> Row:
    """Numbers of an estimate as columns of a row."""
    names = ("value", "low", "high", "p", "p_corrected", "method", "bound")
    return {f"{name}_{key}": None if estimate is None else getattr(estimate, key) for key in names}
