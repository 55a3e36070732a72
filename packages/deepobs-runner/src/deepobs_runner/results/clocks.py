"""The clocks of a record: seconds by activity."""

from __future__ import annotations

from collections.abc import Mapping

CLOCKS = (
    "setup", "data", "forward_backward", "optimizer", "evaluate", "compile", "checkpoint",
)  # fmt: skip
"""The activities of a run, see docs/execution.md."""

TRAINING = ("data", "forward_backward", "optimizer")
"""The activities that training consists of."""


def training_seconds(clocks: Mapping[str, float | None]) -> float | None:
    """Seconds of training of a record; None where its clocks do not tell.

    Records of earlier versions have one clock for it, `train`.

    >>> training_seconds({"data": 1.0, "forward_backward": 4.0, "optimizer": 2.0, "evaluate": 3.0})
    7.0
    >>> training_seconds({"train": 7.0, "evaluate": 3.0})
    7.0
    """
    if "train" in clocks:
        return clocks["train"]
    parts = [seconds for name in TRAINING if (seconds := clocks.get(name)) is not None]
    return sum(parts) if len(parts) == len(TRAINING) else None
