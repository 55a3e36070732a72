"""The state of a run at the end of an epoch: what it needs to continue as if never interrupted.

Random streams are addressed by epoch, so there is no generator state to keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
        counters: of closure calls and the like so far.
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
    """Return a copy of nested state with every tensor cloned to the CPU."""
    if isinstance(state, Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, Mapping):
        return {key: on_cpu(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(on_cpu(value) for value in state)
    return state
