"""Which setting stands for an optimizer on a problem: the tuned one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from deepobs_runner.analysis.bootstrap import quantiles
from deepobs_runner.analysis.metrics import (
    Metric,
    final_value,
    is_counted,
    metric_of,
    ranked,
)
from deepobs_runner.results.names import kind_of
from deepobs_runner.results.result import RunResult, without_copies
from deepobs_runner.results.settings import Setting, settings_of


def tuned_settings(results: Iterable[RunResult]) -> dict[str, list[Setting]]:
    """Return, for each problem, the tuned setting of each optimizer, see `choose`.

    Args:
        results: results of any problems and optimizers; runs without a record are left out, and of
            several with the same configuration all but the first that is finished.
    """
    return choose(settings_of(without_copies(run for run in results if run.records)))


def choose(settings: Iterable[Setting]) -> dict[str, list[Setting]]:
    """Selected setting of each optimizer on each problem, with the reason of the selection.

    Runs of one optimizer are kept apart by origin, recipe, data and precision. Of several settings
    the one with the most seeds that count is chosen, because seeds are repeated at the tuned
    setting; among equals one without held-out rows, because trials hold some out; among those the
    one with the best median final value, on held-out rows if every run has them, else on the test
    split.

    Args:
        settings: settings as `settings_of` returns them, with records.
    """
    families: dict[tuple[str, str], list[Setting]] = {}
    for setting in settings:
        families.setdefault((setting.problem, setting.optimizer), []).append(setting)
    problems: dict[str, list[Setting]] = {}
    for (problem, _), family in families.items():
        problems.setdefault(problem, []).append(_choose(family))
    return problems


def _choose(settings: Sequence[Setting]) -> Setting:
    seeds = [sum(map(is_counted, setting.runs)) for setting in settings]
    if not any(seeds):
        seeds = [len(setting.runs) for setting in settings]
    most = max(seeds)
    repeated = [s for s, number in zip(settings, seeds, strict=True) if number == most]
    if len(settings) == 1:
        return replace(settings[0], chosen_by="the only setting")
    if len(repeated) == 1:
        return replace(repeated[0], chosen_by="repeated")
    retrained = [s for s in repeated if not any(run.config.valid_size for run in s.runs)]
    # the others are trials; it won on their validation examples
    if 0 < len(retrained) < len(repeated):
        repeated = retrained
    if len(repeated) == 1:
        return replace(repeated[0], chosen_by="its training on all rows")
    every = [run for setting in repeated for run in setting.runs]
    metric = metric_of(every, "test")
    if all("valid" in run.records[0]["metrics"] for run in every):
        metric = metric_of(every, "valid")
    if metric is None:
        return replace(repeated[0], chosen_by="the first")
    scores = [median_final(setting.runs, metric) * metric.sign for setting in repeated]
    return replace(repeated[int(np.argmax(scores))], chosen_by=str(metric))


def median_final(runs: Sequence[RunResult], metric: Metric) -> float:
    """Median final value of the runs that count.

    A run that diverged or lacks the metric is worse than every other; without a run that counts the
    median is worse than any number.
    """
    values = np.array([final_value(run, metric) for run in runs if is_counted(run)])
    return float(quantiles(ranked(values, metric), [0.5])[0]) if len(values) else metric.worst


def candidates(setting: Setting, results: Iterable[RunResult]) -> list[RunResult]:
    """Runs, at any hyperparameters, among which those of a setting were chosen."""
    problem, kind = setting.config.problem_id, setting.kind
    return [
        run
        for run in results
        if run.records and run.config.problem_id == problem and kind_of(run) == kind
    ]


def optimizers_of(problems: Mapping[str, Sequence[Setting]]) -> list[str]:
    """Labels of all optimizers in order of first appearance."""
    return list(dict.fromkeys(s.optimizer for listed in problems.values() for s in listed))


def find(listed: Sequence[Setting], optimizer: str) -> Setting | None:
    """Setting of an optimizer on one problem, None if it has no runs there."""
    return next((setting for setting in listed if setting.optimizer == optimizer), None)
