"""Targets: the values that a run must reach for its speed to be counted.

Official targets and those of the shipped baseline sets are data, `targets.json` in their folders,
which `tools/make_targets.py` writes. Others come from the runs that are compared.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

import msgspec
import numpy as np

from deepobs_runner.analysis.first_epochs import first_epochs
from deepobs_runner.analysis.metrics import (
    TEST_ACCURACY,
    TEST_OBJECTIVE,
    Metric,
    Numbers,
    is_counted,
    metric_of,
)
from deepobs_runner.analysis.reached import median_reached
from deepobs_runner.analysis.tuned import tuned_settings
from deepobs_runner.config import without_folder
from deepobs_runner.errors import UsageError
from deepobs_runner.results.baselines import shipped_folders
from deepobs_runner.results.files import read_file
from deepobs_runner.results.official import official_results
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting
from deepobs_runner.text import count

OFFICIAL_SOURCE = "convergence value of the official baselines of 2019"

CONVERGENCE: Mapping[str, tuple[Metric, float]] = MappingProxyType(
    {
        "quadratic_deep": (TEST_OBJECTIVE, 87.7032),
        "mnist_vae": (TEST_OBJECTIVE, 73.4982),
        "fmnist_2c2d": (TEST_ACCURACY, 0.919809),
        "cifar10_3c3d": (TEST_ACCURACY, 0.828331),
        "fmnist_vae": (TEST_OBJECTIVE, 92.9776),
        "cifar100_allcnnc": (TEST_ACCURACY, 0.525604),
        "svhn_wrn164": (TEST_ACCURACY, 0.950199),
        "tolstoi_char_rnn": (TEST_ACCURACY, 0.604586),
    }
)
"""The values of `convergence_performance.json` of the official baselines (DeepOBS 1.1): Schneider,
Balles and Hennig, "DeepOBS: A Deep Learning Optimizer Benchmark Suite", ICLR 2019.

