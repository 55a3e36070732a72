"""Optimizers by name: the classes of `torch.optim`, `Momentum`, and a user's own.

Those are written `package.module:factory` or `path/to/file.py:factory`.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from deepobs_problems.errors import nearest
from deepobs_problems.user_code import import_location
from deepobs_runner.errors import UsageError
from deepobs_runner.extensions import import_named

MakeOptimizer = Callable[[nn.Module], Any]
"""Builds the optimizer of a model: a `torch.optim.Optimizer` or what behaves like one."""

IMPLEMENTATION_SWITCHES = frozenset({"foreach", "fused", "capturable", "differentiable"})
"""Arguments that choose how torch computes a step, not what; no hyperparameters by default."""

NOT_RUNNABLE = {
    "SparseAdam": "it takes sparse gradients only, and no problem here has any",
    "Muon": "it takes two-dimensional parameters only; write a factory that hands it the hidden "
    "matrices (see deepobs_models.roles) and the rest to AdamW, and name it package.module:factory",
}


def momentum(params: Any, lr: float, momentum: float = 0.99, **options: Any) -> torch.optim.SGD:
    """Return heavy-ball SGD with the official runs' momentum, 0.99, without Nesterov."""
    return torch.optim.SGD(params, lr=lr, momentum=momentum, **options)


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


def find_optimizer(name: str) -> Callable[..., torch.optim.Optimizer]:
    """Return the class or factory that `name` names.

    Raises:
        UsageError: no such optimizer, or one that cannot run here, with the reason.
    """
    if ":" in name:
        return _from_user(name)
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
    found: Callable[..., torch.optim.Optimizer] = getattr(torch.optim, name)
    return found


def _from_user(name: str) -> Callable[..., torch.optim.Optimizer]:
    found: Callable[..., torch.optim.Optimizer] = import_named(name)
    if not callable(found):
        raise UsageError(f"{name} is not a valid optimizer: it cannot be called.")
    return found


def source_hash(name: str) -> str:
    """Return 16 digits that change when the file of a user's optimizer does; "" for torch's own.

    Only the file that is named counts, not what it imports.
    """
    if ":" not in name:
        return ""
    return import_location(name.rpartition(":")[0])[1][:16]


def hyperparameters_of(factory: Callable[..., Any]) -> tuple[dict[str, Any], bool]:
    """Return a factory's hyperparameters with their defaults, and whether it takes any other.

    The first argument, parameters or model, is left out; a hyperparameter without a default has
    `inspect.Parameter.empty`.
    """
    arguments = list(inspect.signature(factory).parameters.values())[1:]
    named = {
        a.name: a.default for a in arguments if a.kind not in (a.VAR_KEYWORD, a.VAR_POSITIONAL)
    }
    takes_any = any(a.kind is a.VAR_KEYWORD for a in arguments)
    if factory is momentum:
        named = {**hyperparameters_of(torch.optim.SGD)[0], **named}
        takes_any = False
    return named, takes_any


def resolve_hyperparams(
    name: str, given: Mapping[str, Any], *, official_lr: float | None = None
) -> dict[str, Any]:
    """Return the hyperparameters with the optimizer's own defaults filled in.

    Defaults that are None or False and those that only choose an implementation are left out, so
    that a flag which a later torch release adds does not change the identity of a run. A learning
    rate is never filled in from the optimizer's signature.

    Args:
        name: of the optimizer.
        given: by the user.
        official_lr: used if no learning rate is given; None: that is an error.

    Raises:
        UsageError: unknown or missing hyperparameter, or a value that is not finite.
    """
    named, takes_any = hyperparameters_of(find_optimizer(name))
    unknown = [key for key in given if key not in named]
    if unknown and not takes_any:
        raise UsageError(
            f"{name} has no hyperparameter {unknown[0]!r}.{nearest(unknown[0], named)} "
            f"It has: {', '.join(named)}."
        )
    types = annotations_of(find_optimizer(name))
    resolved = {
        key: _typed(name, key, default, types.get(key, ""), default)
        for key, default in named.items()
        if _is_kept(key, default)
    }
    if "lr" in named:
        resolved.pop("lr", None)
        if official_lr is not None:
            resolved["lr"] = official_lr
    for key, value in given.items():
        resolved[key] = _typed(name, key, value, types.get(key, ""), named.get(key))
    resolved = {k: v for k, v in resolved.items() if not (v is False and named.get(k) is False)}
    missing = [k for k, default in named.items() if default is inspect.Parameter.empty or k == "lr"]
    for key in missing:
        if key not in resolved:
            raise UsageError(f"{name} needs {key}=...; there is no default to compare fairly with.")
    converted = {key: _to_json(value) for key, value in resolved.items()}
    for key, value in converted.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise UsageError(
                f"{key}={value!r} of {name} is not made of finite numbers, words and lists."
            ) from None
    return converted


def annotations_of(factory: Callable[..., Any]) -> dict[str, str]:
    """Return the annotations of a factory's arguments as text."""
    source = torch.optim.SGD if factory is momentum else factory
    parameters = inspect.signature(source).parameters.values()
    return {p.name: "" if p.annotation is p.empty else str(p.annotation) for p in parameters}


