"""Hyperparameters: read from the command line, completed by defaults, typed by the signature."""

from __future__ import annotations

import ast
import inspect
import json
import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from deepobs_problems.errors import nearest
from deepobs_runner.errors import UsageError
from deepobs_runner.optimizers.adapters import Adapter
from deepobs_runner.optimizers.argument_types import (
    EMPTY,
    Mismatch,
    to_argument,
    to_json,
    typed_signature,
)
from deepobs_runner.optimizers.names import find_optimizer

IMPLEMENTATION_SWITCHES = frozenset({"foreach", "fused", "capturable", "differentiable"})
"""Arguments that choose how torch computes a step, not what; no hyperparameters by default."""

OTHER_NAMES = MappingProxyType({"learning_rate": "lr", "wd": "weight_decay", "eta": "lr"})
"""Hyperparameters of torch by names that other libraries have for them."""


def signature_of(factory: Callable[..., Any]) -> inspect.Signature:
    """Signature of a class, factory or adapter with types as annotations."""
    return factory.signature() if isinstance(factory, Adapter) else typed_signature(factory)


def hyperparameters_of(factory: Callable[..., Any]) -> tuple[dict[str, Any], bool]:
    """Hyperparameters of a factory with their defaults, and whether it takes any other.

    The first argument, parameters or model, is left out; a hyperparameter without a default has
    `inspect.Parameter.empty`.
    """
    arguments = list(signature_of(factory).parameters.values())[1:]
    several = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    named = {a.name: a.default for a in arguments if a.kind not in several}
    return named, any(a.kind is a.VAR_KEYWORD for a in arguments)


def resolve_hyperparams(
    name: str, given: Mapping[str, Any], *, official_lr: float | None = None, problem: str = ""
) -> dict[str, Any]:
    """Hyperparameters as JSON values, with the optimizer's own defaults filled in.

    Defaults that are None or False and those that only choose an implementation are left out, so
    that a flag which a later torch release adds does not change the identity of a run. A learning
    rate is never filled in from the optimizer's signature.

    Args:
        name: name of the optimizer.
        given: hyperparameters that the user gave.
        official_lr: used if no learning rate is given; None: a missing rate is an error.
        problem: named in messages, with the command that tunes on it.

    Raises:
        UsageError: unknown or missing hyperparameter, or a value of another type.
    """
    factory = find_optimizer(name)
    named, takes_any = hyperparameters_of(factory)
    unknown = [key for key in given if key not in named]
    if unknown and not takes_any:
        meant = OTHER_NAMES.get(unknown[0])
        hint = (
            f" Write {meant}={given[unknown[0]]}." if meant in named else nearest(unknown[0], named)
        )
        raise UsageError(
            f"{name} has no hyperparameter {unknown[0]!r}.{hint} It has: {', '.join(named)}."
        )
    chosen = {key: default for key, default in named.items() if _is_kept(key, default)}
    if "lr" in named:
        chosen.pop("lr", None)
        if official_lr is not None:
            chosen["lr"] = official_lr
    arguments = to_arguments(name, {**chosen, **given})
    for key, default in named.items():
        if key not in arguments and (default is EMPTY or key == "lr"):
            raise UsageError(_missing(name, key, problem))
    if isinstance(arguments.get("lr"), float) and not math.isfinite(arguments["lr"]):
        raise UsageError(f"lr of {name} must be finite; got {arguments['lr']}.")
    resolved = {
        key: to_json(value)
        for key, value in arguments.items()
        if not (value is False and named.get(key) is False)
    }
    for key, value in resolved.items():
        if not _is_json(value):
            raise UsageError(
                f"{key}={value!r} of {name} has an unsupported type. Use numbers, texts, lists "
                "or mappings."
            )
    return resolved


def _missing(name: str, key: str, problem: str) -> str:
    where = f" on {problem}" if problem else ""
    if key != "lr":
        return f"{name} needs a value for {key}{where}. Add {key}=VALUE."
    space = " --space lr=log:1e-5:1" if ":" in name else ""  # known names have one
    tune = f', or run "deepobs tune {problem} {name}{space}"' if problem else ""
    return f"{name} needs a learning rate{where}. Add lr=0.01{tune}."


def to_arguments(name: str, hyperparams: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters, also such that `resolve_hyperparams` returned, as arguments.

    Raises:
        UsageError: a value of another type than that of its argument.
    """
    parameters = signature_of(find_optimizer(name)).parameters
    arguments = {}
    for key, value in hyperparams.items():
        known = parameters.get(key)
        try:
            arguments[key] = to_argument(
                value, *([known.annotation, known.default] if known else [])
            )
        except Mismatch as allowed:
            got = "none" if value is None else repr(value)
            if isinstance(value, list) and len(value) == 2 and value[0] == 0:
                got += ". A decimal has a point, as in 0.01"
            raise UsageError(f"{key} of {name} must be {allowed}; got {got}.") from None
    return arguments


def _is_kept(key: str, default: Any) -> bool:
    """Whether a default is part of a run's identity."""
    if default is None or default is False or key in IMPLEMENTATION_SWITCHES:
        return False
    return isinstance(default, bool | int | float | str | tuple | list) and _is_json(
        to_json(default)
    )


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def parse_hyperparams(words: Iterable[str]) -> dict[str, Any]:
    """`key=value` words as hyperparameters.

    Values are numbers, `true`, `false`, `none`, lists such as `0.9,0.99`, Python literals, or text.

    Raises:
        UsageError: a word without `=`, or a key given twice.

    >>> parse_hyperparams(["lr=1e-3", "betas=0.9,0.99", "nesterov=true"])
    {'lr': 0.001, 'betas': [0.9, 0.99], 'nesterov': True}
    """
    parsed: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.isidentifier() or not text:
            raise UsageError(
                f"Cannot read {word!r}. Write hyperparameters as key=value, e.g. lr=0.01."
            )
        if key in parsed:
            raise UsageError(f"The hyperparameter {key!r} is given twice. Remove one.")
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
        return _with_lists(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return text


def _with_lists(value: Any) -> Any:
    """Literal with lists in place of tuples."""
    return [_with_lists(item) for item in value] if isinstance(value, tuple | list) else value
