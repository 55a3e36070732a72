"""Optimizers by name: classes of `torch.optim`, `Momentum`, adapters, and a user's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

from deepobs_problems.errors import nearest
from deepobs_problems.user_code import import_location
from deepobs_runner.errors import UsageError
from deepobs_runner.extensions import import_named

NOT_RUNNABLE = {
    "SparseAdam": "it takes sparse gradients only, and no problem here has any",
    "Muon": "it takes two-dimensional parameters only; write a factory that hands it the hidden "
    "matrices (see deepobs_models.roles) and the rest to AdamW, and name it package.module:factory",
}


def momentum(params: Any, lr: float, momentum: float = 0.99, **options: Any) -> torch.optim.SGD:
    """Heavy-ball SGD with the official runs' momentum, 0.99, without Nesterov."""
    return torch.optim.SGD(params, lr=lr, momentum=momentum, **options)


def _signature_of_momentum() -> inspect.Signature:
    own, sgd = inspect.signature(momentum), inspect.signature(torch.optim.SGD)
    named = {**sgd.parameters, "momentum": own.parameters["momentum"], "lr": own.parameters["lr"]}
    keyword_only = [p.replace(kind=p.KEYWORD_ONLY) for n, p in named.items() if n != "params"]
    return inspect.Signature([own.parameters["params"], *keyword_only])


momentum.__signature__ = _signature_of_momentum()  # type: ignore[attr-defined]


def known_optimizers() -> list[str]:
    """Return the names that need no module: `Momentum` and the classes of `torch.optim`."""
    classes = [
        name
        for name, value in vars(torch.optim).items()
        if inspect.isclass(value)
        and issubclass(value, torch.optim.Optimizer)
        and value is not torch.optim.Optimizer
    ]
    return sorted([*classes, "Momentum"])


def find_optimizer(name: str) -> Callable[..., Any]:
    """Return the class or factory that `name` names.

    Raises:
        UsageError: no such optimizer, or one that cannot run here, with the reason.
    """
    found: Any
    if ":" in name:
        found = import_named(name)
        if not callable(found):
            raise UsageError(f"{name} is not a valid optimizer: it cannot be called.")
        return found  # type: ignore[no-any-return]
    if name == "Momentum":
        return momentum
    if name in NOT_RUNNABLE:
        raise UsageError(f"{name} cannot run on whole models: {NOT_RUNNABLE[name]}.")
    known = known_optimizers()
    if name not in known:
        raise UsageError(
            f"Unknown optimizer {name!r}.{nearest(name, known)} Use a class of torch.optim, "
            "Momentum, package.module:factory or path/to/file.py:factory."
        )
    found = getattr(torch.optim, name)
    return found  # type: ignore[no-any-return]


def source_hash(name: str) -> str:
    """Return 16 digits that change when the file of a user's optimizer does; "" for torch's own.

    Only the file that is named counts, not what it imports.
    """
    if ":" not in name:
        return ""
    return import_location(name.rpartition(":")[0])[1][:16]


def takes_model(name: str) -> bool:
    """Whether a factory wants the model rather than its parameters."""
    return next(iter(inspect.signature(find_optimizer(name)).parameters), "") == "model"
