"""Who is compared: the runs of each optimizer on each problem at its tuned setting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from deepobs_runner.analysis.bootstrap import quantiles
from deepobs_runner.analysis.metrics import (
    Metric,
    final_value,
    is_finished,
    metric_of,
    ranked,
)
from deepobs_runner.results.result import OFFICIAL, YOURS, RunResult, by_setting, provenance_of


@dataclass(frozen=True, kw_only=True)
class Contender:
    """The runs of one optimizer on one problem at the setting that stands for it.

    Attributes:
        problem: its name.
        label: of the optimizer; the same on every problem.
        runs: of the chosen setting, one a seed.
        settings_seen: number of distinct settings among the results, whatever was held out: its
            tuning budget.
        chosen_by: `repeated` if no other setting has as many finished seeds, else what chose it.
    """

    problem: str
    label: str
    runs: tuple[RunResult, ...]
    settings_seen: int
    chosen_by: str

    def rows(self) -> list[dict[str, Any]]:
        """Return one row of a table."""
        return [
            {
                "problem": self.problem,
                "optimizer": self.label,
                "hyperparams": dict(self.runs[0].config.hyperparams),
                "seeds": len(self.runs),
                "settings_seen": self.settings_seen,
                "chosen_by": self.chosen_by,
            }
        ]


def is_official(run: RunResult) -> bool:
    """Whether a run is one of the official results of 2019."""
    return provenance_of(run) == OFFICIAL


def contenders(results: Iterable[RunResult]) -> dict[str, list[Contender]]:
    """Return, for each problem, the tuned setting of each optimizer.

    Runs of one optimizer are kept apart by whose they are, recipe, data and precision; the label
    says so where it is needed to tell two apart. Of several settings the one with the most finished
    seeds is chosen, because seeds are repeated at the tuned setting; among equals one without
    held-out rows, because trials hold some out; among those the one with the best median final
    value, on held-out rows if every run has them, else on the test split.

    Args:
        results: of any problems and optimizers; runs without a record are left out, and of several
            with the same configuration all but the first that is finished.
    """
    problems: dict[str, list[Contender]] = {}
    for (problem, label), runs in families_of(results).items():
        settings = by_setting(runs)
        chosen, chosen_by = _choose(settings)
        problems.setdefault(problem, []).append(
            Contender(
                problem=problem,
                label=label,
                runs=tuple(chosen),
                settings_seen=len(trials_of(runs)),
                chosen_by=chosen_by,
            )
        )
    return problems


def candidates(contender: Contender, results: Iterable[RunResult]) -> list[RunResult]:
    """Return the runs, of any setting, among which the runs of a contender were chosen."""
    kind = _kind(contender.runs[0])
    return [
        run
        for run in results
        if run.records and run.config.problem == contender.problem and _kind(run) == kind
    ]


def families_of(results: Iterable[RunResult]) -> dict[tuple[str, str], list[RunResult]]:
    """Return all runs of each contender, at any setting, by problem and label.

    Args:
        results: as for `contenders`; each run is there once.
    """
    families: dict[tuple[str, Kind], list[RunResult]] = {}
    for run in results:
        if run.records:
            families.setdefault((run.config.problem, _kind(run)), []).append(run)
    kinds = list(dict.fromkeys(kind for _, kind in families))
    labels = _labels(kinds)
    return {(name, labels[kind]): once(runs) for (name, kind), runs in families.items()}


class Kind(NamedTuple):
    """What is compared as one optimizer."""

    optimizer: str
    whose: str
    recipe: str
    data: str
    precision: str


def _kind(run: RunResult) -> Kind:
    config = run.config
    return Kind(
        optimizer=config.optimizer,
        whose=provenance_of(run),
        recipe=f"recipe {config.recipe}",
        data=f"{config.data} data",
        precision=config.precision,
    )


def _labels(kinds: Sequence[Kind]) -> dict[Kind, str]:
    """Return a label for each kind.

    If words are added to any, every baseline says whose it is: a bare name beside "SGD (yours)"
    and "SGD (official)" would not.
    """
    words = {kind: _words(kind, kinds) for kind in kinds}
    if any(words.values()):
        for kind, added in words.items():
            if kind.whose not in (YOURS, *added):
                added.insert(0, kind.whose)
    return {kind: _label(kind, words[kind], kinds) for kind in kinds}


def _words(kind: Kind, kinds: Sequence[Kind]) -> list[str]:
    """Return each word that tells a kind from those of the same optimizer."""
    twins = [other for other in kinds if other.optimizer == kind.optimizer]
    added = []
    for index, word in enumerate(kind[1:], start=1):
        if len({other[index] for other in twins}) > 1:
            added.append(word)
            twins = [other for other in twins if other[index] == word]
    return added


def _label(kind: Kind, added: Sequence[str], kinds: Sequence[Kind]) -> str:
    """Return the optimizer, and the added words in brackets."""
    name = kind.optimizer.rpartition(":")[2]
    namesakes = {o.optimizer for o in kinds if o.optimizer.rpartition(":")[2] == name}
    if len(namesakes) > 1:  # two files of the user, say
        name = kind.optimizer
    return f"{name} ({', '.join(added)})" if added else name


def once(results: Iterable[RunResult]) -> list[RunResult]:
    """Return results with each run once: a second copy would count as another seed.

    Of copies the first that is finished stays, else the first.
    """
    kept: dict[tuple[str, str], RunResult] = {}
    for run in results:
        key = run.config.id, f"{provenance_of(run)}: {run.environment.get('source')}"
        present = kept.get(key)
        if present is None or (is_finished(run) and not is_finished(present)):
            kept[key] = run
    return list(kept.values())


def trials_of(results: Iterable[RunResult]) -> list[list[RunResult]]:
    """Return the runs of each setting that was tried, the trial itself first, then its repeats.

    A winner that was trained anew on all rows is no further trial. The trial is the run with the
    most held-out rows, as those it was set against had them too, and the lowest seed.
    """
    tried: dict[str, list[RunResult]] = {}
    for runs in by_setting(results):
        key = replace(runs[0].config, seed=0, valid_size=0).id
        tried.setdefault(key, []).extend(runs)
    return [
        sorted(runs, key=lambda run: (-run.config.valid_size, run.config.seed))
        for runs in tried.values()
    ]


def _choose(settings: Sequence[list[RunResult]]) -> tuple[list[RunResult], str]:
    """Return the runs of the setting that stands for an optimizer, and what chose it."""
    counts = [sum(map(is_finished, runs)) for runs in settings]
    if not any(counts):
        counts = [len(runs) for runs in settings]
    most = max(counts)
    repeated = [runs for runs, count in zip(settings, counts, strict=True) if count == most]
    if len(settings) == 1:
        return settings[0], "the only setting"
    if len(repeated) == 1:
        return repeated[0], "repeated"
    retrained = [runs for runs in repeated if not any(run.config.valid_size for run in runs)]
    if 0 < len(retrained) < len(repeated):  # the others are trials, on whose held-out rows it won
        repeated = retrained
    if len(repeated) == 1:
        return repeated[0], "its training on all rows"
    every = [run for runs in repeated for run in runs]
    metric = metric_of(every, "test")
    if all("valid" in run.records[0]["metrics"] for run in every):
        metric = metric_of(every, "valid")
    if metric is None:
        return repeated[0], "the first"
    scores = [median_final(runs, metric) * metric.sign for runs in repeated]
    return repeated[int(np.argmax(scores))], str(metric)


def median_final(runs: Sequence[RunResult], metric: Metric) -> float:
    """Return the median final value over finished runs.

    A run that diverged or lacks the metric is worse than every other; without a finished run the
    median is worse than any number.
    """
    values = np.array([final_value(run, metric) for run in runs if is_finished(run)])
    return float(quantiles(ranked(values, metric), [0.5])[0]) if len(values) else metric.worst


def labels_of(problems: Mapping[str, Sequence[Contender]]) -> list[str]:
    """Return the labels of all contenders in order of first appearance."""
    return list(dict.fromkeys(c.label for listed in problems.values() for c in listed))


def find(listed: Sequence[Contender], label: str) -> Contender | None:
    """Return the contender of a label on one problem, None if it has no runs there."""
    return next((contender for contender in listed if contender.label == label), None)
