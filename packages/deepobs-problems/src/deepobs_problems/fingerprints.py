"""Describe what defines a problem as text that is the same in every process.

Two runs on problems with the same description count as the same run, so everything that changes
numbers must show: bound arguments, closures, attributes, tensors, and the code of functions that
are not part of an installed release.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch

RELEASED = frozenset(
    {"deepobs_data", "deepobs_models", "deepobs_problems", "torch", "torchvision", "numpy"}
    | {"builtins", "functools", "operator", "math"}
)
"""Packages with functions identified by name; for all others, the code counts as well."""


def describe(value: Any) -> str:
    """Text of a callable or an argument.

    Of functions outside `RELEASED`, the compiled code is part of it (which differs between
    versions of Python), not what it looks up in its module.

    >>> describe(functools.partial(round, ndigits=2))
    'builtins:round(ndigits=2)'
    """
    return _describe(value, ())


def _describe(value: Any, above: tuple[int, ...]) -> str:
    if id(value) in above:
        return "(itself)"
    inner = functools.partial(_describe, above=(*above, id(value)))
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return repr(value)
    if isinstance(value, torch.dtype | torch.device):
        return str(value)
    if isinstance(value, torch.Tensor | np.ndarray):
        return _array(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{inner(k)}: {inner(v)}' for k, v in value.items())}}}"
    if isinstance(value, list | tuple | set | frozenset):
        items = [inner(item) for item in value]
        return f"[{', '.join(sorted(items) if isinstance(value, set | frozenset) else items)}]"
    if isinstance(value, functools.partial):
        bound = [inner(argument) for argument in value.args]
        bound += [f"{key}={inner(item)}" for key, item in sorted(value.keywords.items())]
        return f"{inner(value.func)}({', '.join(bound)})"
    if isinstance(value, MethodType):
        return f"{inner(value.__self__)}.{inner(value.__func__)}"
    if isinstance(value, FunctionType):
        return _function(value, inner)
    if isinstance(value, type) or inspect.isbuiltin(value):
        return _name(value) + (_class_code(value) if isinstance(value, type) else "")
    return f"{inner(type(value))}{inner(_attributes(value))}"


def _name(value: Any) -> str:
    package = (getattr(value, "__module__", None) or "builtins").partition(".")[0]
    return f"{package}:{value.__qualname__}"


def _is_released(value: Any) -> bool:
    return (getattr(value, "__module__", None) or "builtins").partition(".")[0] in RELEASED


def _function(function: FunctionType, inner: Any) -> str:
    text = _name(function)
    if function.__closure__:
        text += inner([cell.cell_contents for cell in function.__closure__])
    if not _is_released(function):
        text += f"#{_digest(_code(function.__code__))}"
        text += inner([function.__defaults__, function.__kwdefaults__])
    return text


def _class_code(cls: type) -> str:
    """Digest of the code of a user's class and of its bases."""
    if _is_released(cls):
        return ""
    methods = [
        f"{name}{_code(member.__code__)}"
        for base in cls.__mro__
        if not _is_released(base)
        for name, member in sorted(vars(base).items())
        if isinstance(member, FunctionType)
    ]
    return f"#{_digest(''.join(methods))}"


def _code(code: CodeType) -> str:
    constants = [_code(c) if isinstance(c, CodeType) else describe(c) for c in code.co_consts]
    return f"{code.co_code.hex()}{constants}{code.co_names}"


def _array(value: torch.Tensor | np.ndarray) -> str:
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
    content = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
    return f"array({array.dtype}, {list(array.shape)}, {content})"


def _attributes(value: Any) -> dict[str, Any]:
    if isinstance(value, torch.nn.Module):
        return {"state": value.state_dict(), "text": repr(value)}
    if hasattr(value, "__dict__"):
        return dict(sorted(vars(value).items()))
    slots = getattr(value, "__slots__", ())
    return {name: getattr(value, name, None) for name in sorted(slots)}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