How they were derived is not published. They are no value that a tuned run ended with; half of the
official runs of tuned Adam reach them in 25 to 55 % of the epochs, those of the VAEs in one."""

TOO_EASY = frozenset({"mnist_vae", "fmnist_vae"})
"""Problems with an official value that every optimizer passes in its first epoch."""

MAIN, EASIER, HARDER = 0.75, 0.5, 0.9
"""Shares of the epochs within which half of the runs of tuned Adam reach the targets."""

DEFINING = ("Adam", "Momentum", "SGD")
"""Optimizers that define a target, in a fixed order of preference."""

FILE = "targets.json"
"""Name of the targets in the folder of a baseline set."""


@dataclass(frozen=True, kw_only=True)
class Target(Numbers):
    """A value to reach.

    Attributes:
        problem: its name.
        metric: that must reach it.
        value: at least this where higher is better, else at most this.
        source: where it is from.
        epochs: epochs of the runs it is for; None: not known, or of any length.
        set_by: optimizer that defines it by what its runs reach; "" for an official value.
    """

    problem: str
    metric: Metric
    value: float
    source: str
    epochs: float | None = field(default=None, compare=False)
    set_by: str = field(default="", compare=False)

    def reached(self, values: np.ndarray) -> np.ndarray:
        """Mask of the values that reach the target; one that is not finite never does."""
        with np.errstate(invalid="ignore"):
            better = values >= self.value if self.metric.higher_is_better else values <= self.value
        return np.asarray(better & np.isfinite(values))

    def __str__(self) -> str:
        return f"{self.metric} {self.value:.6g}"


class Targets(NamedTuple):
    """The targets of a problem: what is compared at, and two that show if the conclusion holds.

    Attributes:
        easier: what half of the defining runs reach in 50 % of the epochs; None if no easier.
        main: what they reach in 75 %, or an official value; None without one.
        harder: what they reach in 90 %; None if no harder.
    """

    easier: Target | None
    main: Target | None
    harder: Target | None

    @property
    def others(self) -> dict[str, Target]:
        """Those beside the main one, by name; without those equal to it."""
        named = {"easier": self.easier, "harder": self.harder}
        return {name: target for name, target in named.items() if target is not None}


NO_TARGETS = Targets(None, None, None)


class _Value(msgspec.Struct):
    value: float
    source: str


class _Stored(msgspec.Struct):
    """Targets of a problem in `targets.json`; the file has more fields about how they were made."""

    metric: str
    epochs: float
    optimizer: str
    main: _Value
    easier: _Value | None = None
    harder: _Value | None = None


class _File(msgspec.Struct):
    targets: dict[str, _Stored]


def convergence_target(problem: str) -> Target | None:
    """Official convergence value of a problem, None without one."""
    if problem not in CONVERGENCE:
        return None
    metric, value = CONVERGENCE[problem]
    return Target(problem=problem, metric=metric, value=value, source=OFFICIAL_SOURCE)


@cache
def stored_targets() -> Mapping[str, Targets]:
    """Targets that are shipped, by problem: official ones first, then those of sets.

    Raises:
        UsageError: a file is damaged.
    """
    found: dict[str, Targets] = {}
    for folder in shipped_folders():
        path = folder / FILE
        if not path.exists():
            continue
        try:
            stored = msgspec.json.decode(read_file(path), type=_File)
        except (OSError, msgspec.DecodeError) as error:
            raise UsageError(f"{path} does not hold targets: {error}.") from None
        for problem, values in stored.targets.items():
            found.setdefault(problem, _read(problem, values))
    return MappingProxyType(found)


def _read(problem: str, stored: _Stored) -> Targets:
    split, _, name = stored.metric.partition(" ")
    metric = Metric(split, name, higher_is_better=name == "accuracy")

    def target(value: _Value | None) -> Target | None:
        if value is None:
            return None
        return Target(
            problem=problem,
            metric=metric,
            value=value.value,
            source=value.source,
            epochs=stored.epochs,
            set_by="" if value.source == OFFICIAL_SOURCE else stored.optimizer,
        )

    return Targets(target(stored.easier), target(stored.main), target(stored.harder))


def target_of(
    problem: str, results: Iterable[RunResult] = (), *, epochs: int | None = None
) -> Target | None:
    """Main target of a problem, see `targets_of`.

    Args:
        problem: its name.
        results: results of any problems; those of others are ignored.
        epochs: after which the results end, see `first_epochs`; None: that of each run.
    """
    found = tuned_settings(results)
    name = problem if problem in found else without_folder(problem)
    return target_among(name, found.get(name, ()), epochs=epochs)


def target_among(
    problem: str, tuned: Sequence[Setting], *, epochs: int | None = None
) -> Target | None:
    """Main target of a problem with known tuned settings, see `targets_of`."""
    return targets_of(problem, tuned, epochs=epochs).main


def targets_of(problem: str, tuned: Sequence[Setting], *, epochs: float | None = None) -> Targets:
    """Targets of a problem with known tuned settings.

    A shipped target holds for runs as long as those it was made from. Runs of another length get
    targets of their own: what half of the runs of a reference of this length reach in 75 % of it.
    The rules, in order:

    1. the shipped targets, if they are for this length: the official value, or what half of the
       runs of tuned Adam reach in 75 % of the epochs, from seeds that no comparison uses; for the
       two VAEs, too, as every optimizer passes their official value in the first epoch;
    2. what Adam, else Momentum, else SGD reaches among the settings of this length;
    3. what official Adam reaches in its first epochs, if it ran longer: its rate is constant;
    4. the shipped targets of another length.

    Runs on generated data are held to nothing that was made from the problem's own data.

    Args:
        problem: its name.
        tuned: tuned settings of the problem, as `tuned_settings` returns them.
        epochs: after which the results end, see `first_epochs`; None: the length that most settings
            have that are not of a baseline set.

    Returns:
        Nothing but None where none of this applies.
    """
    stored = stored_targets().get(problem)
    if epochs is None:
        epochs = _length(tuned)
    if tuned and all(setting.config.data == "synthetic" for setting in _own(tuned)):
        return _of_settings(problem, tuned, epochs) or NO_TARGETS
    if stored is not None and epochs in (None, stored.main and stored.main.epochs):
        return stored
    return (
        _of_settings(problem, tuned, epochs)
        or _of_official(problem, epochs)
        or stored
        or NO_TARGETS
    )


def _own(tuned: Sequence[Setting]) -> Sequence[Setting]:
    """Settings that are not of a baseline set; all without others."""
    return [setting for setting in tuned if not setting.baseline] or tuned


def _length(tuned: Sequence[Setting]) -> float | None:
    """Most common number of epochs of own settings; of several, the smallest."""
    lengths = Counter(
        length for setting in _own(tuned) if (length := epochs_of(setting)) is not None
    )
    most = max(lengths.values(), default=0)
    return min((length for length, number in lengths.items() if number == most), default=None)


def epochs_of(setting: Setting) -> float | None:
    """Planned number of epochs of the runs of a setting, None where it is not known.

    Of runs that a number of steps ends, how many epochs the longest has.
    """
    if setting.config.steps is None:
        return setting.config.epochs
    return max((float(run.epochs()[-1]) for run in setting.runs if run.records), default=None)


def _of_settings(problem: str, tuned: Sequence[Setting], epochs: float | None) -> Targets | None:
    """Targets of the first of the defining optimizers that ran for so long."""
    for name in DEFINING:
        found = [s for s in tuned if s.config.optimizer == name and epochs_of(s) == epochs]
        for setting in sorted(found, key=lambda s: (s.baseline, -len(s.runs))):
            source = f"{setting.source} {name}" if setting.baseline else f"{name} here"
            if targets := targets_from(problem, setting.runs, source, epochs=epochs):
                return targets
    return None


def _of_official(problem: str, epochs: float | None) -> Targets | None:
    """Targets of official Adam in its first epochs, None if it has no more than these."""
    if epochs is None or epochs < 1 or epochs != int(epochs):
        return None
    adam = [run for run in official_results(problem) if run.config.optimizer == "Adam"]
    if not any((run.config.epochs or 0) > epochs for run in adam):
        return None
    shortened, _ = first_epochs(adam, int(epochs))
    return targets_from(problem, shortened, "official Adam", epochs=epochs)


def targets_from(
    problem: str, runs: Sequence[RunResult], source: str, *, epochs: float | None = None
) -> Targets | None:
    """Values that half of the runs of one setting reach in 50, 75 and 90 % of their epochs.

    Args:
        problem: its name.
        runs: runs of one setting, one per seed; runs that do not count are ignored.
        source: origin of the runs.
        epochs: for which they were planned; None: those of the longest.

    Returns:
        None if they have no metric, or less than half of them reach anything in 75 %.
    """
    used = list(filter(is_counted, runs))
    metric = metric_of(used)
    if metric is None:
        return None
    length = epochs or max(float(run.epochs()[-1]) for run in used)
    runs_reach = f"half of {len(used)} runs of {source} reach"
    if len(used) == 1:
        runs_reach = f"one run of {source} reaches"

    def target(share: float) -> Target:
        return Target(
            problem=problem,
            metric=metric,
            value=median_reached(used, metric, share, length),
            source=f"value that {runs_reach} in {100 * share:g} % of {count(length, 'epoch')}",
            epochs=epochs,
            set_by=used[0].config.optimizer,
        )

    main = target(MAIN)
    if not math.isfinite(main.value):
        return None
    easier, harder = target(EASIER), target(HARDER)
    return Targets(
        easier if is_harder(main, easier) and math.isfinite(easier.value) else None,
        main,
        harder if is_harder(harder, main) else None,
    )


def is_harder(one: Target, other: Target) -> bool:
    """Whether one target of a problem is harder to reach than another."""
    return one.metric.sign * one.value > other.metric.sign * other.value
