"""How long runs take to a target, in epochs, steps, gradient evaluations or seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from deepobs_runner.analysis.bootstrap import LEAST_FOR_MEDIANS, interval, resample_counts
from deepobs_runner.analysis.metrics import Numbers, Row, counted, is_diverged
from deepobs_runner.analysis.reached import kept_of
from deepobs_runner.analysis.sensitivity import (
    Sensitivity,
    Window,
    near_best,
    rate_of,
    window_around_best,
)
from deepobs_runner.comparison.targets import Target
from deepobs_runner.config import UNITS, Unit
from deepobs_runner.errors import UsageError
from deepobs_runner.results.clocks import training_seconds
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting

OFFICIAL_STEPS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "quadratic_deep": (128, 7),
        "mnist_vae": (64, 937),
        "fmnist_2c2d": (128, 468),
        "cifar10_3c3d": (128, 390),
        "fmnist_vae": (64, 937),
        "cifar100_allcnnc": (256, 195),
        "svhn_wrn164": (128, 500),
        "tolstoi_char_rnn": (50, 1045),
    }
)
"""Batch size and steps per epoch of the official runs, since their records have no steps."""

FLAT = 1e-9
"""How close to one half a survival curve is one half: it is a product of rounded fractions."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """When the runs of a setting reach a target.

    Attributes:
        target: target to reach.
        unit: unit of the times.
        counted: what was counted: the unit, but `steps` where no gradient evaluations are recorded.
        seeds: seeds of the runs, `(n,)`.
        times: when a run reached the target; otherwise how long it is known not to have, `(n,)`.
        reached: which of the two, `(n,)`.
        grid: distance to the evaluation before, up to which a time is known, `(n,)`.
        lost: runs that diverged without reaching it, so never will, `(n,)`.
        unknown: runs left out: they do not count, or lack the metric or the unit.
    """

    target: Target
    unit: Unit
    counted: Unit
    seeds: tuple[int, ...]
    times: np.ndarray
    reached: np.ndarray
    grid: np.ndarray
    lost: np.ndarray
    unknown: int

    @property
    def diverged(self) -> int:
        """How many runs diverged without reaching the target."""
        return int(self.lost.sum())

    def ends_before(self, time: float) -> bool:
        """Whether it is open if half of the runs reach the target by some time.

        So it is where too many ended before: nothing is known of what they would have done.
        """
        open_ = ~self.reached & ~self.lost & (self.times < time)
        half = len(self.times) / 2
        return math.isinf(self.median) and bool(self.reached.sum() + open_.sum() >= half)

    @property
    def median(self) -> float:
        """Kaplan-Meier median; inf if fewer than half reach the target, NaN without runs."""
        return survival_median(self.times, self.reached)

    @property
    def geometric_mean(self) -> float:
        """Geometric mean time; inf if a run does not reach the target, NaN without runs."""
        if not len(self.times) or not self.reached.all():
            return math.inf if len(self.times) else math.nan
        with np.errstate(divide="ignore"):
            return float(np.exp(np.log(self.times).mean()))

    @property
    def reached_of(self) -> tuple[int, int]:
        """Number of runs that reach the target, and of all runs."""
        return int(self.reached.sum()), len(self.times)

    def median_interval(
        self, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
    ) -> tuple[float, float]:
        """Percentile bootstrap interval of the median; NaN for fewer than five runs."""
        if len(self.times) < LEAST_FOR_MEDIANS:
            return math.nan, math.nan
        counts = resample_counts(len(self.times), resamples, seed)
        return interval(resampled_medians(self.times, self.reached, counts), level)

    def rows(self) -> list[Row]:
        """Row for every run; `time` of one that is censored is a lower bound."""
        return [
            {
                "target": str(self.target),
                "unit": self.counted,
                "seed": run_seed,
                "time": float(time),
                "reached": bool(reached),
            }
            for run_seed, time, reached in zip(self.seeds, self.times, self.reached, strict=True)
        ]


def progress(run: RunResult, unit: Unit) -> tuple[np.ndarray, Unit] | None:
    """Progress of a run at every evaluation, `(records,)`, and its unit.

    Gradient evaluations are read from the records' counters; without them steps are counted,
    which is the same for an optimizer that evaluates one gradient a step. Seconds are those of
    training, without evaluation.

    Returns:
        None if the records lack it.

    Raises:
        UsageError: no such unit.
    """
    if unit not in UNITS:
        raise UsageError(f"unit is {unit!r}; allowed: {', '.join(UNITS)}.")
    if not run.records:
        return None
    if unit == "epochs":
        return run.epochs().astype(float), "epochs"
    if unit == "seconds":
        spent = [training_seconds(record.get("clocks", {})) for record in run.records]
        if any(value is None for value in spent):
            return None
        return np.cumsum(np.array(spent, dtype=float)), "seconds"
    if unit == "gradient_evaluations":
        counters = [record.get("counters", {}) for record in run.records]
        found = _column(counters, "gradient_evaluations")
        if found is not None:
            return found, "gradient_evaluations"
    steps = _column(run.records, "steps")
    if steps is None:
        batch_size, per_epoch = OFFICIAL_STEPS.get(run.config.problem, (None, 0))
        if "source" not in run.environment or run.config.batch_size != batch_size:
            return None
        steps = run.epochs() * float(per_epoch)
    return steps, "steps"


def _column(records: Sequence[Mapping[str, Any]], name: str) -> np.ndarray | None:
    values = [record.get(name) for record in records]
    return None if any(value is None for value in values) else np.array(values, dtype=float)


def times_to_target(runs: Sequence[RunResult], target: Target, unit: Unit = "epochs") -> Times:
    """Time at which each run reaches a target and keeps it.

    That is the first evaluation that meets the target and from which the majority of five
    evaluations, it and the next four, meet it; near the end, of those that are left. A single lucky
    evaluation on a noisy curve does not count.

    A run that ends without reaching the target is censored at its end: it would have taken longer.
    One that diverged never will, so it is censored at the end of the longest run.

    Args:
        runs: runs of one setting, one per seed; see `metrics.counted`.
        target: target to reach.
        unit: unit of time; in gradient evaluations only if every run records them.

    Raises:
        UsageError: no such unit.
    """
    used = counted(runs)
    found = [progress(run, unit) for run in used]
    if len({entry[1] for entry in found if entry}) > 1:  # some record gradients, some do not
        found = [progress(run, "steps") for run in used]
    kept = []
    for run, entry in zip(used, found, strict=True):
        values = run.series(target.metric.split, target.metric.name)
        if entry is not None and (np.isfinite(values).any() or is_diverged(run)):
            kept.append((run, entry[0], target.reached(kept_of(run, target.metric))))
    longest = max((float(at[-1]) for _, at, _ in kept), default=0.0)
    times, reached, grid, lost = [], [], [], []
    for run, at, arrived in kept:
        first = int(arrived.argmax()) if arrived.any() else len(at) - 1
        reached.append(bool(arrived.any()))
        lost.append(is_diverged(run) and not reached[-1])
        times.append(longest if lost[-1] else float(at[first]))
        grid.append(float(at[first] - (at[first - 1] if first else 0.0)))
    return Times(
        target=target,
        unit=unit,
        counted=next((entry[1] for entry in found if entry), unit),
        seeds=tuple(run.config.seed for run, _, _ in kept),
        times=np.array(times),
        reached=np.array(reached, dtype=bool),
        grid=np.array(grid),
        lost=np.array(lost, dtype=bool),
        unknown=len(runs) - len(kept),
    )


def comparable_times(
    settings: Sequence[Setting | None], target: Target, unit: Unit
) -> list[Times | None]:
    """Times of several settings, all counted in the same; None for no setting.

    That is steps where some record gradient evaluations and some do not.
    """
    found = [None if s is None else times_to_target(s.runs, target, unit) for s in settings]
    if len({times.counted for times in found if times is not None and len(times.times)}) > 1:
        return comparable_times(settings, target, "steps")
    return found


def reaching_window(
    curve: Sensitivity, runs: Sequence[RunResult], target: Target | None
) -> Window | None:
    """Learning rates around the best with which half of the runs reach a target.

    Args:
        curve: over the learning rates.
        runs: at these rates.
        target: target to reach; None: rates that end at most 5 % worse than the best, see
            `near_best`.

    Returns:
        None if the best rate does not reach the target.
    """
    if target is None:
        return near_best(curve)
    by_rate = [[run for run in runs if rate_of(run) == rate] for rate in curve.rates.tolist()]
    medians = [times_to_target(own, target).median for own in by_rate]
    return window_around_best(curve, np.isfinite(medians))


@dataclass(frozen=True, kw_only=True)
class Speed(Numbers):
    """The speed of DeepOBS 1.1: mean epochs to the target over the runs of a setting.

    Attributes:
        mean: a run that does not reach the target counts as one epoch more than it has.
        unreached: number of such runs.
        runs: number of runs.
    """

    mean: float
    unreached: int
    runs: int


def published_speed(runs: Sequence[RunResult], target: Target) -> Speed:
    """Speed as DeepOBS 1.1 published it; its mean is NaN without runs.

    It counts the index of the first evaluation that reaches the target, or the number of
    evaluations. The shipped results have six digits; one of them equals its target in these and
    was published as not reaching it, so here a value must be better than the target. Schneider,
    Balles and Hennig, ICLR 2019.
    """
    metric = target.metric
    series = [run.series(metric.split, metric.name) for run in counted(runs)]
    hits = [target.reached(values) & (values != target.value) for values in series]
    epochs = [int(hit.argmax()) if hit.any() else len(hit) for hit in hits]
    return Speed(
        mean=float(np.mean(epochs)) if epochs else math.nan,
        unreached=sum(not hit.any() for hit in hits),
        runs=len(hits),
    )


def survival_median(times: np.ndarray, reached: np.ndarray) -> float:
    """Time by which half of the runs reach the target.

    The median of Kaplan and Meier, "Nonparametric estimation from incomplete observations", JASA 53
    (1958). Where the survival curve lies at one half over an interval it is the middle of that
    interval, so without censoring it is the ordinary median; if the curve stays at one half it is
    the time when it got there. Infinite if less than half of the runs get there, NaN without runs.

    Args:
        times: when a run reached the target, or was last seen without having done so, `(n,)`.
        reached: which of the two, `(n,)`.
    """
    if not len(times):
        return float("nan")
    return float(resampled_medians(times, reached, np.ones((1, len(times)), dtype=int))[0])


def resampled_medians(times: np.ndarray, reached: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`survival_median` of each bootstrap sample, `(resamples,)`.

    Args:
        times: `(n,)`, at least one.
        reached: `(n,)`.
        counts: how often each run is drawn, `(resamples, n)`.
    """
    order = np.lexsort((~reached, times))  # at equal times, those that reach it come first
    times, counts = times[order], counts[:, order]
    at_risk = np.cumsum(counts[:, ::-1], axis=1, dtype=int)[:, ::-1]
    events = counts * reached[order]
    # Events at one time are taken one after another, which gives the same product.
    surviving = np.cumprod(1 - events / np.maximum(at_risk, 1), axis=1)
    padded = np.append(times, np.inf)
    at_half = padded[_first(surviving <= 0.5 + FLAT)]
    below = padded[_first(surviving < 0.5 - FLAT)]
    return np.asarray(np.where(np.isinf(below), at_half, (at_half + below) / 2))


def _first(found: np.ndarray) -> np.ndarray:
    """First column that is true in each row; the number of columns if none is."""
    return np.asarray(np.where(found.any(axis=1), found.argmax(axis=1), found.shape[1]))
