"""How the optimizer of a model is made, and what factories may return."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from torch import nn

from deepobs_runner.errors import UsageError
from deepobs_runner.optimizers.adapters import Adapter
from deepobs_runner.optimizers.argument_types import EMPTY
from deepobs_runner.optimizers.hyperparams import hyperparameters_of, to_arguments
from deepobs_runner.optimizers.names import find_optimizer, takes_model
from deepobs_runner.optimizers.wrappers import AfterClosure, CombinedOptimizer

MakeOptimizer = Callable[[nn.Module], Any]
"""Builds the optimizer of a model: a `torch.optim.Optimizer` or what behaves like one."""

NEEDED = ("step", "state_dict", "load_state_dict")


def make_optimizer(
    name: str,
    hyperparams: Mapping[str, Any],
    groups: Callable[[nn.Module], Iterable[Any]],
) -> MakeOptimizer:
    """Function that builds the optimizer of a model.

    A factory with a first argument named `model` gets the model (`deepobs_models.roles` tells what
    each parameter is for), every other one the parameter groups. It returns an optimizer, a wrapper
    with `step(closure)`, `param_groups` and the state-dict methods, or several of these that share
    one gradient: a list, a mapping or a generator.

    Args:
        name: name of the optimizer.
        hyperparams: its arguments, resolved.
        groups: returns the parameters or parameter groups of a model.
    """
    factory = find_optimizer(name)
    arguments = to_arguments(name, hyperparams)
    wants_model = takes_model(name)

    def make(model: nn.Module) -> Any:
        try:
            if isinstance(factory, Adapter):
                built = factory(model, groups(model), **arguments)
            else:
                built = factory(model if wants_model else list(groups(model)), **arguments)
            optimizer = _as_one(name, built)
        except (TypeError, ValueError) as error:
            if ":" in name:
                raise  # the user's own code: the traceback shows the place
            raise UsageError(f"{name} does not take these hyperparameters: {error}.") from None
        if "lr" not in arguments:
            _refuse_a_silent_rate(name, factory, optimizer)
        return optimizer

    return make


def _as_one(name: str, built: Any) -> Any:
    """Optimizer, or several of them, of a factory as one optimizer."""
    if isinstance(built, Mapping):
        built = list(built.values())
    if not isinstance(built, list | tuple | Iterator):
        return _checked(name, built)
    optimizers = [_checked(name, optimizer) for optimizer in built]
    if not optimizers:
        raise UsageError(f"{name} returned no optimizer: its list is empty.")
    return CombinedOptimizer(optimizers)


def _checked(name: str, optimizer: Any) -> Any:
    """Optimizer that training can use.

    Raises:
        UsageError: it lacks a method or `param_groups`, or is not an optimizer at all.
    """
    if optimizer is None:
        raise UsageError(f"{name} returned nothing. End the factory with `return optimizer`.")
    if isinstance(optimizer, type):
        raise UsageError(
            f"{name} returned the class {optimizer.__name__}. Return an optimizer: "
            f"{optimizer.__name__}(params, ...)."
        )
    missing = [method for method in NEEDED if not callable(getattr(optimizer, method, None))]
    missing += [] if hasattr(optimizer, "param_groups") else ["param_groups"]
    if missing:
        inside = [
            k for k, v in getattr(optimizer, "__dict__", {}).items() if hasattr(v, missing[0])
        ]
        raise UsageError(
            f"{name} returned a {type(optimizer).__name__} without {', '.join(missing)}. "
            "An optimizer has step(closure), state_dict(), load_state_dict() and param_groups; a "
            "wrapper hands on those of the optimizer inside, param_groups as a property that "
            f"returns self.{[*inside, 'optimizer'][0]}.param_groups."
        )
    return optimizer if _takes_closure(optimizer) else AfterClosure(optimizer)


def _takes_closure(optimizer: Any) -> bool:
    """Whether `step` can be called with a closure."""
    parameters = inspect.signature(optimizer.step).parameters.values()
    positional = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )
    return any(parameter.kind in positional for parameter in parameters)


def _refuse_a_silent_rate(name: str, factory: Callable[..., Any], optimizer: Any) -> None:
    """Refuse a learning rate that is the library's default because none was given.

    Raises:
        UsageError: the factory passes `lr` on, but no value was given.
    """
    if not hyperparameters_of(factory)[1]:
        return  # it takes no `lr`: its own code sets the rate
    for part in getattr(optimizer, "optimizers", [optimizer]):
        kind = type(part.optimizer if isinstance(part, AfterClosure) else part)
        parameter = inspect.signature(kind).parameters.get("lr")
        default = EMPTY if parameter is None else parameter.default
        if any(group.get("lr") == default for group in part.param_groups):
            raise UsageError(
                f"{name} needs a learning rate. Add lr={default}, the default of "
                f"{kind.__name__}, or another."
            )
