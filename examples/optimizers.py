"""Other people's optimizers that need a line or two before the benchmark can run them.

    deepobs run fmnist_mlp examples/optimizers.py:muon lr=0.01 --data synthetic --epochs 1

SAM and AdaHessian come from PyPI: `pip install pytorch-optimizer`. An optimizer of your own needs
none of this, see custom_optimizer.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from deepobs_models import roles


def muon(model: nn.Module, lr: float, adamw_lr: float = 1e-3) -> list[torch.optim.Optimizer]:
    """Return Muon for the hidden matrices and AdamW for everything else (torch >= 2.9).

    A factory whose first argument is called `model` gets the model; several optimizers share one
    gradient.
    """
    role = roles(model)
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        is_matrix = role[name] == "hidden" and parameter.ndim == 2
        (matrices if is_matrix else others).append(parameter)
    adamw = torch.optim.AdamW(others, lr=adamw_lr)
    return [torch.optim.Muon(matrices, lr=lr), adamw] if matrices else [adamw]


class _FirstGradient:
    """Calls the closure once before a `step` that expects the gradient to be there."""

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = optimizer

    def step(self, closure: Callable[[], Any]) -> Any:
        loss = closure()
        self._optimizer.step(closure)
        return loss

    def __getattr__(self, name: str) -> Any:
        return getattr(self._optimizer, name)


def sam(params: Iterable[Any], lr: float, momentum: float = 0.9, rho: float = 0.05) -> Any:
    """Return SAM over SGD from pytorch-optimizer: two closure calls a step.

    Foret et al., "Sharpness-aware minimization for efficiently improving generalization", 2021.
    """
    from pytorch_optimizer import SAM

    return _FirstGradient(SAM(params, torch.optim.SGD, lr=lr, momentum=momentum, rho=rho))


def adahessian(params: Iterable[Any], lr: float) -> Any:
    """Return AdaHessian from pytorch-optimizer: it needs the graph of the gradient.

    Yao et al., "ADAHESSIAN: An adaptive second order optimizer for machine learning", 2021.
    """
    from pytorch_optimizer import AdaHessian

    optimizer = AdaHessian(params, lr=lr)
    optimizer.create_graph = True  # the runner's closure then keeps the graph
    return optimizer
