"""An optimizer of your own, in one file.

    deepobs check examples/custom_optimizer.py:Lion lr=0.001
    deepobs run quadratic_deep examples/custom_optimizer.py:Lion lr=0.01 --epochs 20
    deepobs bench examples/custom_optimizer.py:Lion lr=0.01 SGD Adam --problem quadratic_deep
    deepobs report results

Any `torch.optim.Optimizer` will do: the runner builds it with the model's parameters and the
hyperparameters of the command line, and calls `step(closure)`. The signature says which there are:
those without a default must be given, and a misspelt one is an error. Editing this file makes its
runs new ones, because their identity holds its hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch


class Lion(torch.optim.Optimizer):
    """Lion: the sign of an interpolation between momentum and gradient.

    Chen et al., "Symbolic discovery of optimization algorithms", 2023, algorithm 2. All entries of
    a step are +lr, -lr or 0, so useful rates are 3 to 10 times smaller than Adam's.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
    ) -> None:
        if lr < 0:
            raise ValueError(f"lr is {lr}; it must not be negative.")
        defaults = {"lr": lr, "beta1": beta1, "beta2": beta2, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Compute the gradient once, move every weight, and return the objective before."""
        with torch.enable_grad():
            objective = closure()  # forward and backward pass; leaves the gradients in .grad
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)
        return objective

    def _move(self, weight: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]  # saved in checkpoints
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum = state["momentum"]
        direction = momentum.lerp(gradient, 1 - group["beta1"]).sign()
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(direction, alpha=-group["lr"])
        momentum.lerp_(gradient, 1 - group["beta2"])
