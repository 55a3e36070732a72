"""Equivalence tests: two optimizers differ by less than a margin.

An inconclusive difference does not show equality, as few seeds find no difference. Two one-sided
tests can show it: Schuirmann, "A comparison of the two one-sided tests procedure and the power
approach for assessing the equivalence of average bioavailability", Journal of Pharmacokinetics and
Biopharmaceutics 15 (1987).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import special

from deepobs_runner.analysis.bootstrap import check_level
from deepobs_runner.analysis.metrics import Numbers
from deepobs_runner.analysis.t_tests import Contrast, student, welch
from deepobs_runner.analysis.tuned import find
from deepobs_runner.comparison.estimate import holm
from deepobs_runner.comparison.final_values import (
    LEAST_PAIRS,
    PAIRED,
    WELCH,
    common_metric,
    same_program,
    values_by_seed,
)
from deepobs_runner.comparison.speedup import WELCH as WELCH_OF_TIMES
from deepobs_runner.comparison.speedup import log_speedup
from deepobs_runner.comparison.targets import Target
from deepobs_runner.comparison.time_to_target import Times, comparable_times
from deepobs_runner.config import Unit
from deepobs_runner.errors import UsageError
from deepobs_runner.results.settings import Setting

Quantity = Literal["time", "final value"]
At = Callable[[float], Contrast]
"""The contrast that is 0 at a ratio, above it below 0."""

WIDEST = math.log(1e6)
"""Logarithm of the ratio beyond which the end of an interval counts as open."""


@dataclass(frozen=True, kw_only=True)
class Equivalence(Numbers):
    """Whether an optimizer and a reference are shown to differ by less than a margin.

    Attributes:
        problem: its name.
        optimizer: label.
        reference: label.
        quantity: the time to the target, or the final value.
        margin: as a share: 0.01 for a ratio between 1 / 1.01 and 1.01.
        ratio: for times, the speedup; for final values, the optimizer's mean divided by the
            reference's.
        low: lower end of the interval of the ratio; it lies within the margin exactly if `p` is at
            most 1 - level. So its own level is 2 * level - 1.
        high: upper end.
        level: confidence level of the decision.
        p: the greater of two one-sided p-values; small if the two differ by less than the margin.
        p_corrected: by Holm over all equivalences that are asked for together.
        method: name of the test.
    """

    problem: str
    optimizer: str
    reference: str
    quantity: Quantity
    margin: float
    ratio: float
    low: float
    high: float
    level: float
    p: float
    p_corrected: float
    method: str

    @property
    def shown(self) -> bool:
        """Whether the corrected p-value shows equivalence at the level."""
        return self.p_corrected <= 1 - self.level + 1e-12


def equivalence_p(above: Contrast, below: Contrast) -> float:
    """Greater p-value of two one-sided t-tests.

    Args:
        above: contrast from the lower bound, tested to be above 0.
        below: contrast from the upper bound, tested to be below 0.
    """
    return max(_p_above(above), _p_above(below._replace(value=-below.value)))


def _p_above(contrast: Contrast) -> float:
    """One-sided p-value of "not above 0"."""
    value, error = float(contrast.value), float(contrast.error)
    if error == 0:
        return 0.0 if value > 0 else 1.0
    return float(special.stdtr(float(contrast.freedom), -value / error))


def equivalences(
    problems: Mapping[str, Sequence[Setting]],
    targets: Mapping[str, Target | None],
    pairs: Mapping[tuple[str, str], Collection[str]],
    margin: float,
    *,
    unit: Unit = "epochs",
    level: float = 0.95,
) -> list[Equivalence]:
    """Test equivalence of time to target and final value on every problem.

    Times by Welch's t on log times if every run of both reaches the target. Final values by the
    ratio of means: Sasabuchi's tests, which ask if the optimizer's mean is above 1 / (1 + margin)
    and below 1 + margin times that of the reference; paired from six common seeds on, as
    `final_difference`; none if a run diverged, or the reference's mean is 0. P-values are corrected
    by Holm over all of them.

    Hauschke, Kieser, Diletti and Burke, "Sample size determination for proving equivalence based on
    the ratio of two means for normally distributed data", Statistics in Medicine 18 (1999).

    Args:
        problems: problems as `tuned_settings` returns them.
        targets: targets by problem.
        pairs: labels of optimizers and references, and the problems of each, see `choose_pairs`.
        margin: as a share, above 0.
        unit: to count time in.
        level: confidence level of the decision.

    Raises:
        UsageError: a margin that is not above 0, a level outside (0.5, 1), no such unit.
    """
    check_margin(margin)
    check_level(level)
    if level <= 0.5:
        raise UsageError(f"level is {level!r}; equivalence needs a level above 0.5.")
    found = []
    for problem, listed in problems.items():
        for (optimizer, reference), names in pairs.items():
            if problem not in names:
                continue
            one, other = find(listed, optimizer), find(listed, reference)
            if one is None or other is None:
                continue
            quantities: dict[Quantity, tuple[At, float, str] | None] = {
                "time": _times(one, other, targets.get(problem), unit),
                "final value": _finals(one, other),
            }
            for quantity, contrast in quantities.items():
                if contrast is None:
                    continue
                at, ratio, method = contrast
                low, high = _interval(at, ratio, 1 - level)
                p = equivalence_p(at(1 / (1 + margin)), at(1 + margin))
                found.append(
                    Equivalence(
                        problem=problem,
                        optimizer=optimizer,
                        reference=reference,
                        quantity=quantity,
                        margin=margin,
                        ratio=ratio,
                        low=low,
                        high=high,
                        level=level,
                        p=p,
                        p_corrected=p,
                        method=method,
                    )
                )
    corrected = holm([each.p for each in found]).tolist()
    return [replace(each, p_corrected=p) for each, p in zip(found, corrected, strict=True)]


def check_margin(margin: float) -> None:
    """Raise a UsageError unless a margin is a finite number above 0."""
    if not 0 < margin < math.inf:
        raise UsageError(f"The margin is {margin!r}; it must be above 0, e.g. 0.01 for 1 %.")


def _times(
    one: Setting, other: Setting, target: Target | None, unit: Unit
) -> tuple[At, float, str] | None:
    """Contrast of times at a ratio, the ratio and the test; None if it is undefined."""
    if target is None:
        return None
    first, second = comparable_times([one, other], target, unit)
    if first is None or second is None or not all(map(_all_reach, (first, second))):
        return None
    found = log_speedup(first.times, second.times, first.grid, second.grid)

    def at(ratio: float) -> Contrast:
        return found._replace(value=found.value - math.log(ratio))

    return at, math.exp(float(found.value)), WELCH_OF_TIMES


def _all_reach(times: Times) -> bool:
    return len(times.times) >= 2 and bool(times.reached.all()) and bool((times.times > 0).all())


def _finals(one: Setting, other: Setting) -> tuple[At, float, str] | None:
    """Contrast of final values at a ratio, the ratio and the test."""
    metric = common_metric(one.runs, other.runs)
    if metric is None:
        return None
    values = values_by_seed(one, metric), values_by_seed(other, metric)
    first, second = (metric.sign * np.array(list(side.values())) for side in values)
    if min(len(first), len(second)) < 2 or not np.isfinite([*first, *second]).all():
        return None
    common = sorted(values[0].keys() & values[1].keys())
    paired = same_program(one, other) and len(common) >= LEAST_PAIRS
    if paired:
        first, second = (metric.sign * np.array([s[seed] for seed in common]) for s in values)
    sign = float(np.sign(second.mean()))
    if sign == 0 or sign * first.mean() <= 0:
        return None

    def at(ratio: float) -> Contrast:
        scaled = ratio * sign * second
        return student(sign * first - scaled) if paired else welch(sign * first, scaled)

    return at, float(first.mean() / second.mean()), PAIRED if paired else WELCH


def _interval(at: At, ratio: float, tail: float) -> tuple[float, float]:
    """Ratios that neither one-sided test rejects."""

    def rejects_above(log: float) -> bool:
        below = at(math.exp(log))
        return _p_above(below._replace(value=-below.value)) <= tail

    def rejects_below(log: float) -> bool:
        return _p_above(at(math.exp(-log))) <= tail

    center = math.log(ratio)
    high = _first(rejects_above, center)
    low = _first(rejects_below, -center)
    return math.exp(-low), math.exp(high) if math.isfinite(high) else math.inf


def _first(rejects: Callable[[float], bool], begin: float) -> float:
    """Least number above `begin` that is rejected; inf without one nearby."""
    step = 1e-9
    while not rejects(begin + step):
        step *= 2
        if step > WIDEST:
            return math.inf
    low, high = begin + step / 2, begin + step
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if rejects(middle) else (middle, high)
    return high
