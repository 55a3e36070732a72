"""Loss scaling for fp16: gradients are computed of a multiple of the loss, so that few underflow.

Float16 ends at 65,504 and has nothing between 0 and 6e-8. The scale grows while gradients are
finite and shrinks when one is not, whose step is then left out (Micikevicius et al., Mixed
Precision Training, ICLR 2018). Constants are those of `torch.amp.GradScaler`, whose `step` takes no
closure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

FIRST_SCALE = 2.0**16
GROWTH = 2.0
BACKOFF = 0.5
STEPS_TO_GROW = 2000


class SkippedStep(Exception):
    """The gradient overflowed, so the optimizer must not take its step."""


class LossScale:
    """The factor of the loss.

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
