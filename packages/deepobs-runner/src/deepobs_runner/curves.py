"""Numbers behind the plots: curves over the seeds of a setting, and a summary of its end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from deepobs_runner.labels import label_results
from deepobs_runner.provenance import OFFICIAL, ORIGINAL, YOURS, whose
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
        label: optimizer, learning rate, and what is no default, see `labels`.
        optimizer: its name.
        official: whether these are the official 2019 results.
        source: whose results these are, see `provenance.whose`.
        runs: one a seed.
    """

    problem: str
    label: str
    optimizer: str
    official: bool
    source: str
    runs: tuple[RunResult, ...]

    @property
    def baseline(self) -> bool:
        """Whether these are of a baseline set, official or another."""
        return self.source not in (YOURS, ORIGINAL)


def settings_of(results: Iterable[RunResult]) -> list[Setting]:
    """Group results by what differs besides the seed, in order of first appearance."""
    groups = by_setting(results)
    labels = label_results([runs[0] for runs in groups])
    return [
        Setting(
            problem=runs[0].config.problem,
            label=label,
            optimizer=runs[0].config.optimizer,
            official=whose(runs[0]) == OFFICIAL,
            source=whose(runs[0]),
            runs=tuple(runs),
        )
        for label, runs in zip(labels, groups, strict=True)
    ]


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


def counted(runs: Sequence[RunResult]) -> list[RunResult]:
    """Return the runs whose ends can be averaged: those that are done or diverged.

    One that was stopped, failed or is still running ended where something else decided. If there
    are no others, these are what there is.
    """
    ended = [run for run in runs if run.status in ("done", "diverged")]
    return ended or list(runs)


def final(runs: Sequence[RunResult], split: str, metric: str) -> Final | None:
    """Return the last value of a metric over the runs that count, None if they do not have it."""
    runs = counted(runs)
    values = np.array([s[-1] for run in runs if len(s := run.series(split, metric))])
    has_metric = any(
        metric in run.records[-1]["metrics"].get(split, {}) for run in runs if run.records
    )
    if not has_metric:
        return None
    std = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return Final(mean=float(values.mean()), std=std, runs=len(values))
