"""The state of a run at the end of an epoch: what it needs to continue as if never interrupted.

Random streams are addressed by epoch, so there is no generator state to keep.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a run after an epoch, on the CPU.

    Attributes:
        run_id: the identity of the run.
        epoch: that has ended.
        steps: taken so far.
        model: state dict of the model.
        optimizer: state dict of the optimizer.
        counters: counters of closure calls and the like so far.
        loss_scale: state of the loss scale in fp16, else None.
    """

    run_id: str
    epoch: int
    steps: int
    model: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    counters: Mapping[str, int]
    loss_scale: Mapping[str, Any] | None = None


def on_cpu(state: Any) -> Any:
    """Copy of nested state with every tensor cloned to the CPU."""
    return _copied(state, torch.device("cpu"))


def _copied(state: Any, device: torch.device) -> Any:
    """Copy of nested state with every tensor on a device, in its own type."""
    if isinstance(state, Tensor):
        return state.detach().to(device, copy=True)
    if isinstance(state, Mapping):
        return {key: _copied(value, device) for key, value in state.items()}
    if isinstance(state, deque):
        return deque((_copied(value, device) for value in state), state.maxlen)
    if isinstance(state, list | tuple):
        values = [_copied(value, device) for value in state]
        return type(state)(*values) if hasattr(state, "_fields") else type(state)(values)
    return state.copy() if isinstance(state, np.ndarray | set) else state


def load_optimizer(optimizer: Any, state: Mapping[str, Any]) -> None:
    """Load an optimizer's state dict so that nothing but its values changes.

    torch replaces the old parameter groups, which a wrapper may hold, casts state to the type of
    the weights, and takes texts and tuples of state apart.
    """
    with ExitStack() as stack:
        for part in optimizers_within(optimizer):
            stack.enter_context(_loaded_as_saved(part))
        optimizer.load_state_dict(dict(state))


def optimizers_within(optimizer: Any) -> Iterator[torch.optim.Optimizer]:
    """Yield the optimizers of torch that an optimizer is made of: itself, and those it holds."""
    seen: set[int] = set()
    todo = [optimizer]
    while todo:
        found = todo.pop()
        if id(found) in seen or isinstance(found, Tensor):
            continue
        seen.add(id(found))
        if isinstance(found, Mapping):
            todo.extend(found.values())
        elif isinstance(found, list | tuple | set):
            todo.extend(found)
        elif hasattr(found, "param_groups"):
            todo.extend(getattr(found, "__dict__", {}).values())
            # A wrapper may derive from the class without initialising it.
            if isinstance(found, torch.optim.Optimizer) and "state" in vars(found):
                yield found


@contextmanager
def _loaded_as_saved(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Let `load_state_dict` keep the optimizer's groups and the types of the saved state."""
    kept = vars(optimizer).get("param_groups")
    saved: dict[Any, Any] = {}

    def before(_: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        numbers = [number for group in state["param_groups"] for number in group["params"]]
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        saved.update(
            (p, state["state"][n])
            for n, p in zip(numbers, parameters, strict=False)  # torch reports the error itself
            if isinstance(state["state"].get(n), Mapping)
        )
        ours = {
            number: {key: value if _is_plain(value) else None for key, value in entries.items()}
            if isinstance(entries, Mapping)
            else entries
            for number, entries in state["state"].items()
        }
        return {**state, "state": ours}

    def after(_: torch.optim.Optimizer) -> None:
        for parameter, entries in saved.items():
            loaded = optimizer.state[parameter]
            for key, value in entries.items():
                if key in loaded and key != "step" and not _same_types(loaded[key], value):
                    loaded[key] = _copied(value, parameter.device)
        if isinstance(kept, list) and kept is not optimizer.param_groups:
            for old, new in zip(kept, optimizer.param_groups, strict=True):
                old.clear()
                old.update(new)
            optimizer.param_groups = kept

    hooks = (
        optimizer.register_load_state_dict_pre_hook(before),
        optimizer.register_load_state_dict_post_hook(after),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _is_plain(value: Any) -> bool:
    """Whether torch can rebuild an entry of state: tensors, numbers, lists and tuples of them."""
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    return isinstance(value, Tensor) or not hasattr(value, "__iter__")


def _same_types(loaded: Any, saved: Any) -> bool:
    """Whether an entry of state was loaded with its structure and the types of its tensors."""
    if isinstance(saved, Tensor):
        return isinstance(loaded, Tensor) and loaded.dtype == saved.dtype
    if isinstance(saved, list | tuple | Mapping) and type(loaded) is type(saved):
        values = (x.values() if isinstance(x, Mapping) else x for x in (loaded, saved))
        return all(_same_types(a, b) for a, b in zip(*values, strict=True))
    return not hasattr(saved, "__iter__")
