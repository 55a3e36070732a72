"""TensorBoard event files, one folder per run.

`tensorboard --logdir results/tracking/tensorboard` shows them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepobs_runner.extensions import Requirement
from deepobs_runner.results.outputs import refuse_links
from deepobs_runner.results.result import RunResult, Status
from deepobs_runner.trackers.tracking import scalars

EVENTS_KEPT = 10_000
"""Events that are kept in memory before a file is written to; they are written with every record,
so this only keeps a long epoch from waiting for the disk."""


class EventFiles:
    """Writes every number of a record, and the objective of every step, over the steps taken.

    Args:
        folder: for TensorBoard's `--logdir`; each run has its own in it.
    """

    requires = Requirement("tensorboard", extra="tensorboard")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None

    def start(self, result: RunResult) -> None:
        """Replace the run's event files; the configuration is a text."""
        from torch.utils.tensorboard import SummaryWriter

        folder = self._folder / result.config.id
        refuse_links(folder, self._folder)
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer = SummaryWriter(str(folder), max_queue=EVENTS_KEPT)
        text = json.dumps(result.config.to_json(), indent=1)
        self._writer.add_text("configuration", "\n".join(f"    {t}" for t in text.splitlines()))

    def record(self, record: Mapping[str, Any], step_objectives: np.ndarray) -> None:
        """Write the events of a record, steps first."""
        steps = record["steps"]
        for step, objective in enumerate(step_objectives, start=steps - len(step_objectives) + 1):
            self._writer.add_scalar("step_objective", objective, step)
        for name, value in scalars(record).items():
            if name != "steps":
                self._writer.add_scalar(name, value, steps)
        self._writer.flush()

    def end(self, status: Status) -> None:
        """Write how the run ended, and close the file."""
        self._writer.add_text("status", status)
        self._writer.close()


TRACKER = EventFiles
