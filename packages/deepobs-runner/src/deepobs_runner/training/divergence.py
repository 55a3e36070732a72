"""Divergence: a run whose numbers are not finite ends there.

The rule is that of `Record.finite`: the objective on `train_eval` and those of all steps are finite
numbers. What is here tells an exception that follows from such numbers from a failure.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from deepobs_runner.errors import UsageError

OVERFLOW = "without overflow"
"""In torch's RuntimeError about a factor, such as the size of a step, that float32 cannot hold."""


def follows_from_divergence(error: Exception, objectives: Iterable[Tensor]) -> bool:
    """Whether an exception follows from an objective or a factor that is not finite.

    Args:
        error: raised by a step or an evaluation.
        objectives: of the steps before, and of the one that was not finished.
    """
    if isinstance(error, UsageError):
        return False
    if isinstance(error, RuntimeError) and OVERFLOW in str(error):
        return True
    return not all(torch.isfinite(objective) for objective in objectives)
