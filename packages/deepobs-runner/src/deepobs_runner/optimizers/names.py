"""Optimizers by name: of `torch.optim`, of other packages, and a user's own."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import torch

from deepobs_problems.errors import nearest
from deepobs_problems.fingerprints import describe
from deepobs_problems.user_code import import_location
from deepobs_runner.errors import UsageError
from deepobs_runner.extensions import import_named, load_point
from deepobs_runner.optimizers.adapters import ADAPTERS, Adapter

NOT_RUNNABLE = {"SparseAdam": "it takes sparse gradients only, and no problem here has any"}


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
    """Names that need no module: those of `torch.optim`, of adapters, and `Momentum`."""
    classes = [
        name
        for name, value in vars(torch.optim).items()
        if inspect.isclass(value)
        and issubclass(value, torch.optim.Optimizer)
        and value is not torch.optim.Optimizer
    ]
    return sorted({*classes, *ADAPTERS, "Momentum"})


def installed_optimizers() -> dict[str, EntryPoint]:
    """Entry points `deepobs.optimizers` of other packages; known names go first."""
    known = known_optimizers()
    found = entry_points(group="deepobs.optimizers")
    return {point.name: point for point in found if point.name not in known}


def find_optimizer(name: str) -> Callable[..., Any]:
    """Class, factory or adapter that `name` names.

    Raises:
        UsageError: no such optimizer, its package is missing, or it cannot run here.
    """
    found: Any
    if ":" in name:
        found = import_named(name)
    elif name == "Momentum":
        found = momentum
    elif name in ADAPTERS:
        found = ADAPTERS[name]
    elif name in NOT_RUNNABLE:
        raise UsageError(f"{name} cannot run here: {NOT_RUNNABLE[name]}.")
    elif name in known_optimizers():
        found = getattr(torch.optim, name)
    elif name in (installed := installed_optimizers()):
        found = load_point(installed[name])
    elif name.endswith(".py"):
        raise UsageError(
            f"{name} is a file. Write {name}:NAME, with the name of the optimizer in it."
        )
    else:
        raise UsageError(
            f"Unknown optimizer {name!r}.{nearest(name, [*known_optimizers(), *installed])} Use a "
            "class of torch.optim, Momentum, a name such as Muon, package.module:name or "
            "file.py:name."
        )
    if not callable(found):
        raise UsageError(f"{name} is not a valid optimizer: it cannot be called.")
    return found.check(name) if isinstance(found, Adapter) else found


def source_hash(name: str) -> str:
    """16 digits that change when the file of an optimizer does; "" for a built-in name.

    Only the file that is named counts, not what it imports. The code counts where no file has it,
    as in a notebook.
    """
    if ":" in name:
        digest = import_location(name.rpartition(":")[0])[1]
        code = "" if digest else describe(import_named(name))
        return (digest or hashlib.sha256(code.encode()).hexdigest())[:16]
    installed = {} if name in known_optimizers() else installed_optimizers()
    if name not in installed:
        return ""
    load_point(installed[name])  # its error names the package
    return import_location(installed[name].module)[1][:16]


def takes_model(name: str) -> bool:
    """Whether a factory wants the model rather than its parameters."""
    factory = find_optimizer(name)
    if isinstance(factory, Adapter):  # it gets both
        return False
    return next(iter(inspect.signature(factory).parameters), "") == "model"
