"""Divergence: a run ends at the first number that is not finite.

Finished results are judged by `analysis.metrics.is_diverged`: those of the original DeepOBS were
trained to the end all the same.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from deepobs_runner.errors import UsageError

OVERFLOW = "without overflow"
"""In torch's RuntimeError about a factor, such as the size of a step, that float32 cannot hold."""


def has_diverged(objective: float, step_objectives: np.ndarray) -> bool:
    """Whether a run has diverged: its objective or that of a step is not a finite number.

    Args:
        objective: objective on `train_eval`.
        step_objectives: objectives of every step since the record before, `(steps,)`.
    """
    return not (np.isfinite(objective) and np.isfinite(step_objectives).all())


def follows_from_divergence(error: Exception, objectives: Iterable[Tensor]) -> bool:
    """Whether an exception follows from an objective or a factor that is not finite.

    Args:
        error: raised by a step or an evaluation.
        objectives: objectives of the steps before, and of the one that was not finished.
    """
    if isinstance(error, UsageError):
        return False
    if isinstance(error, RuntimeError) and OVERFLOW in str(error):
        return True
    return not all(torch.isfinite(objective) for objective in objectives)
