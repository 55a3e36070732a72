"""Early stopping: a run ends when its objective no longer falls."""

from __future__ import annotations

import numpy as np


def epochs_without_improvement(objectives: np.ndarray) -> int:
    """Number of evaluations since the lowest objective.

    Args:
        objectives: objectives of every evaluation so far, `(evaluations,)`; one that is not finite
            is higher than any number.

    >>> epochs_without_improvement(np.array([3.0, 1.0, 2.0, np.nan]))
    2
    """
    comparable = np.where(np.isfinite(objectives), objectives, np.inf)
    return len(objectives) - 1 - int(np.argmin(comparable))


def reason_to_stop_early(objectives: np.ndarray, split: str, patience: int) -> str | None:
    """Reason to stop a run, None without one.

    Args:
        objectives: on the split, of every evaluation so far.
        split: its name.
        patience: epochs without a lower objective after which a run stops.
    """
    if epochs_without_improvement(objectives) < patience:
        return None
    return f"no lower objective on {split} for {patience} epochs"
