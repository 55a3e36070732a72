"""The bar of a problem: what a run must reach for its speed to be counted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from deepobs_runner.analysis.first_epochs import first_epochs
from deepobs_runner.analysis.metrics import (
    TEST_ACCURACY,
    TEST_OBJECTIVE,
    Metric,
    Numbers,
    metric_of,
)
from deepobs_runner.analysis.tuned import median_final, tuned_settings
from deepobs_runner.config import without_folder
from deepobs_runner.results.official import official_results
from deepobs_runner.results.result import RunResult, is_official
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
Balles and Hennig, "DeepOBS: A Deep Learning Optimizer Benchmark Suite", ICLR 2019."""

TOO_EASY = frozenset({"mnist_vae", "fmnist_vae"})
"""Problems whose official value every optimizer passes in its first epoch."""


@dataclass(frozen=True, kw_only=True)
class Target(Numbers):
    """A value to reach.

    Attributes:
        problem: its name.
        metric: that must reach it.
        value: at least this where higher is better, else at most this.
        source: where it is from.
    """

    problem: str
    metric: Metric
    value: float
    source: str

    def reached(self, values: np.ndarray) -> np.ndarray:
        """Return where values reach the target; one that is not finite never does."""
        with np.errstate(invalid="ignore"):
            better = values >= self.value if self.metric.higher_is_better else values <= self.value
        return np.asarray(better & np.isfinite(values))

    def __str__(self) -> str:
        return f"{self.metric} {self.value:.6g}"


def convergence_target(problem: str) -> Target | None:
    """Return the official convergence value of a problem, None where there is none."""
    if problem not in CONVERGENCE:
        return None
    metric, value = CONVERGENCE[problem]
    return Target(problem=problem, metric=metric, value=value, source=OFFICIAL_SOURCE)


def target_of(
    problem: str, results: Iterable[RunResult] = (), *, epochs: int | None = None
) -> Target | None:
    """Return the target of a problem, see `target_among`.

    Args:
        problem: its name.
        results: where tuned Adam is looked for; those of other problems are ignored.
        epochs: after which the results end, see `first_epochs`; None: that of each run.
    """
    found = tuned_settings(results)
    name = problem if problem in found else without_folder(problem)
    return target_among(name, found.get(name, ()), epochs=epochs)


def target_among(
    problem: str, tuned: Sequence[Setting], *, epochs: int | None = None
) -> Target | None:
    """Return the target of a problem whose tuned settings are known.

    The official convergence value, except for the two VAEs, which every optimizer passes in one
    epoch. There, and without an official value, it is the median final value of tuned Adam: of the
    official runs where there are some, else of those given. So it is, too, where runs are
    compared after fewer epochs than the official ones have, as the official value is that of the
    whole length.

    Args:
        problem: its name.
        tuned: of the problem, as `tuned_settings` returns them.
        epochs: after which the results end, see `first_epochs`; None: that of each run.

    Returns:
        None where there is neither an official value nor a finished run of Adam.
    """
    official = convergence_target(problem)
    adam = [run for run in official_results(problem) if run.config.optimizer == "Adam"]
    after = ""
    if epochs is not None and any((run.config.epochs or 0) > epochs for run in adam):
        adam, _ = first_epochs(adam, epochs)
        after = f" after {count(epochs, 'epoch')}"
    elif official is not None and problem not in TOO_EASY:
        return official
    if not adam:
        found = [setting for setting in tuned if setting.config.optimizer == "Adam"]
        adam = list(max(found, key=lambda setting: len(setting.runs)).runs) if found else []
    metric = metric_of(adam)
    if metric is None:
        return None
    value = median_final(adam, metric)
    if not math.isfinite(value):
        return None
    seeds = "one seed" if len(adam) == 1 else f"{len(adam)} seeds"
    whose = "official Adam" if is_official(adam[0]) else "Adam"
    return Target(
        problem=problem,
        metric=metric,
        value=value,
        source=f"median {'' if after else 'final '}value of tuned {whose}{after}, {seeds}",
    )
