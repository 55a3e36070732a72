"""Record of one evaluation, yielded by training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepobs_runner.training.checkpoint import Checkpoint
from deepobs_runner.training.divergence import has_diverged


@dataclass(frozen=True, kw_only=True)
class Record:
    """One evaluation of a run.

    Attributes:
        epoch: 0 before training.
        steps: optimizer steps taken so far.
        steps_per_epoch: steps of a whole epoch, which the limit of steps may cut short.
        lr: learning rate of each parameter group in the last step taken, or before the first;
            None for a group without one.
        clocks: seconds spent since the record before, by activity, see `clocks.CLOCKS`; what the
            caller does with a record is `checkpoint` of the next.
        counters: counters of the run so far: `closure_calls`, `gradient_evaluations` (those with a
            backward pass), `skipped_steps` (of fp16), `examples`; `optimizer_state_bytes` at
            present and `peak_memory_bytes`, see `memory.peak_memory`.
        metrics: by split (`train_eval`, `valid`, `test`), then by name (`loss`, `objective`, the
            problem's metrics).
        telemetry: norms at the last step of the epoch, see `telemetry.py`; empty for epoch 0.
        step_objectives: objective of every step since the record before, `(steps,)`.
        snapshot: returns a checkpoint of the run; only to be called before the next record.
    """

    epoch: int
    steps: int
    steps_per_epoch: int
    lr: tuple[float | None, ...]
    clocks: dict[str, float]
    counters: dict[str, int | None]
    metrics: dict[str, dict[str, float]]
    telemetry: dict[str, Any]
    step_objectives: np.ndarray = field(repr=False, compare=False)
    snapshot: Callable[[], Checkpoint] = field(repr=False, compare=False)

    @property
    def finite(self) -> bool:
        """Whether the objective on `train_eval` and all its steps are finite numbers."""
        return not has_diverged(self.metrics["train_eval"]["objective"], self.step_objectives)
