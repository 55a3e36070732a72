"""Cost of tuning: one row per problem and optimizer of every study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deepobs_runner.results.result import FINISHED
from deepobs_runner.tuning.ledger import Line, read_ledger, stored_studies
from deepobs_runner.tuning.study import Study


@dataclass(frozen=True, kw_only=True)
class TuningCost:
    """Cost of tuning an optimizer on a problem, without the runs of the winner.

    Attributes:
        study: its name; so are the following.
        ruleset: ruleset of the study.
        sampler: sampler of the study.
        problem: problem of the trials.
        optimizer: optimizer of the trials.
        budget: trials that were planned.
        trials: trials that were made.
        diverged: number of diverged trials.
        pruned: number of pruned trials.
        failed: number of failed trials: those that failed, were refused, locked or killed.
        epochs: epochs of all trials together, a repeated setting once; so are the following.
        steps: optimizer steps.
        seconds: by the clocks of the runs, training and evaluation.
    """

    study: str
    ruleset: str
    sampler: str
    problem: str
    optimizer: str
    budget: int
    trials: int
    diverged: int
    pruned: int
    failed: int
    epochs: int
    steps: int
    seconds: float


def tuning_cost(out: Path) -> list[TuningCost]:
    """Cost of every study below a folder of results, a row per problem and optimizer.

    Studies that cannot be read are left out, see `damaged_studies`.
    """
    studies, _ = stored_studies(out)
    return [cost for folder, study in studies.items() for cost in cost_of(study, folder)]


def cost_of(study: Study, folder: Path) -> list[TuningCost]:
    """Cost of the study in a folder, a row per problem and optimizer."""
    pairs = [(p, candidate.optimizer) for p in study.problems for candidate in study.candidates]
    made: dict[tuple[str, str], list[Line]] = {pair: [] for pair in pairs}
    for line in read_ledger(folder):
        made.setdefault((line["problem"], line["optimizer"]), []).append(line)
    return [_cost(study, folder.name, *pair, made[pair]) for pair in pairs]


def _cost(study: Study, name: str, problem: str, optimizer: str, lines: list[Line]) -> TuningCost:
    states = [line["status"] for line in lines]
    runs = {line["run"]: line for line in lines}.values()  # a point that is drawn again is not run
    return TuningCost(
        study=name,
        ruleset=study.ruleset,
        sampler=study.sampler,
        problem=problem,
        optimizer=optimizer,
        budget=study.budget,
        trials=len(lines),
        diverged=states.count("diverged"),
        pruned=states.count("pruned"),
        failed=sum(state not in (*FINISHED, "running", "pruned") for state in states),
        epochs=sum(line["epochs"] for line in runs),
        steps=sum(line["steps"] for line in runs),
        seconds=sum(line["seconds"] for line in runs),
    )
