"""From a configuration as it was given to a run of which everything is known and checked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from deepobs_problems import Problem, load_problem
from deepobs_runner.backend.distributed import ProcessGroup
from deepobs_runner.backend.shared_draws import divides
from deepobs_runner.config import RunConfig, resolve
from deepobs_runner.errors import UsageError
from deepobs_runner.optimizers import (
    MakeOptimizer,
    make_optimizer,
    resolve_hyperparams,
    source_hash,
)
from deepobs_runner.results.official import official_learning_rate
from deepobs_runner.seeds import global_stream


class DoubleDecayWarning(UserWarning):
    """The weights are decayed twice: by the problem's regularizer and by the optimizer."""


def resolve_config(config: RunConfig, problem: Problem | None = None) -> RunConfig:
    """Return the configuration with every default filled in, checked against what exists.

    A learning rate that is not given is the tuned one of the official runs, if there is one for
    this problem and optimizer.

    Raises:
        UsageError, ProblemError: unknown problem, optimizer or hyperparameter, or no rate.
    """
    problem = load_problem(config.problem) if problem is None else problem
    hyperparams = resolve_hyperparams(
        config.optimizer,
        config.hyperparams,
        official_lr=official_learning_rate(problem.name, config.optimizer),
    )
    if config.l2_via == "optimizer":
        hyperparams = _without_weight_decay(config, hyperparams)
    return resolve(config, problem, hyperparams, source_hash(config.optimizer))


def _without_weight_decay(config: RunConfig, hyperparams: dict[str, Any]) -> dict[str, Any]:
    """Leave the decay to the parameter groups.

    Raises:
        UsageError: it is given as a hyperparameter too, or the optimizer knows no decay.
    """
    if config.hyperparams.get("weight_decay"):
        raise UsageError(
            "weight_decay is given, and l2_via=optimizer sets it from the problem's L2 as well. "
            "Use --l2 to choose the factor."
        )
    if "weight_decay" not in hyperparams:
        raise UsageError(
            f"{config.optimizer} has no weight_decay, so the L2 cannot go through it. Leave "
            "--l2-via at objective."
        )
    return {key: value for key, value in hyperparams.items() if key != "weight_decay"}


def double_decay(config: RunConfig) -> str | None:
    """Return a sentence if a resolved configuration decays the weights twice."""
    decay = config.hyperparams.get("weight_decay")
    if not decay or not config.l2 or config.l2_via == "optimizer":
        return None
    return (
        f"{config.optimizer} decays weights by {decay} and the objective of {config.problem} by "
        f"l2={config.l2}. To decay once, give weight_decay=0, --l2 0, or --l2-via optimizer."
    )


def resolve_world(
    config: RunConfig, group: ProcessGroup, problem: Problem | None = None
) -> RunConfig:
    """Return a resolved configuration with the number of processes, if that changes its numbers.

    Raises:
        UsageError: it is one of another number of processes, or a batch cannot be divided.
    """
    if group.size == 1 and config.world_size == 1:
        return config
    group.check(config.batch_size or 0)
    problem = load_problem(config.problem) if problem is None else problem
    with global_stream(config.seed, "init"):
        depends = divides(problem.model()) is not None
    wanted = group.size if depends else 1
    if config.world_size not in (1, wanted):
        raise UsageError(
            f"world_size is {config.world_size}, but the numbers of {config.problem} are those of "
            f"{wanted} here. Start as many processes with torchrun, or leave world_size out."
        )
    return replace(config, world_size=wanted)


def optimizer_of(config: RunConfig, problem: Problem) -> MakeOptimizer:
    """Return what builds the optimizer of a resolved configuration."""

    def groups(model: nn.Module) -> list[Any]:
        if config.l2_via == "optimizer":
            return list(problem.parameter_groups(model, config.l2))
        return [p for p in model.parameters() if p.requires_grad]

    return make_optimizer(config.optimizer, config.hyperparams, groups)
