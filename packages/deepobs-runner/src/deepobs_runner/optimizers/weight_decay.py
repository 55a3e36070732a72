"""Weight decay: where the L2 of a problem goes, and that weights are not decayed twice.

By default the problem's L2 is part of the objective. With `l2_via=optimizer` it is the
`weight_decay` of the parameter groups with decayed weights.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from deepobs_problems import Problem
from deepobs_runner.config import RunConfig
from deepobs_runner.errors import UsageError


class DoubleDecayWarning(UserWarning):
    """The weights are decayed twice: by the problem's regularizer and by the optimizer."""


def l2_in_objective(config: RunConfig) -> float:
    """Factor of the squared weights in the training objective, 0 without any."""
    return (config.l2 or 0.0) if config.l2_via == "objective" else 0.0


def parameters_of(config: RunConfig, problem: Problem, model: nn.Module) -> list[Any]:
    """Arguments of an optimizer: parameters, or groups of them with their weight decay."""
    if config.l2_via == "optimizer":
        return list(problem.parameter_groups(model, config.l2))
    return [p for p in model.parameters() if p.requires_grad]


def without_weight_decay(config: RunConfig, hyperparams: dict[str, Any]) -> dict[str, Any]:
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
            f"{config.optimizer} has no weight_decay, so the L2 cannot go through it. Remove "
            "--l2-via optimizer."
        )
    return {key: value for key, value in hyperparams.items() if key != "weight_decay"}


def double_decay(config: RunConfig) -> str | None:
    """Warning if a resolved configuration decays the weights twice, else None."""
    decay = config.hyperparams.get("weight_decay")
    if not decay or not config.l2 or config.l2_via == "optimizer":
        return None
    return (
        f"{config.optimizer} decays weights by {decay} and the objective of {config.problem} by "
        f"l2={config.l2}. To decay once, give weight_decay=0, --l2 0, or --l2-via optimizer."
    )
