"""Settings: results grouped by everything but the seed, the lines of tables and figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from deepobs_runner.config import Identity, RunConfig
from deepobs_runner.results.labels import label_results
from deepobs_runner.results.names import Kind, distinct_names, kind_of, label_optimizers
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
    """An optimizer with its hyperparameters and schedule on a problem, and its runs.

    Attributes:
        problem: its name, without the folder of a user's file.
        optimizer: label of the optimizer, the same on every problem: its name, and what tells it
            from others of that name among the results, such as `SGD (official)`.
        label: optimizer, learning rate, and non-default values, see `labels`.
        runs: one per seed, at least one.
        tried: number of settings of this optimizer on this problem among the results, whatever
            was held out: its tuning budget.
        chosen_by: why this setting stands for its optimizer, see `analysis.tuned`; empty where it
            does not, or nothing was chosen.
        missing: runs without any record that failed or are not finished.
    """

    problem: str
    optimizer: str
    label: str
    runs: tuple[RunResult, ...]
    tried: int = 1
    chosen_by: str = ""
    missing: tuple[RunResult, ...] = ()

    @property
    def every_run(self) -> tuple[RunResult, ...]:
        """Its runs, with and without records."""
        return (*self.runs, *self.missing)

    @property
    def config(self) -> RunConfig:
        """The configuration of its first run; those of the others have other seeds."""
        return self.runs[0].config

    @property
    def kind(self) -> Kind:
        """What is compared as one optimizer, at any hyperparameters."""
        return kind_of(self.runs[0])

    @property
    def key(self) -> tuple[str, str, str]:
        """What its runs have in common, see `key_of`."""
        return key_of(self.runs[0])

    @property
    def source(self) -> str:
        """Origin of the results, see `provenance_of`."""
        return provenance_of(self.runs[0])

    @property
    def official(self) -> bool:
        """Whether these are the official 2019 results."""
        return self.source == OFFICIAL

    @property
    def baseline(self) -> bool:
        """Whether these are of a baseline set, official or another."""
        return self.source not in (YOURS, ORIGINAL)

    def rows(self) -> list[dict[str, Any]]:
        """One row of a table."""
        return [
            {
                "problem": self.problem,
                "optimizer": self.optimizer,
                "hyperparams": dict(self.config.hyperparams),
                "seeds": len(self.runs),
                "settings_seen": self.tried,
                "chosen_by": self.chosen_by,
            }
        ]


def key_of(result: RunResult) -> tuple[str, str, str]:
    """Key of a run's setting: all but the seed, whatever else is among the results."""
    return result.config.setting_id, provenance_of(result), str(result.environment.get("source"))


def settings_of(results: Iterable[RunResult]) -> list[Setting]:
    """Group results by what differs besides the seed, in order of first appearance."""
    groups = by_setting(results)
    firsts = [runs[0] for runs in groups]
    kinds = [kind_of(run) for run in firsts]
    optimizers = label_optimizers(kinds)
    problems = distinct_names(run.config.problem_id for run in firsts)
    tried: dict[tuple[Identity, Kind], set[str]] = {}
    for run, kind in zip(firsts, kinds, strict=True):
        tried.setdefault((run.config.problem_id, kind), set()).add(_trial_id(run.config))
    return [
        Setting(
            problem=problems[runs[0].config.problem_id],
            optimizer=optimizers[kind],
            label=label,
            runs=tuple(runs),
            tried=len(tried[runs[0].config.problem_id, kind]),
        )
        for label, runs, kind in zip(label_results(firsts), groups, kinds, strict=True)
    ]


def with_missing(settings: Iterable[Setting], results: Iterable[RunResult]) -> list[Setting]:
    """Settings with those of their runs that have no record.

    Args:
        settings: settings of runs with records.
        results: results with and without records.
    """
    missing: dict[tuple[str, str, str], list[RunResult]] = {}
    for run in results:
        if not run.finished and not run.records:
            missing.setdefault(key_of(run), []).append(run)
    return [replace(setting, missing=tuple(missing.get(setting.key, ()))) for setting in settings]


def trials_of(results: Iterable[RunResult]) -> list[list[RunResult]]:
    """Runs of each setting that was tried, the trial itself first, then its repeats.

    A winner that was retrained on all examples is not another trial. The trial is the run with the
    most held-out rows, as those it was set against had them too, and the lowest seed.
    """
    tried: dict[str, list[RunResult]] = {}
    for runs in by_setting(results):
        tried.setdefault(_trial_id(runs[0].config), []).extend(runs)
    return [
        sorted(runs, key=lambda run: (-run.config.valid_size, run.config.seed))
        for runs in tried.values()
    ]


def _trial_id(config: RunConfig) -> str:
    """Key that a trial shares with the training of its setting on all examples."""
    return replace(config, seed=0, valid_size=0).id
