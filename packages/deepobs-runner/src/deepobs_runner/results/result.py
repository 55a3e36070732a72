"""Result of a run, its paths and its origin."""

from __future__ import annotations

import hashlib
import math
import os
import warnings
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from deepobs_runner.config import RunConfig
from deepobs_runner.errors import UsageError, cannot_read
from deepobs_runner.results.files import CHECKSUM_BYTES, UnfitFileError, checksum_of, open_file
from deepobs_runner.text import first_line

Status = Literal["running", "done", "diverged", "stopped", "failed"]

FINISHED: tuple[Status, ...] = ("done", "diverged", "stopped")
"""Statuses of a run that ended without an error; `stopped` by a limit or by who watched it."""

COMPLETED: tuple[Status, ...] = ("done", "diverged")
"""Statuses of a run that ended by itself: there is nothing left to train."""

TIME_LIMIT = "time limit"
"""Reason of a stopped result after a time limit."""

YOURS = "yours"
OFFICIAL = "official"
ORIGINAL = "original"


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """Result of a run.

    Attributes:
        config: resolved.
        status: `running` until the process ends; `diverged` if a loss was not finite.
        records: one per evaluation, as in the JSON file; a value that was not finite is None.
        environment: versions, device, threads.
        error: the traceback of a failed run.
        path: path of the JSON file; None if it was never written.
        origin: where it was loaded from, see `provenance_of`; nothing in a file decides it.
        steps_sha256: sha256 of the objectives of its steps, as its file records; None where it was
            stored without.
    """

    config: RunConfig
    status: Status
    records: Sequence[Mapping[str, Any]] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    path: Path | None = None
    origin: str = YOURS
    steps_sha256: str | None = field(default=None, compare=False)

    @property
    def ended(self) -> bool:
        """Whether the run is over, with or without an error."""
        return self.status != "running"

    @property
    def finished(self) -> bool:
        """Whether the run ended without an error, see `FINISHED`."""
        return self.status in FINISHED

    @property
    def completed(self) -> bool:
        """Whether the run ended by itself, see `COMPLETED`."""
        return self.status in COMPLETED

    def series(self, split: str, metric: str) -> np.ndarray:
        """Metric at every evaluation, `(records,)`; NaN without a number.

        The array cannot be written to, as it is kept.
        """
        return self._kept((split, metric), lambda: self._metric(split, metric))

    def _metric(self, split: str, metric: str) -> np.ndarray:
        values = [record["metrics"].get(split, {}).get(metric) for record in self.records]
        return np.array([math.nan if value is None else value for value in values], dtype=float)

    def _kept(self, name: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Column of the records, which a report asks for many times."""
        column = self._columns.get(name)
        if column is None or len(column) != len(self.records):  # of an active run
            column = self._columns[name] = make()
            column.setflags(write=False)
        return column

    @cached_property
    def _columns(self) -> dict[Hashable, np.ndarray]:
        return {}

    def epochs(self) -> np.ndarray:
        """Epoch of every evaluation, `(records,)`.

        A last epoch that the limit of steps cut short counts as the fraction of its steps that
        was taken, unless `steps_per_epoch` is not known. The array cannot be written to, as it
        is kept.
        """
        return self._kept("epoch", self._epochs)

    def _epochs(self) -> np.ndarray:
        epochs = np.array([record["epoch"] for record in self.records], dtype=float)
        if (per_epoch := self.steps_per_epoch) and self.records[-1].get("steps"):
            epochs[-1] = min(epochs[-1], self.records[-1]["steps"] / per_epoch)
        return epochs

    @property
    def steps_per_epoch(self) -> float | None:
        """Steps of a whole epoch, None where the records do not tell.

        Those of older versions tell only if an epoch before the last is recorded.
        """
        if self.records and self.records[-1].get("steps_per_epoch"):
            return float(self.records[-1]["steps_per_epoch"])
        whole = next((record for record in self.records[:-1] if record["epoch"] > 0), {})
        return whole["steps"] / whole["epoch"] if whole.get("steps") else None

    @property
    def ends_in_unknown_epoch(self) -> bool:
        """Whether the limit of steps may have cut the last epoch short, and no record tells."""
        trained = bool(self.records) and self.records[-1]["epoch"] > 0
        return trained and self.config.steps is not None and self.steps_per_epoch is None

    @property
    def out_of_time(self) -> bool:
        """Whether a limit of time ended the run, rather than what it had reached."""
        return self.status == "stopped" and TIME_LIMIT in (self.error or "").lower()

    def step_objectives(self) -> np.ndarray:
        """Objective of every step up to the last record, `(steps,)`.

        Raises:
            UsageError: not stored (a run in memory, or one of the original DeepOBS), or a damaged
                file.
            UnreadableFileError: the file cannot be read.
        """
        objectives = None if self.path is None else _read_steps(steps_path(self.path))
        if self.path is None or objectives is None:
            raise UsageError(f"No step objectives are stored for the result {self.config.id}.")
        steps = self.records[-1].get("steps", 0) if self.records else 0
        if len(objectives) < steps:
            raise UsageError(
                f"{steps_path(self.path)} is damaged: it holds {len(objectives)} of {steps} steps."
            )
        objectives = objectives[:steps]
        if self.steps_sha256 not in (None, sha256_of(objectives)):
            raise UsageError(f"{steps_path(self.path)} is damaged: it holds those of another run.")
        return objectives


def provenance_of(result: RunResult) -> str:
    """Origin of a result.

    `yours`, `official` for the results of 2019, `original` for another file of the original
    DeepOBS, or the name of the baseline set from which it was loaded.
    """
    return result.origin


def is_official(result: RunResult) -> bool:
    """Whether a result is one of the official results of 2019."""
    return provenance_of(result) == OFFICIAL


def result_path(config: RunConfig, folder: Path) -> Path:
    """Path of the result file of a resolved configuration."""
    return folder / f"{config.id}.json"


REPEATS = ".repeats"
"""Folder in that of the results: files of repeated runs that are not finished yet."""


def repeat_folder(folder: Path) -> Path:
    """Folder of the files of a repeated run until it is finished."""
    return folder / REPEATS


def sha256_of(objectives: np.ndarray) -> str:
    """Checksum of step objectives, which binds their file to its result."""
    return hashlib.sha256(objectives.tobytes()).hexdigest()


def steps_path(path: Path) -> Path:
    """Path of the step objectives of a result file."""
    return path.with_name(path.name.removesuffix(".json") + ".steps.npy")


def _read_steps(path: Path) -> np.ndarray | None:
    """Read step objectives, `(steps,)`; None without a file.

    Raises:
        UsageError: the file is damaged.
        UnreadableFileError: it cannot be read.
    """
    try:
        with open_file(path) as file:
            checksum = checksum_of(file)
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            shape, kind = _header(file)
            # Without a checksum, from an earlier version, nothing follows the numbers.
            left = size - file.tell() - (CHECKSUM_BYTES if checksum == "right" else 0)
            if checksum == "wrong" or len(shape) != 1 or shape[0] * kind.itemsize != left:
                raise ValueError("its content does not fit its checksum")
            return np.frombuffer(file.read(left), kind).copy()
    except FileNotFoundError:
        return None
    except Exception as error:  # numpy's parser of the header raises nearly everything
        if isinstance(error, OSError) and not isinstance(error, UnfitFileError):
            raise cannot_read(path, error) from None
        raise UsageError(f"{path} is damaged: {first_line(error).rstrip('.')}.") from None


def _header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array of numbers in a `.npy` file.

    `numpy.load` would reserve the memory that a header claims, and open an archive, too.
    """
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("it is not a .npy file of version 1.0")
    shape, _, kind = np.lib.format.read_array_header_1_0(file)
    if kind.kind != "f":
        raise ValueError(f"it holds {kind}, not floating-point numbers")
    return shape, kind


def reproducible(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fields that are equal in two runs of one configuration: no seconds, no peak memory."""
    counters = {k: v for k, v in record.get("counters", {}).items() if k != "peak_memory_bytes"}
    return {**record, "clocks": {}, "counters": counters}


def jsonable(value: Any) -> Any:
    """Value with every number that is not finite replaced by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return value


def warn_of(error: UsageError) -> None:
    """Warn of a result that is left out, on behalf of the caller of the function that does so."""
    warnings.warn(str(error), stacklevel=4)


def _origin(result: RunResult) -> tuple[str, str, str]:
    """Key of results of one run."""
    return result.config.id, provenance_of(result), str(result.environment.get("source"))


def without_copies(
    results: Iterable[RunResult], on_copy: Callable[[UsageError], object] | None = None
) -> list[RunResult]:
    """Results without copies of a run, which would count as further seeds.

    Of several, a finished one stays, then one with a file named by its id, then the first.

    Args:
        results: results in order.
        on_copy: called with an error that names the copy and the result that stays; None: copies
            are left out silently.
    """
    listed = list(results)
    kept: dict[tuple[str, str, str], RunResult] = {}
    for result in listed:
        first = kept.setdefault(_origin(result), result)
        if _rank(result) > _rank(first):
            kept[_origin(result)] = result
    for result in listed:
        stays = kept[_origin(result)]
        if stays is not result and on_copy is not None:
            on_copy(
                UsageError(
                    f"{result.path or 'A result without a file'} is a copy: "
                    f"{stays.path or 'another result'} holds the run {result.config.id}, too."
                )
            )
    return [result for result in listed if kept[_origin(result)] is result]


def _rank(result: RunResult) -> tuple[bool, bool]:
    named = result.path is not None and result.path.stem == result.config.id
    return result.finished, named


def by_setting(results: Iterable[RunResult]) -> list[list[RunResult]]:
    """Group results that differ in nothing but the seed; each group is sorted by seed.

    Of two results of one run the second is left out, with a warning.
    """
    groups: dict[tuple[str, str, str], list[RunResult]] = {}
    for result in without_copies(results, warn_of):
        key = (result.config.setting_id, *_origin(result)[1:])
        groups.setdefault(key, []).append(result)
    return [sorted(runs, key=lambda run: run.config.seed) for runs in groups.values()]
