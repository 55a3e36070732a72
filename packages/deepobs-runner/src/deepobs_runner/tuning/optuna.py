"""Adaptive search through Optuna (extra `tune`): TPE, Gaussian processes, Hyperband.

Optuna sees the unit cube, so that the scale of a hyperparameter is that of its space. Its study
lives in memory: a resumed study is asked again and told the results that are there, which gives
the same points, since the samplers are seeded.

Akiba et al., "Optuna", KDD 2019; Bergstra et al., "Algorithms for hyper-parameter optimization",
NeurIPS 2011; Li et al., "Hyperband", JMLR 2018.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from deepobs_runner.extensions import Requirement
from deepobs_runner.results.result import FINISHED
from deepobs_runner.seeds import seed_of
from deepobs_runner.tuning.samplers import Point
from deepobs_runner.tuning.spaces import Choice, Space
from deepobs_runner.tuning.trials import Trial

OPTUNA = Requirement("optuna", extra="tune")


class OptunaSampler:
    """Asks Optuna for points.

    A diverged trial is reported as minus infinity, so that the sampler leaves its neighbourhood. A
    trial that failed for another reason is ignored.

    Args:
        kind: `tpe` or `gp`.
        space: search space.
        seed: seed of the sampler.
        epochs: epochs of a whole trial, for Hyperband; None: no pruning.
    """

    def __init__(self, kind: str, space: Space, seed: int, epochs: int | None = None) -> None:
        optuna: Any = import_module("optuna")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        number = seed_of(seed, "tuning", kind) % 2**32
        if kind == "gp":
            sampler = optuna.samplers.GPSampler(seed=number, deterministic_objective=False)
        else:
            sampler = optuna.samplers.TPESampler(seed=number, constant_liar=True)
        pruner = optuna.pruners.NopPruner()
        if epochs is not None:
            pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs)
        # Hyperband draws a trial's bracket from the name of the study.
        self._study = optuna.create_study(
            study_name="deepobs", direction="maximize", sampler=sampler, pruner=pruner
        )
        self._space = space
        self._distributions = {
            name: optuna.distributions.CategoricalDistribution(tuple(range(len(d.values))))
            if isinstance(d, Choice)
            else optuna.distributions.FloatDistribution(0.0, 1.0)
            for name, d in space.dimensions.items()
        }
        self._states = optuna.trial.TrialState
        self._asked: list[Any] = []

    def ask(self, count: int) -> list[Point]:
        """Next points."""
        with warnings.catch_warnings():  # of infinities, the values of diverged trials
            warnings.simplefilter("ignore")
            self._asked = [self._study.ask(self._distributions) for _ in range(count)]
        return [self._point(trial.params) for trial in self._asked]

    def _point(self, params: dict[str, Any]) -> Point:
        return {
            name: d.values[params[name]] if isinstance(d, Choice) else d.at(params[name])
            for name, d in self._space.dimensions.items()
        }

    def should_prune(self, epoch: int, merit: float) -> bool:
        """Whether to end the trial that was drawn last; never before its first epoch."""
        if epoch == 0 or not math.isfinite(merit):
            return False
        (trial,) = self._asked
        trial.report(merit, epoch)
        return bool(trial.should_prune())

    def tell(self, trials: Sequence[Trial]) -> None:
        """Take the trials of the points asked for last, in their order."""
        for asked, trial in zip(self._asked, trials, strict=True):
            if trial.status == "pruned":
                self._study.tell(asked, state=self._states.PRUNED)
            elif trial.merit is not None:
                self._study.tell(asked, trial.merit)
            elif trial.status in FINISHED:
                self._study.tell(asked, -math.inf)
            else:
                self._study.tell(asked, state=self._states.FAIL)
