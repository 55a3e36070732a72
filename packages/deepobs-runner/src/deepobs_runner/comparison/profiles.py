"""Performance profiles: share of problems within a factor of the fastest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deepobs_runner.analysis.metrics import Row
from deepobs_runner.analysis.tuned import find, optimizers_of
from deepobs_runner.comparison.targets import Target
from deepobs_runner.comparison.time_to_target import Times, comparable_times
from deepobs_runner.config import Unit
from deepobs_runner.errors import UsageError
from deepobs_runner.results.settings import Setting
from deepobs_runner.text import join

LEAST_PROBLEMS = 5
"""A profile over fewer problems adds nothing to the times."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The profile of one optimizer.

    Attributes:
        label: label of the optimizer.
        ratios: its time over that of the fastest, by problem, `(P,)`; inf where it does not reach
            the target in half of its runs.
        taus: where the profile steps or begins, `(T,)`, from 1 on.
        shares: shares of problems with a ratio up to there, `(T,)`; constant until the next.
        integral: mean of the profile over the logarithm of tau from 1 to the largest: 1 for an
            optimizer that is the fastest everywhere, 0 for one that never gets there.
    """

    label: str
    ratios: np.ndarray
    taus: np.ndarray
    shares: np.ndarray
    integral: float


@dataclass(frozen=True, kw_only=True)
class Profiles:
    """Profiles of several optimizers over the same problems.

    Attributes:
        problems: that count, `(P,)`.
        left_out: problems that do not, with the reason.
        unit: unit of the times.
        tau_max: up to which the integral goes.
        profiles: one per optimizer.
    """

    problems: tuple[str, ...]
    left_out: Mapping[str, str]
    unit: Unit
    tau_max: float
    profiles: tuple[Profile, ...]

    def rows(self) -> list[Row]:
        """Row for every optimizer."""
        return [{"label": p.label, "integral": p.integral} for p in self.profiles]


def profile_ratios(costs: np.ndarray) -> np.ndarray:
    """Each cost over the least of its problem, `(optimizers, problems)`.

    Args:
        costs: above 0, inf where a problem is not solved, `(optimizers, problems)`.
    """
    least = costs.min(axis=0)
    with np.errstate(invalid="ignore"):
        ratios = costs / least
    return np.where(np.isinf(costs), np.inf, ratios)


def profile_steps(ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ratios at which the profile of ratios `(P,)` steps, from 1 on, and its value from there on.

    rho(tau) is the share of problems with a ratio of at most tau: Dolan and Moré, "Benchmarking
    optimization software with performance profiles", Mathematical Programming 91 (2002).
    """
    taus = np.unique(np.append(ratios[np.isfinite(ratios)], 1.0))
    return taus, np.array([float(np.mean(ratios <= tau)) for tau in taus])


def profile_integral(ratios: np.ndarray, tau_max: float) -> np.ndarray:
    """Mean of the profile over log tau from 1 to tau_max, along the last axis.

    A problem with ratio r contributes from log r on, so this is the mean over problems of
    1 - log(r) / log(tau_max), or 0 beyond. (The score of Dahl et al., "Benchmarking Neural Network
    Training Algorithms", 2023, is the same over tau itself.)

    Raises:
        UsageError: tau_max is not above 1.
    """
    if not tau_max > 1:
        raise UsageError(f"tau_max is {tau_max!r}; it must be a number > 1.")
    shares = 1 - np.log(np.minimum(ratios, tau_max)) / math.log(tau_max)
    return np.asarray(shares.mean(axis=-1))


def performance_profiles(
    problems: Mapping[str, Sequence[Setting]],
    targets: Mapping[str, Target | None],
    labels: Sequence[str],
    *,
    unit: Unit = "epochs",
    tau_max: float = 4.0,
) -> Profiles:
    """Performance profiles of optimizers and their integrals.

    The cost of a problem is the Kaplan-Meier median of the time to its target. The integral
    has no interval: it takes the fastest of each problem as known, so resampling the seeds of equal
    optimizers puts their integrals below the truth, and such an interval covered it in 0 to 4 %.
    A profile depends on all optimizers in it (Gould and Scott, "A note on performance profiles",
    ACM TOMS 43, 2016): a profile shows which optimizers are close to the fastest, not which is the
    second.

    Args:
        problems: problems as `tuned_settings` returns them; one counts if it has a target, every
            optimizer has runs on it, and one at least reaches the target.
        targets: targets by problem.
        labels: labels of the optimizers.
        unit: unit of time.
        tau_max: up to which the integral goes.

    Raises:
        UsageError: tau_max not above 1, no such unit.
    """
    profile_integral(np.ones(1), tau_max)
    used: dict[str, list[Times]] = {}
    left_out: dict[str, str] = {}
    for problem, listed in problems.items():
        times = _times(listed, targets.get(problem), labels, unit)
        if isinstance(times, str):
            left_out[problem] = times
        else:
            used[problem] = times
    costs = np.array([[t.median for t in row] for row in used.values()]).reshape(-1, len(labels)).T
    ratios = profile_ratios(costs) if costs.size else costs
    profiles = []
    for index, label in enumerate(labels):
        integral = math.nan
        taus, shares = np.array([]), np.array([])
        if used:
            taus, shares = profile_steps(ratios[index])
            integral = float(profile_integral(ratios[index], tau_max))
        profiles.append(
            Profile(
                label=label,
                ratios=ratios[index],
                taus=taus,
                shares=shares,
                integral=integral,
            )
        )
    return Profiles(
        problems=tuple(used),
        left_out=left_out,
        unit=unit,
        tau_max=tau_max,
        profiles=tuple(profiles),
    )


def compared_labels(problems: Mapping[str, Sequence[Setting]]) -> list[str]:
    """Optimizers of a profile: as many as share at least five problems.

    Those with the fewest problems are left out first; all, if no two share five problems.
    """
    labels = optimizers_of(problems)
    there = {
        label: {problem for problem, listed in problems.items() if find(listed, label)}
        for label in labels
    }
    ranked = sorted(labels, key=lambda label: -len(there[label]))  # keeps the order of equals
    for count in range(len(ranked), 1, -1):
        if len(set.intersection(*(there[label] for label in ranked[:count]))) >= LEAST_PROBLEMS:
            return [label for label in labels if label in ranked[:count]]
    return labels


def _times(
    listed: Sequence[Setting], target: Target | None, labels: Sequence[str], unit: Unit
) -> list[Times] | str:
    """Times of every optimizer on a problem, or why it does not count."""
    if target is None:
        return "no target"
    found = []
    sides = [find(listed, label) for label in labels]
    for label, times in zip(labels, comparable_times(sides, target, unit), strict=True):
        if times is None:
            return f"no runs of {label}"
        if not len(times.times):
            return f"the runs of {label} do not record {target.metric} and {unit}"
        found.append(times)
    medians = [times.median for times in found]
    if 0 in medians:
        return "the target is reached before training"
    if not np.isfinite(medians).any():
        return "no optimizer reaches the target in half of its runs"
    short = [
        label for label, times in zip(labels, found, strict=True) if times.ends_before(min(medians))
    ]
    if short:
        return f"the runs of {join(short)} end before the fastest reaches the target"
    return found
