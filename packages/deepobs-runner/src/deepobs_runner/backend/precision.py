"""How precisely a run computes: dtypes, torch's global switches, and loss scaling for fp16."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from deepobs_runner.config import Precision

FIRST_SCALE = 2.0**16
GROWTH = 2.0
BACKOFF = 0.5
STEPS_TO_GROW = 2000


def compute_dtype(precision: Precision) -> torch.dtype:
    """Return the dtype of parameters and inputs."""
    return torch.float64 if precision == "fp64" else torch.float32


def autocast_dtype(precision: Precision) -> torch.dtype | None:
    """Return the dtype that forward passes cast to where it is safe; None: they do not."""
    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)


@contextmanager
def numerics(precision: Precision, deterministic: bool) -> Iterator[None]:
    """Set torch's global arithmetic switches, and put them back."""
    cudnn = torch.backends.cudnn
    memory: Any = torch.utils.deterministic
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.get_float32_matmul_precision(),
        cudnn.allow_tf32,
        cudnn.benchmark,
        memory.fill_uninitialized_memory,
    )
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic or before[0], warn_only=True)
    if deterministic:  # nothing here reads what it did not write, and filling takes its time
        memory.fill_uninitialized_memory = False
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    cudnn.allow_tf32 = precision == "tf32"
    cudnn.benchmark = not deterministic
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.set_float32_matmul_precision(before[2])
        cudnn.allow_tf32 = before[3]
        cudnn.benchmark = before[4]
        memory.fill_uninitialized_memory = before[5]


class SkippedStep(Exception):
    """The gradient overflowed, so the optimizer must not take its step."""


class LossScale:
    """Factor of the loss in fp16: gradients are those of a multiple, so that few underflow.

    Float16 ends at 65,504 and has nothing between 0 and 6e-8. The scale grows while gradients are
    finite and shrinks when one is not, whose step is then left out (Micikevicius et al., Mixed
    Precision Training, ICLR 2018). Constants are those of `torch.amp.GradScaler`, whose `step`
    takes no closure.

    Attributes:
        scale: the factor.
        good_steps: finite gradients since it last changed.
    """

    def __init__(self) -> None:
        self.scale = FIRST_SCALE
        self.good_steps = 0

    def apply(self, objective: Tensor) -> Tensor:
        """Return the scaled objective, in at least float32: in float16 it would overflow."""
        return objective.to(torch.promote_types(objective.dtype, torch.float32)) * self.scale

    def unscale(self, parameters: Iterable[nn.Parameter]) -> bool:
        """Divide the gradients by the scale, then adapt it; return whether all are finite.

        Whether they are is decided on this side, so an accelerator is waited for.
        """
        gradients = [p.grad for p in parameters if p.grad is not None]
        finite = _are_finite(gradients)
        if finite:
            torch._foreach_mul_(gradients, 1.0 / self.scale)
            self.good_steps += 1
        else:
            self.scale *= BACKOFF
            self.good_steps = 0
        if self.good_steps == STEPS_TO_GROW:
            self.scale *= GROWTH
            self.good_steps = 0
        return finite

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers."""
        return {"scale": self.scale, "good_steps": self.good_steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.scale, self.good_steps = float(state["scale"]), int(state["good_steps"])


def _are_finite(tensors: list[Tensor]) -> bool:
    return not tensors or bool(torch.stack([t.isfinite().all() for t in tensors]).all())
