"""How precisely a run computes: dtypes, torch's global switches, and loss scaling for fp16."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from deepobs_runner.config import Precision
from deepobs_runner.seeds import TORCH_GLOBALS

FIRST_SCALE = 2.0**16
GROWTH = 2.0
BACKOFF = 0.5
STEPS_TO_GROW = 2000

CPU = torch.device("cpu")


def compute_dtype(precision: Precision) -> torch.dtype:
    """Dtype of parameters and inputs."""
    return torch.float64 if precision == "fp64" else torch.float32


def autocast_dtype(precision: Precision) -> torch.dtype | None:
    """Dtype that forward passes cast to where it is safe; None: they do not."""
    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)


@contextmanager
def numerics(precision: Precision, deterministic: bool) -> Iterator[None]:
    """Set torch's global switches for a run, and put them back.

    They are those of the process, so other threads wait until they are put back. What the caller
    has set changes no number of the run, and what a user's optimizer sets ends with this context.
    """
    with TORCH_GLOBALS, _kept(), torch.inference_mode(False), _new_tensors_on_cpu():
        if deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            # Nothing here reads what it did not write, and filling takes its time.
            _MEMORY.fill_uninitialized_memory = False
        asked_for = torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(deterministic or asked_for, warn_only=True)
        torch.set_default_dtype(torch.float32)  # of models and data, cast later if need be
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        torch.set_flush_denormal(False)
        for device in AUTOCAST_DEVICES:
            torch.set_autocast_enabled(device, False)
        _CUDNN.allow_tf32 = precision == "tf32"
        _CUDNN.benchmark = not deterministic
        yield


AUTOCAST_DEVICES = ("cpu", "cuda", "mps")
DENORMAL = 5e-324

_CUDNN, _MEMORY = torch.backends.cudnn, cast(Any, torch.utils.deterministic)


class _Switch(NamedTuple):
    """A global setting: a function that reads it, and one that sets it."""

    read: Callable[[], Any]
    write: Callable[[Any], object]


def _attribute(owner: Any, name: str) -> _Switch:
    return _Switch(partial(getattr, owner, name), partial(setattr, owner, name))


def _deterministic() -> tuple[bool, bool]:
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    return torch.are_deterministic_algorithms_enabled(), warns


def _flushes_denormals() -> bool:
    return DENORMAL * 1.0 == 0.0  # torch has no function that tells


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return None


SWITCHES = (
    _Switch(_folder, lambda v: None if v is None else os.chdir(v)),  # paths of results need it
    _Switch(np.geterr, lambda v: np.seterr(**v)),
    _Switch(_deterministic, lambda v: torch.use_deterministic_algorithms(v[0], warn_only=v[1])),
    _Switch(torch.get_default_dtype, torch.set_default_dtype),
    _Switch(torch.get_default_device, lambda v: torch.set_default_device(None if v == CPU else v)),
    _Switch(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    _Switch(torch.get_num_threads, torch.set_num_threads),
    _Switch(torch.is_grad_enabled, torch.set_grad_enabled),
    _Switch(torch.is_anomaly_enabled, torch.set_anomaly_enabled),
    _Switch(_flushes_denormals, torch.set_flush_denormal),
    *(_attribute(_CUDNN, name) for name in ("enabled", "deterministic", "benchmark", "allow_tf32")),
    _attribute(_MEMORY, "fill_uninitialized_memory"),
    *(
        _Switch(
            partial(torch.is_autocast_enabled, device), partial(torch.set_autocast_enabled, device)
        )
        for device in AUTOCAST_DEVICES
    ),
)


@contextmanager
def _kept() -> Iterator[None]:
    """Put back global switches as they were found."""
    found = [switch.read() for switch in SWITCHES]
    try:
        yield
    finally:
        for switch, value in zip(SWITCHES, found, strict=True):
            if switch.read() != value:  # some take their time even where nothing changes
                switch.write(value)


@contextmanager
def _new_tensors_on_cpu() -> Iterator[None]:
    """Make tensors on the CPU where the caller has another default device."""
    # A default device slows every call of torch down, so none is set without need.
    with nullcontext() if torch.get_default_device() == CPU else CPU:
        yield


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
