"""How many seeds a comparison needs: spreads of baselines, and what they let a test find."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from deepobs_runner.analysis import (
    Metric,
    detectable,
    metric_of,
    seeds_for_power,
    tuned_settings,
    welch_power,
)
from deepobs_runner.analysis.bootstrap import check_level
from deepobs_runner.analysis.metrics import Row, final_value, is_counted
from deepobs_runner.comparison import Target, Unit, targets_of, times_to_target
from deepobs_runner.comparison.overall import LEAST_FOR_MEAN, LEAST_STRATA
from deepobs_runner.comparison.pairs import USUAL_REFERENCES
from deepobs_runner.config import without_folder
from deepobs_runner.errors import UsageError
from deepobs_runner.results.baselines import BaselineSet, baseline_results, problems_of
from deepobs_runner.results.settings import Setting

LEAST_RUNS = 3
"""Runs that a spread takes."""

RATIOS = (1.1, 1.2, 1.5)
"""Speedups that are planned for."""

ALL_SEEDS = range(2, 21)
"""Numbers of seeds of which files hold the power."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How much the runs of a tuned baseline differ between seeds.

    Attributes:
        problem: its name.
        reference: label of the optimizer.
        source: name of the baseline set.
        unit: unit of the times.
        target: target of the times; None if the problem has no target.
        runs: those that count.
        reached: how many of them reach the target.
        time: geometric mean of their times; NaN unless half of the runs, and three, reach it.
        log_spread: standard deviation of the logarithms of these times.
        log_known: variance of the difference of two mean log times, because a time is known up to
            an evaluation; it does not fall with the number of seeds.
        metric: metric of the final value; None without one.
        final: mean final value; NaN if a run diverged.
        final_spread: its standard deviation.
        is_edited: whether the file of the problem has changed since these runs.
    """

    problem: str
    reference: str
    source: str
    unit: Unit
    target: Target | None
    runs: int
    reached: int
    time: float
    log_spread: float
    log_known: float
    metric: Metric | None
    final: float
    final_spread: float
    is_edited: bool = False

    def power(self, ratio: float, seeds: int, level: float) -> float:
        """Probability that this number of seeds per side shows a speedup; NaN without times."""
        if math.isnan(self.log_spread):
            return math.nan
        return welch_power(
            math.log(ratio), self.log_spread, seeds, known_variance=self.log_known, level=level
        )

    def seeds(self, ratio: float, power: float, level: float) -> int | None:
        """Fewest seeds of each side that show a speedup; None if none or no times."""
        if math.isnan(self.log_spread):
            return None
        return seeds_for_power(
            math.log(ratio),
            self.log_spread,
            power=power,
            known_variance=self.log_known,
            level=level,
        )

    def difference(self, seeds: int, power: float, level: float) -> float:
        """Smallest difference of final values that this number of seeds shows."""
        if math.isnan(self.final_spread):
            return math.nan
        return detectable(self.final_spread, seeds, power=power, level=level)


def spreads_of(
    sets: Iterable[BaselineSet],
    problems: Sequence[str] = (),
    *,
    contents: Mapping[str, str] = MappingProxyType({}),
    references: Sequence[str] = USUAL_REFERENCES,
    unit: Unit = "epochs",
) -> list[Spread]:
    """Spreads of the tuned settings of baseline sets, by problem.

    Args:
        sets: official results, shipped sets or folders of results.
        problems: names, or `path/to/file.py:name`; none: all of the sets.
        contents: fingerprints of problems in files, by their names without the folder; results of
            another version of a file serve only without one of this version.
        references: names of optimizers.
        unit: to count time in; a set that does not record it has no times.

    Raises:
        UsageError: no such unit, or a set is damaged.
    """
    problems = list(map(without_folder, problems))
    found = []
    for each in sets:
        for problem in problems_of(each):
            if problems and problem not in problems:
                continue
            runs = baseline_results(each, problem)
            content = contents.get(problem, "")
            if content:
                versions = [run.config.problem_id.content for run in runs]
                used = content if content in versions else versions[-1]
                runs = [r for r, version in zip(runs, versions, strict=True) if version == used]
            tuned = tuned_settings(runs).get(problem, [])
            target = targets_of(problem, tuned).main
            found += [
                replace(
                    spread_of(setting, target, each.name, unit),
                    is_edited=bool(content) and setting.config.problem_id.content != content,
                )
                for setting in tuned
                if setting.config.optimizer in references
            ]
    order = problems or list(dict.fromkeys(spread.problem for spread in found))
    return sorted(found, key=lambda spread: order.index(spread.problem))


def spread_of(setting: Setting, target: Target | None, source: str, unit: Unit) -> Spread:
    """Spread of the runs of a setting between seeds."""
    used = list(filter(is_counted, setting.runs))
    time = log_spread = log_known = math.nan
    reached = 0
    if target is not None:
        times = times_to_target(used, target, unit)
        arrived = times.times[times.reached]
        reached = len(arrived)
        if reached >= LEAST_RUNS and 2 * reached >= len(times.times) and (arrived > 0).all():
            logs = np.log(arrived)
            time, log_spread = float(np.exp(logs.mean())), float(logs.std(ddof=1))
            log_known = 2 * float(np.mean((times.grid[times.reached] / arrived) ** 2)) / 12
    metric = metric_of(used)
    values = np.array([final_value(run, metric) for run in used] if metric else [])
    return Spread(
        problem=setting.problem,
        reference=setting.config.optimizer,
        source=source,
        unit=unit,
        target=target,
        runs=len(used),
        reached=reached,
        time=time,
        log_spread=log_spread,
        log_known=log_known,
        metric=metric,
        final=float(values.mean()) if len(values) else math.nan,
        final_spread=float(values.std(ddof=1)) if len(values) >= LEAST_RUNS else math.nan,
    )


def number_of_tests(spreads: Iterable[Spread]) -> int:
    """Most tests that the report of a comparison on these problems has.

    Times and final values on each problem against each reference, and, over problems, the
    probability of being faster and the mean speedup.
    """
    pairs = {(spread.problem, spread.reference) for spread in spreads}
    problems = Counter(reference for _, reference in pairs)
    over_problems = sum((n >= LEAST_STRATA) + (n >= LEAST_FOR_MEAN) for n in problems.values())
    return 2 * len(pairs) + over_problems


def seed_plan(
    spreads: Iterable[Spread],
    *,
    ratios: Sequence[float] = RATIOS,
    seeds: Iterable[int] = ALL_SEEDS,
    power: float = 0.8,
    level: float = 0.95,
    tests: int = 1,
) -> list[Row]:
    """Power and smallest difference of numbers of seeds, per problem and reference.

    The new optimizer is assumed to vary as much as the reference. A p-value counts if it is at
    most (1 - level) / tests: the first step of Holm's correction, so the power is a lower bound.

    Args:
        spreads: spreads of the baselines.
        ratios: speedups that are planned for, above 1.
        seeds: numbers of seeds of each side.
        power: wanted probability.
        level: confidence level of the intervals of the report.
        tests: number of tests of the report.

    Raises:
        UsageError: a ratio that is not above 1, fewer than two seeds or one test, a power or a
            level outside (0, 1).
    """
    check_level(level)
    if bad := [ratio for ratio in ratios if not ratio > 1]:
        raise UsageError(f"ratio is {bad[0]!r}; it must be a number > 1, such as 1.2.")
    if tests < 1:
        raise UsageError(f"tests is {tests!r}; it must be a whole number >= 1.")
    strict = 1 - (1 - level) / tests
    seeds = list(seeds)
    rows: list[Row] = []
    for spread in spreads:
        row: Row = {
            **vars(spread),
            "target": None if spread.target is None else str(spread.target),
            "metric": None if spread.metric is None else str(spread.metric),
            "level": level,
            "tests": tests,
        }
        for ratio in ratios:
            row[f"seeds_{ratio:g}"] = spread.seeds(ratio, power, strict)
            for number in seeds:
                row[f"power_{ratio:g}_of_{number}"] = spread.power(ratio, number, strict)
        for number in seeds:
            row[f"difference_of_{number}"] = spread.difference(number, power, strict)
        rows.append(row)
    return rows
