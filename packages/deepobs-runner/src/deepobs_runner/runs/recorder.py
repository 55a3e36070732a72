"""Stores what a run yields: its records, checkpoints and end, for trackers as well."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from deepobs_runner.config import Execution
from deepobs_runner.errors import RunLockedError, UnreadableFileError, UsageError
from deepobs_runner.results.result import (
    COMPLETED,
    FINISHED,
    RunResult,
    Status,
    jsonable,
    result_path,
    steps_path,
)
from deepobs_runner.results.sessions import resumed_environment
from deepobs_runner.results.store import load_result, mark_failed, save_result
from deepobs_runner.runs.checkpoint_file import checkpoint_path, keep_checkpoint
from deepobs_runner.runs.interrupts import raise_interrupt, shielded
from deepobs_runner.runs.time_limit import TimeLimit
from deepobs_runner.text import first_line
from deepobs_runner.trackers.tracking import Tracking
from deepobs_runner.training.checkpoint import Checkpoint
from deepobs_runner.training.divergence import has_diverged
from deepobs_runner.training.early_stopping import reason_to_stop_early
from deepobs_runner.training.record import Record

SECONDS_BETWEEN_SAVES = 1.0
"""The file of a run is not rewritten more often: an epoch may take less time than its file."""

OnRecord = Callable[[Record], object]
"""Called with every record; a text that it returns ends the run, as the reason."""

STORED = (
    "epoch", "steps", "steps_per_epoch", "lr", "clocks", "counters", "metrics", "telemetry",
)  # fmt: skip
"""Fields of a record that its JSON has."""


class CheckpointWarning(UserWarning):
    """A run cannot be resumed, for its checkpoint cannot be written or read back."""


class Recorder:
    """Stores the records of a run and decides when it ends.

    Args:
        result: without records.
        execution: where, and when to stop or to write checkpoints.
        resumed: the checkpoint that training continues from.
        on_record: called with every record.
        began: when the run was asked for, by `time.perf_counter`: what was done until now belongs
            to its setup. None for one of several runs that are trained together: their clocks are
            complete.
        seconds_between_saves: leave the file as it is for so long.
        snapshots_last: those of the records may be called later; else they are at once.
        folder: of the files until the run is finished; None: that of the results.
        check_lock: raises if the lock of the run is lost; called before its files are written.
    """

    def __init__(
        self,
        result: RunResult,
        execution: Execution,
        *,
        resumed: Checkpoint | None = None,
        on_record: OnRecord | None = None,
        began: float | None = None,
        seconds_between_saves: float = 0.0,
        snapshots_last: bool = False,
        folder: Path | None = None,
        check_lock: Callable[[], None] | None = None,
    ) -> None:
        self.result = result
        self._execution = execution
        self._folder = folder or execution.out
        self._check_lock = check_lock or (lambda: None)
        self._on_record = on_record
        self._tracking = Tracking(execution.track, execution.out)
        self._is_timed = began is not None
        self._preparing = 0.0 if began is None else time.perf_counter() - began
        self._received: float | None = None  # when the last record came
        self._asked_to_stop: object = None
        self._objectives: list[np.ndarray] = []
        self._latest: Callable[[], Checkpoint] | None = None  # of the last completed epoch
        self._seconds_between_saves = seconds_between_saves
        self._snapshots_last = snapshots_last
        self._unsaved = False
        self._is_first_checkpoint, self._without_checkpoints = True, False
        self._time_limit = TimeLimit(execution.time_limit)
        self._checkpointed = time.monotonic()
        # A single run writes its first record at once; many that are trained together wait.
        self._saved = self._checkpointed if began is None else -math.inf
        if resumed is not None:
            self._take_over(resumed)

    def _take_over(self, checkpoint: Checkpoint) -> None:
        """Keep the records up to the checkpoint; later epochs are trained again."""
        earlier = load_result(result_path(self.result.config, self._folder))
        records, objectives = continued(earlier, checkpoint)
        environment = resumed_environment(
            earlier.environment, jsonable(self.result.environment), checkpoint.epoch
        )
        self.result = replace(self.result, records=records, environment=environment)
        self._objectives = [objectives]
        self._latest = lambda: checkpoint

    def take(self, record: Record) -> RunResult | None:
        """Keep the next record; return the result if the run ends before its planned end.

        Raises:
            KeyboardInterrupt: foreign code caught an interrupt; the record is left out, since its
                epoch may lack a step.
        """
        raise_interrupt()
        if self._is_timed:
            self._received = time.perf_counter()
        with shielded():
            self._keep(record)
        self._tracking.record(self.result, self._objectives)
        if self._on_record is not None:
            self._asked_to_stop = self._on_record(record)
        if not record.finite:
            return self._end("diverged")
        reason = self._reason_to_stop()
        return None if reason is None else self._stop(reason)

    def ended_before(self) -> RunResult | None:
        """Result of a resumed run that was interrupted before its end was stored; else None."""
        objective = float(self.result.series("train_eval", "objective")[-1])
        diverged = has_diverged(objective, *self._objectives)
        reason = self._reason_to_stop_early()
        if not diverged and reason is None:
            return None
        self._tracking.record(self.result, self._objectives)
        return self._end("diverged") if diverged or reason is None else self._stop(reason)

    def _stop(self, reason: str) -> RunResult:
        with shielded():
            result = self._end("stopped", reason)
            self._write_checkpoint()
        return result

    def complete(self) -> RunResult:
        """Result of a run that has come to its planned end."""
        return self._end("done")

    def diverge(self, error: str) -> RunResult:
        """Result of a run that could not finish its epoch for it diverged."""
        self._received = None  # the epoch that was lost is on no clock
        return self._end("diverged", error)

    def interrupt(self) -> None:
        """Leave a checkpoint of the last completed epoch, unless the run is over."""
        with shielded(), suppress(RunLockedError):
            self._write_checkpoint()
        self._tracking.end("running")

    def fail(self, error: str) -> None:
        """Store why the run failed; before its first record nothing was trained.

        If that cannot be written either, the earlier file has the status `failed`.
        """
        if not self.result.records:
            return
        with shielded(), suppress(RunLockedError):  # the error itself is the one to tell
            try:
                self._end("failed", error)
            except OSError:
                mark_failed(result_path(self.result.config, self._folder))
                self._tracking.end("failed")
            self._write_checkpoint()

    def _keep(self, record: Record) -> None:
        if len(record.step_objectives):
            self._objectives.append(record.step_objectives)
        stored = record_to_json(record)
        stored["clocks"]["setup"] += self._preparing
        self._preparing = 0.0
        records = (*self.result.records, stored)
        # Before the file is written: who sees a record there finds a checkpoint after an interrupt.
        latest = _held(record.snapshot, self._snapshots_last)
        self.result, self._unsaved = replace(self.result, records=records), True
        self._latest = latest
        if time.monotonic() - self._saved >= self._seconds_between_saves:
            self._save()
        if self._checkpoint_is_due(record.epoch):
            self._write_checkpoint()

    def _checkpoint_is_due(self, epoch: int) -> bool:
        every = self._execution.checkpoint_epochs
        if every is not None and epoch and epoch % every == 0:
            return True
        return time.monotonic() - self._checkpointed >= 60 * self._execution.checkpoint_minutes

    def _write_checkpoint(self) -> None:
        if self._latest is None or self._without_checkpoints:
            return
        self._checkpointed = time.monotonic()
        first, self._is_first_checkpoint = self._is_first_checkpoint, False
        self._check_lock()
        try:
            if self._unsaved:  # a checkpoint continues the stored records
                self._save()
            reason = keep_checkpoint(self._latest(), self._folder, read_back=first)
            self._without_checkpoints = reason is not None
        except (OSError, UnreadableFileError) as error:  # there may be room for the next one
            reason = first_line(error).rstrip(".")
        if reason is not None:
            name = self.result.config.optimizer
            warnings.warn(
                f"{name} runs without a checkpoint: {reason}. It cannot be resumed.",
                CheckpointWarning,
                stacklevel=2,
            )

    def _reason_to_stop(self) -> str | None:
        """Reason to stop the run now, None without one."""
        last = self.result.records[-1]
        if last["epoch"] == self.result.config.epochs:
            return None
        if isinstance(self._asked_to_stop, str):
            return self._asked_to_stop
        if (reason := self._time_limit.reason_to_stop()) is not None:
            return reason
        return self._reason_to_stop_early()

    def _reason_to_stop_early(self) -> str | None:
        last = self.result.records[-1]
        if self._execution.patience is None or last["epoch"] == self.result.config.epochs:
            return None
        split = "valid" if "valid" in last["metrics"] else "train_eval"
        objectives = self.result.series(split, "objective")
        return reason_to_stop_early(objectives, split, self._execution.patience)

    def _end(self, status: Status, error: str | None = None) -> RunResult:
        if status in FINISHED and self._received is not None:
            self._add_to_last_clock("checkpoint", time.perf_counter() - self._received)
        self.result = replace(self.result, status=status, error=error)
        with shielded():
            result = self._save(self._execution.out if status in FINISHED else self._folder)
            if status in FINISHED:
                self._leave_repeats()
            if status in COMPLETED:  # nothing is left to resume
                self._latest = None
                checkpoint_path(self._execution.out, self.result.config.id).unlink(missing_ok=True)
        self._tracking.end(status)
        return result

    def _leave_repeats(self) -> None:
        """The result has replaced the one that it repeats: its own files are where that was."""
        if self._folder != self._execution.out:
            path = result_path(self.result.config, self._folder)
            checkpoint = checkpoint_path(self._folder, self.result.config.id)
            for left in (checkpoint, path, steps_path(path)):
                left.unlink(missing_ok=True)
            self._folder = self._execution.out

    def _add_to_last_clock(self, activity: str, seconds: float) -> None:
        *earlier, last = self.result.records
        clocks = {**last["clocks"], activity: last["clocks"][activity] + seconds}
        self.result = replace(self.result, records=(*earlier, {**last, "clocks": clocks}))

    def _save(self, folder: Path | None = None) -> RunResult:
        self._check_lock()
        steps = np.concatenate(self._objectives) if self._objectives else np.zeros(0, np.float32)
        path = save_result(self.result, folder or self._folder, steps)
        self._saved, self._unsaved = time.monotonic(), False
        return replace(self.result, path=path)


def continued(
    result: RunResult, checkpoint: Checkpoint
) -> tuple[tuple[Mapping[str, Any], ...], np.ndarray]:
    """Records that a checkpoint continues, and the objectives of their steps.

    Raises:
        UsageError: some are missing, or the file of the step objectives is damaged.
    """
    records = tuple(r for r in result.records if r["epoch"] <= checkpoint.epoch)
    objectives = result.step_objectives()[: checkpoint.steps]
    epochs = [record["epoch"] for record in records]
    if epochs != list(range(checkpoint.epoch + 1)) or len(objectives) != checkpoint.steps:
        raise UsageError(
            f"{result.path} lacks records that the checkpoint of epoch {checkpoint.epoch} "
            "continues."
        )
    return records, objectives


def _held(snapshot: Callable[[], Checkpoint], lasts: bool) -> Callable[[], Checkpoint]:
    """Function that returns the checkpoint of now, whenever it is called."""
    if lasts:
        return snapshot
    taken = snapshot()
    return lambda: taken


def record_to_json(record: Record) -> dict[str, Any]:
    """Record as the result file holds it."""
    converted: dict[str, Any] = jsonable({name: getattr(record, name) for name in STORED})
    return converted
