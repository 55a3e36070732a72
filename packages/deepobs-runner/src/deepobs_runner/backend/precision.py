"""How precisely a run computes: dtypes, torch's global switches, and loss scaling for fp16."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from deepobs_runner.config import Precision
from deepobs_runner.seeds import TORCH_GLOBALS

FIRST_SCALE = 2.0**16
GROWTH = 2.0
BACKOFF = 0.5
STEPS_TO_GROW = 2000


def compute_dtype(precision: Precision) -> torch.dtype:
    """Dtype of parameters and inputs."""
    return torch.float64 if precision == "fp64" else torch.float32


def autocast_dtype(precision: Precision) -> torch.dtype | None:
    """Dtype that forward passes cast to where it is safe; None: they do not."""
    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)


@contextmanager
def numerics(precision: Precision, deterministic: bool) -> Iterator[None]:
    """Set torch's global arithmetic switches, and put them back.

    They are those of the process, so other threads wait until they are put back.
    """
    with TORCH_GLOBALS, _switches_kept():
        memory: Any = torch.utils.deterministic
        if deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            # Nothing here reads what it did not write, and filling takes its time.
            memory.fill_uninitialized_memory = False
        asked_for = torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(deterministic or asked_for, warn_only=True)
        torch.set_default_dtype(torch.float32)  # of models and data, cast later if need be
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.benchmark = not deterministic
        yield


@contextmanager
def _switches_kept() -> Iterator[None]:
    """Put back torch's global arithmetic switches as they were found."""
    cudnn = torch.backends.cudnn
    memory: Any = torch.utils.deterministic
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = memory.fill_uninitialized_memory
    dtype, matmul = torch.get_default_dtype(), torch.get_float32_matmul_precision()
    allow_tf32, benchmark = cudnn.allow_tf32, cudnn.benchmark
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        memory.fill_uninitialized_memory = fill
        torch.set_default_dtype(dtype)
        torch.set_float32_matmul_precision(matmul)
        cudnn.allow_tf32, cudnn.benchmark = allow_tf32, benchmark


class SkippedStep(Exception):
    """The gradient overflowed, so the optimizer must not take its step."""


class LossScale:
    """Factor of the loss in fp16: gradients are those of a multiple, so that few underflow.

    Float16 ends at 65,504 and has nothing between 0 and 6e-8. The scale grows while gradients are
    finite; after an infinite one it shrinks, and the step is skipped (Micikevicius et al., Mixed
    Precision Training, ICLR 2018). Constants are those of `torch.amp.GradScaler`; its `step` takes
    no closure.

    Attributes:
        scale: the factor.
        good_steps: finite gradients since it last changed.
    """

    def __init__(self) -> None:
        self.scale = FIRST_SCALE
        self.good_steps = 0

    def apply(self, objective: Tensor) -> Tensor:
        """Scaled objective, in at least float32: in float16 it would overflow."""
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
        """State as plain numbers."""
        return {"scale": self.scale, "good_steps": self.good_steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.scale, self.good_steps = float(state["scale"]), int(state["good_steps"])


def _are_finite(tensors: list[Tensor]) -> bool:
    return not tensors or bool(torch.stack([t.isfinite().all() for t in tensors]).all())
