"""Trials, and which of them wins: pure functions of their final values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepobs_runner.analysis.metrics import Metric, final_value, is_counted, metric_of
from deepobs_runner.results.result import TIME_LIMIT, RunResult
from deepobs_runner.text import last_line, shorten_paths, shorten_spec

PRUNED = "pruned: "
"""Begins the reason in the result of a run that a pruner stopped."""

COMPETING = ("done", "stopped")
"""States of trials that may win; any other loses against them."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A run of a study and how it ended.

    Attributes:
        problem: its name.
        optimizer: its name.
        number: number of the point, counted from 0.
        run: id of the run.
        point: the values that were tried.
        status: status of the run, or `pruned`, `refused`, `locked`, `killed`.
        metric: that decides, such as `valid accuracy`; None without a record.
        value: the final value; None if it diverged, failed or does not count (`is_counted`).
        first: the value before training.
        epochs: that were trained.
        steps: that were taken.
        seconds: all clocks of the run together.
        message: why it has no result, or ended early.
    """

    problem: str
    optimizer: str
    number: int
    run: str
    point: dict[str, Any]
    status: str
    metric: Metric | None = None
    value: float | None = None
    first: float | None = None
    epochs: int = 0
    steps: int = 0
    seconds: float = 0.0
    message: str = ""

    @property
    def merit(self) -> float | None:
        """The final value, higher is better; None if the trial lost."""
        if self.value is None or self.metric is None or self.status not in COMPETING:
            return None
        return self.metric.sign * self.value

    @property
    def was_cut(self) -> bool:
        """Whether a time limit ended the run, so that its value does not count."""
        return self.status == "stopped" and TIME_LIMIT in self.message.lower()

    def to_json(self) -> dict[str, Any]:
        """Trial as a line of the ledger holds it, with short paths."""
        return {
            **vars(self),
            "problem": shorten_spec(self.problem),
            "optimizer": shorten_spec(self.optimizer),
            "metric": None if self.metric is None else str(self.metric),
            "message": shorten_paths(self.message),
        }


def trial_of(result: RunResult, split: str, about: Mapping[str, Any]) -> Trial:
    """Trial of a stored run.

    Args:
        result: result of the run.
        split: the final value on it decides.
        about: problem, optimizer, number and point.
    """
    metric = metric_of([result], split)
    pruned = result.status == "stopped" and (result.error or "").startswith(PRUNED)
    last = result.records[-1] if result.records else {}
    return Trial(
        **about,
        run=result.config.id,
        status="pruned" if pruned else result.status,
        metric=metric,
        value=_finite(final_value(result, metric))
        if metric is not None and is_counted(result) and not pruned
        else None,
        first=None if metric is None else _finite(result.series(split, metric.name)[0]),
        epochs=last.get("epoch", 0),
        steps=last.get("steps", 0),
        seconds=sum(sum(record.get("clocks", {}).values()) for record in result.records),
        message=last_line(result.error),
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def best_of(trials: Sequence[Trial]) -> list[Trial]:
    """Best trials of one problem: the first wins, the others are as good."""
    top = max((trial.merit for trial in trials if trial.merit is not None), default=None)
    return [trial for trial in trials if top is not None and trial.merit == top]


def shares_of_progress(by_problem: Mapping[str, Sequence[Trial]]) -> dict[int, float]:
    """Quality of each configuration over all problems, 0 to 1.

    On a problem, a configuration that ends at v has made the share (v0 - v) / (v0 - v*) of the
    progress from the untrained value v0 to the best value v* of all trials; 0 if it lost or ended
    no better than untrained. The score is the geometric mean over the problems, so that one that
    fails anywhere gets 0. A problem without progress in any trial is left out.

    Args:
        by_problem: the trials of one optimizer; those with one number have one configuration.

    Returns:
        By the number of the trial.
    """
    shares: dict[int, list[float]] = {}
    for trials in by_problem.values():
        gains = {trial.number: _gain(trial) for trial in trials}
        most = max(gains.values(), default=0.0)
        for number, gain in gains.items():
            shares.setdefault(number, [])
            if most > 0:
                shares[number].append(gain / most)
    return {
        number: math.prod(found) ** (1 / len(found)) if found else 0.0
        for number, found in sorted(shares.items())
    }


def _gain(trial: Trial) -> float:
    if trial.merit is None or trial.first is None or trial.metric is None:
        return 0.0
    return max(0.0, trial.merit - trial.metric.sign * trial.first)
