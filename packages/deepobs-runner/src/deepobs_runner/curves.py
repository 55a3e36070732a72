"""Numbers behind the plots: curves over the seeds of a setting, and a summary of its end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepobs_runner.results import RunResult, by_setting

PANELS = (
    ("train_eval", "objective"),
    ("test", "objective"),
    ("train_eval", "accuracy"),
    ("test", "accuracy"),
)
"""Split and metric of the curves of a report; those a problem does not have are left out."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A metric over the epochs, its mean and spread over seeds.

    Attributes:
        epochs: `(E,)`.
        mean: over the runs that reached the epoch, `(E,)`; NaN where one was not finite.
        std: with ddof 1, `(E,)`; NaN for a single run.
        runs: number of runs.
    """

    epochs: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    runs: int


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The runs of one optimizer with one set of hyperparameters on one problem.

    Attributes:
        problem: its name.
        label: optimizer, learning rate, and what else tells it from the other settings.
        optimizer: its name.
        official: whether these are the official 2019 results.
        source: whose results these are: `yours`, `official`, or `original` for files of the
            original DeepOBS.
        runs: one a seed.
    """

    problem: str
    label: str
    optimizer: str
    official: bool
    source: str
    runs: tuple[RunResult, ...]


def settings_of(results: Iterable[RunResult], *, official: bool = False) -> list[Setting]:
    """Group results by what differs besides the seed, in order of first appearance."""
    groups = by_setting(results)
    labels = _distinct_labels([runs[0] for runs in groups])
    return [
        Setting(
            problem=runs[0].config.problem,
            label=label,
            optimizer=runs[0].config.optimizer,
            official=official,
            source="official" if official else source_of(runs[0]),
            runs=tuple(runs),
        )
        for label, runs in zip(labels, groups, strict=True)
    ]


def source_of(result: RunResult) -> str:
    """Return `original` for a result of the original DeepOBS, else `yours`."""
    return "original" if "source" in result.environment else "yours"


def _distinct_labels(firsts: Sequence[RunResult]) -> list[str]:
    """Return the labels of settings; where two on one problem agree, what differs is added."""
    labels = [label_of(result) for result in firsts]
    twins: dict[tuple[str, str, str, str], list[int]] = {}
    for index, result in enumerate(firsts):
        config = result.config
        # The recipe and the source have a column of their own.
        key = config.problem, config.recipe, source_of(result), labels[index]
        twins.setdefault(key, []).append(index)
    for indices in twins.values():
        facts = [_facts(firsts[index]) for index in indices]
        names = dict.fromkeys(name for fact in facts for name in fact)
        differing = [n for n in names if len({str(fact.get(n)) for fact in facts}) > 1]
        for index, fact in zip(indices, facts, strict=True):
            added = [f"{name}={_short(fact[name])}" for name in differing if name in fact]
            labels[index] = " ".join([labels[index], *added])
    return labels


def _facts(result: RunResult) -> dict[str, Any]:
    """Return everything that may differ between two settings, hyperparameters first."""
    described = result.config.to_json()
    hyperparams = described.pop("hyperparams")
    for name in ("problem", "optimizer", "seed", "recipe"):
        described.pop(name)
    return {**hyperparams, **{k: v for k, v in described.items() if k not in hyperparams}}


def _short(value: Any) -> str:
    if isinstance(value, dict):  # a schedule
        return str(value.get("kind", value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def label_of(result: RunResult) -> str:
    """Return optimizer and learning rate of a run.

    >>> from deepobs_runner import RunConfig, RunResult
    >>> config = RunConfig(problem="p", optimizer="SGD", hyperparams={"lr": 0.1}, recipe="2019")
    >>> label_of(RunResult(config=config, status="done"))
    'SGD lr=0.1'
    """
    config = result.config
    words = [config.optimizer.rpartition(":")[2]]
    for name in ("lr", "learning_rate"):  # the latter in some results of the original
        if name in config.hyperparams:
            words.append(f"lr={_short(config.hyperparams[name])}")
    return " ".join(words)


def curve(runs: Sequence[RunResult], split: str, metric: str) -> Curve | None:
    """Return the curve of a metric over runs, None if they do not have it.

    Runs may differ in length; an epoch counts the runs that reached it. From where one diverged
    there is no finite mean.
    """
    rows = [run.series(split, metric) for run in runs]
    if not any(np.isfinite(row).any() for row in rows):
        return None
    longest = max(range(len(runs)), key=lambda i: len(rows[i]))
    table = np.full((len(runs), len(rows[longest])), np.nan)  # (runs, E)
    reached = np.zeros_like(table, dtype=bool)
    for run, table_row, reached_row, row in zip(runs, table, reached, rows, strict=True):
        table_row[: len(row)] = row
        # A run that diverged counts to the end: the mean of the others would flatter.
        reached_row[: len(row) if run.status != "diverged" else None] = True
    count = reached.sum(axis=0)
    mean = np.where(reached, table, 0.0).sum(axis=0) / count
    squares = np.where(reached, (table - mean) ** 2, 0.0).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        std = np.sqrt(squares / (count - 1))
    return Curve(epochs=runs[longest].epochs(), mean=mean, std=std, runs=len(runs))


@dataclass(frozen=True, kw_only=True)
class Final:
    """Mean and standard deviation (ddof 1) of a metric at the end of the runs of a setting."""

    mean: float
    std: float
    runs: int

    def __str__(self) -> str:
        if not np.isfinite(self.mean):
            return "not finite"
        spread = "" if self.runs == 1 else f" ± {self.std:.4f}"
        return f"{self.mean:.4f}{spread}"


def final(runs: Sequence[RunResult], split: str, metric: str) -> Final | None:
    """Return the last value of a metric over runs, None if they do not have it."""
    values = np.array([s[-1] for run in runs if len(s := run.series(split, metric))])
    has_metric = any(
        metric in run.records[-1]["metrics"].get(split, {}) for run in runs if run.records
    )
    if not has_metric:
        return None
    std = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return Final(mean=float(values.mean()), std=std, runs=len(values))
