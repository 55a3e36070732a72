"""Results grouped by setting: what is a line of a table, and a curve of a figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deepobs_runner.results.labels import label_results
from deepobs_runner.results.result import (
    OFFICIAL,
    ORIGINAL,
    YOURS,
    RunResult,
    by_setting,
    provenance_of,
)

PANELS = (
    ("train_eval", "objective"),
    ("test", "objective"),
    ("train_eval", "accuracy"),
    ("test", "accuracy"),
)
"""Split and metric of the curves of a report; those a problem does not have are left out."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The runs of one optimizer with one set of hyperparameters on one problem.

    Attributes:
        problem: its name.
        label: optimizer, learning rate, and what is no default, see `labels`.
        optimizer: its name.
        official: whether these are the official 2019 results.
        source: whose results these are, see `provenance_of`.
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
            official=provenance_of(runs[0]) == OFFICIAL,
            source=provenance_of(runs[0]),
            runs=tuple(runs),
        )
        for label, runs in zip(labels, groups, strict=True)
    ]


def counted(runs: Sequence[RunResult]) -> list[RunResult]:
    """Return the runs whose ends can be averaged: those that are done or diverged.

    One that was stopped, failed or is still running ended where something else decided. If there
    are no others, these are what there is.
    """
    ended = [run for run in runs if run.status in ("done", "diverged")]
    return ended or list(runs)
