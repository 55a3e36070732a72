"""Weights & Biases: one W&B run per run, online or offline by its own settings.

Without server or login, the run is kept in W&B's own file for `wandb sync`.
"""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepobs_runner.extensions import Requirement
from deepobs_runner.results.labels import label_run
from deepobs_runner.results.outputs import refuse_links
from deepobs_runner.results.result import RunResult, Status
from deepobs_runner.text import first_line
from deepobs_runner.trackers import TrackerWarning
from deepobs_runner.trackers.tracking import scalars

SECONDS_TO_ANSWER = 5.0
"""Seconds for a server to answer before a run; W&B's own limit is 90."""

SECONDS_TO_START = 30.0
SECONDS_TO_FINISH = 15.0
"""Seconds for uploads at the end of a run; the rest stays in W&B's file."""


class WeightsAndBiases:
    """Logs every number of a record, and the objective of every step, at the steps taken.

    `WANDB_MODE`, `WANDB_PROJECT`, `WANDB_ENTITY` and W&B's other settings are respected; the
    project is `deepobs` if none is set.

    Args:
        folder: W&B makes a folder `wandb` in it.
    """

    requires = Requirement("wandb", extra="wandb")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run: Any = None
        self._first_step = 0

    def start(self, result: RunResult) -> None:
        """Begin a run of the same id, online if that is possible."""
        import wandb

        self._folder.mkdir(parents=True, exist_ok=True)
        refuse_links(self._folder / "wandb", self._folder)
        for old in self._folder.glob(f"wandb/offline-run-*-{result.config.id}"):
            shutil.rmtree(old, ignore_errors=True)  # the new one holds all of the run
        settings: Any = wandb.setup().settings
        reason = None
        if settings.mode in ("online", "shared"):
            reason = why_away(settings.base_url)
        if reason is None:
            try:
                self._run = self._init(result, settings.mode)
            except wandb.errors.Error as error:
                reason = first_line(error)
        if reason is not None:
            warnings.warn(
                f"W&B is not online: {reason} Its runs are kept in {self._folder / 'wandb'}; send "
                "them later with: wandb sync FOLDER",
                TrackerWarning,
                stacklevel=2,
            )
            self._run = self._init(result, "offline")
        self._first_step = self._run.step

    def _init(self, result: RunResult, mode: Any) -> Any:
        """Begin a run; an online run continues after its earlier start."""
        import wandb

        config = result.config
        return wandb.init(
            mode=mode,
            project=wandb.setup().settings.project or "deepobs",
            dir=str(self._folder),
            id=config.id,
            name=label_run(config),
            group=config.problem.rpartition(":")[2],
            config={**config.to_json(), "environment": dict(result.environment)},
            resume="allow" if result.records else None,
            reinit="create_new",  # the caller may have a run of its own
            settings=wandb.Settings(
                silent=True,
                console="off",  # standard output is the progress bar's and the workers'
                init_timeout=SECONDS_TO_START,
                login_timeout=1.0,  # a batch job cannot answer
                finish_timeout=SECONDS_TO_FINISH,
            ),
        )

    def record(self, record: Mapping[str, Any], step_objectives: np.ndarray) -> None:
        """Log a record, steps first; what the server has of an earlier start is left out."""
        last = record["steps"]
        rows: dict[int, dict[str, float]] = {last: scalars(record)}
        first = last - len(step_objectives) + 1
        for step, value in enumerate(step_objectives.tolist(), start=first):
            rows.setdefault(step, {})["step_objective"] = value
        for step in sorted(rows):
            if step >= self._first_step:
                self._run.log(rows[step], step=step)

    def end(self, status: Status) -> None:
        """Finish the run; a failed or interrupted one is marked so."""
        self._run.summary["status"] = status
        self._run.finish(exit_code=int(status in ("failed", "running")))


def why_away(url: str) -> str | None:
    """Reason if no server answers at `url`; any answer counts, even a refusal."""
    try:
        urllib.request.urlopen(url, timeout=SECONDS_TO_ANSWER).close()
    except urllib.error.HTTPError:
        return None
    except OSError as error:
        return f"its server {url} does not answer ({getattr(error, 'reason', error)})."
    return None


TRACKER = WeightsAndBiases