def _typed(name: str, key: str, value: Any, annotation: str, default: Any) -> Any:
    """Return a value in the type of its argument, so that `lr=1` and `lr=1.0` are one run.

    Raises:
        UsageError: a number is wanted and this is none, or a flag and this is none.
    """
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise UsageError(f"{key} of {name} is true or false; got {value!r}.")
        return value
    wants_float = isinstance(default, float) or "float" in annotation
    wants_tuple = isinstance(default, tuple) or "tuple" in annotation.lower()
    if isinstance(value, list | tuple) and wants_tuple:
        return [float(item) if isinstance(item, int | float) else item for item in value]
    if wants_tuple:
        if not isinstance(value, list | tuple):
            raise UsageError(f"{key} of {name} is a list of numbers; got {value!r}.")
        return value
    if value is None and isinstance(default, int | float):
        raise UsageError(f"{key} of {name} is a number; got none.")
    if value is None:
        return value
    if wants_float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(f"{key} of {name} is a number; got {value!r}.")
        return float(value)
    if isinstance(default, int) and isinstance(value, float):
        if not value.is_integer():
            raise UsageError(f"{key} of {name} is a whole number; got {value!r}.")
        return int(value)
    return value


def _is_kept(key: str, default: Any) -> bool:
    if default is None or default is False or key in IMPLEMENTATION_SWITCHES:
        return False
    return isinstance(default, bool | int | float | str | tuple | list)


def _to_json(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_to_json(item) for item in value]
    return value


def make_optimizer(
    name: str,
    hyperparams: Mapping[str, Any],
    groups: Callable[[nn.Module], Iterable[Any]],
) -> MakeOptimizer:
    """Return a function that builds the optimizer of a model.

    A factory whose first argument is called `model` gets the model (`deepobs_models.roles` tells
    what each parameter is for), every other one the parameter groups. It returns an optimizer,
    a wrapper with `step(closure)`, `param_groups` and the state-dict methods, or a list of
    optimizers that share one gradient.

    Args:
        name: of the optimizer.
        hyperparams: its arguments; lists become tuples, as for `betas`.
        groups: returns the parameters or parameter groups of a model.
    """
    factory = find_optimizer(name)
    arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in hyperparams.items()}
    build = partial(factory, **arguments)
    wants_model = takes_model(name)

    def make(model: nn.Module) -> Any:
        try:
            built = build(model if wants_model else list(groups(model)))
        except (TypeError, ValueError) as error:
            if ":" in name:
                raise  # the user's own code: the traceback says where
            raise UsageError(f"{name} does not take these hyperparameters: {error}.") from None
        return Several(built) if isinstance(built, list | tuple) else built

    return make


def takes_model(name: str) -> bool:
    """Whether a factory wants the model rather than its parameters."""
    return next(iter(inspect.signature(find_optimizer(name)).parameters), "") == "model"


class Several:
    """Several optimizers that step one after another with the gradient of one closure call.

    Args:
        optimizers: each with parameters of its own.
    """

    def __init__(self, optimizers: Iterable[torch.optim.Optimizer]) -> None:
        self.optimizers = list(optimizers)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The parameter groups of all, one after another."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def step(self, closure: Callable[[], Any]) -> Any:
        """Call the closure once and take a step with each optimizer."""
        loss = closure()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the state dicts of all."""
        return {"optimizers": [optimizer.state_dict() for optimizer in self.optimizers]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        for optimizer, own in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)

    def train(self) -> bool:
        """Switch those that have a training mode to it; say whether there are any."""
        return self._set_mode(training=True)

    def eval(self) -> bool:
        """Switch those that evaluate at other weights than they train; say if there are any."""
        return self._set_mode(training=False)

    def _set_mode(self, *, training: bool) -> bool:
        switched = [set_mode(optimizer, training=training) for optimizer in self.optimizers]
        return any(switched)  # after all of them were asked


def set_mode(optimizer: Any, *, training: bool) -> bool:
    """Switch an optimizer that trains and evaluates at different weights; say whether it does."""
    switch = getattr(optimizer, "train" if training else "eval", None)
    return callable(switch) and switch() is not False


def parse_hyperparams(words: Iterable[str]) -> dict[str, Any]:
    """Return `key=value` words as hyperparameters; values are numbers, booleans, tuples or text.

    Raises:
        UsageError: a word without `=`, or a key given twice.

    >>> parse_hyperparams(["lr=1e-3", "betas=0.9,0.99", "nesterov=true"])
    {'lr': 0.001, 'betas': [0.9, 0.99], 'nesterov': True}
    """
    parsed: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.isidentifier() or not text:
            raise UsageError(f"Cannot read {word!r}: hyperparameters are written key=value.")
        if key in parsed:
            raise UsageError(f"The hyperparameter {key!r} is given twice.")
        parsed[key] = _parse_value(text)
    return parsed


def _parse_value(text: str) -> Any:
    words: Mapping[str, Any] = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    if "," in text and not text.startswith(("(", "[", "{")):
        return [_parse_value(part) for part in text.split(",") if part]
    try:
        return _to_json(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return text
