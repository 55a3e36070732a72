"""State as a checkpoint file holds it: what `weights_only=True` refuses becomes plain mappings.

The classes of named tuples are looked up among the modules that are imported already, so reading a
file imports and executes nothing.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

KIND = "deepobs_kind"

PLAIN = (Tensor, bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
"""Types of values that a checkpoint holds as they are."""


def encode(state: Any) -> Any:
    """Nested state in types that can be read back safely, as far as there are such."""
    if isinstance(state, Mapping):
        return {key: encode(value) for key, value in state.items()}
    if isinstance(state, deque):
        return {KIND: "deque", "items": [encode(v) for v in state], "maxlen": state.maxlen}
    if hasattr(state, "_fields") and isinstance(state, tuple):
        name = [type(state).__module__, type(state).__qualname__]
        return {KIND: "namedtuple", "class": name, "items": [encode(v) for v in state]}
    if type(state) in (list, tuple):
        return type(state)(encode(value) for value in state)
    if isinstance(state, frozenset):
        return {KIND: "frozenset", "items": list(state)}
    if isinstance(state, np.generic | np.ndarray) and state.dtype.kind in "?biufc":
        kind = "array" if isinstance(state, np.ndarray) else "number"
        content = np.ascontiguousarray(state).tobytes()
        return {KIND: kind, "dtype": state.dtype.str, "shape": state.shape, "content": content}
    if isinstance(state, torch.Generator):
        return {KIND: "generator", "device": state.device, "state": state.get_state()}
    return state


def decode(state: Any) -> Any:
    """Decode state that `encode` returned.

    Raises:
        ValueError: a kind or a class is unknown here.
    """
    if type(state) in (list, tuple):
        return type(state)(decode(value) for value in state)
    if not isinstance(state, Mapping):
        return state
    items: Any = state.get("items")
    match state.get(KIND):
        case None:
            return {key: decode(value) for key, value in state.items()}
        case "deque":
            return deque(decode(items), state["maxlen"])
        case "namedtuple":
            return _named_tuple(*state["class"])(*decode(items))
        case "frozenset":
            return frozenset(items)
        case "array" | "number" as kind:
            array = np.frombuffer(state["content"], state["dtype"]).reshape(state["shape"]).copy()
            return array if kind == "array" else array[()]
        case "generator":
            generator = torch.Generator(state["device"])
            generator.set_state(state["state"])
            return generator
        case kind:
            raise ValueError(f"its state has the unknown kind {kind!r}.")


def _named_tuple(module: str, name: str) -> Any:
    """Class of a named tuple from a module that is imported."""
    # A user's file that was moved has another module name, with the same hash of its content.
    prefix = module.rpartition("_")[0] if module.startswith("deepobs_user_") else module
    for found in (m for m in list(sys.modules) if m == module or m.rpartition("_")[0] == prefix):
        value: Any = sys.modules[found]
        for part in name.split("."):
            value = getattr(value, "__dict__", {}).get(part)  # getattr may import a module
        if isinstance(value, type) and issubclass(value, tuple) and hasattr(value, "_fields"):
            return value
    raise ValueError(f"its state has the named tuple {module}.{name}, which is not imported.")


MOST_VALUES = 5_000_000
"""In the nested state of a checkpoint; a pickle of some bytes can repeat a list 2⁴⁰ times."""


def check_extent(state: Any) -> None:
    """Check that nested state has so few values that it can be copied.

    Raises:
        ValueError: it has more than `MOST_VALUES`, or holds itself.
    """
    todo, seen = [state], 0
    while todo:
        found = todo.pop()
        seen += 1
        if seen > MOST_VALUES:
            raise ValueError(f"its state has more than {MOST_VALUES:,} values.")
        if isinstance(found, Mapping):
            todo.extend(found.values())
        elif isinstance(found, list | tuple | set | frozenset):
            todo.extend(found)


def type_that_cannot_be_kept(state: Any) -> str | None:
    """Name of a type in encoded state that cannot be read back safely; None if none."""
    if type(state) in (dict, list, tuple):
        children = state.values() if isinstance(state, dict) else state
        return next(filter(None, map(type_that_cannot_be_kept, children)), None)
    if type(state) in (*PLAIN, set, torch.Size, torch.nn.Parameter):
        return None
    return f"{type(state).__module__}.{type(state).__qualname__}"
