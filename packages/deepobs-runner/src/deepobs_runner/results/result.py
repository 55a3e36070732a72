"""Results on disk: one JSON file a run, valid whenever the process dies.

`<id>.json` holds configuration, status, environment and records; `<id>.steps.npy` the objective of
every step. Both are replaced atomically as the run goes on; the steps file first, so it is never
shorter than its JSON says. docs/results.md describes the schema.
"""

from __future__ import annotations

import glob
import json
import math
import os
import tempfile
import warnings
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Literal, get_args

import numpy as np

from deepobs_runner.config import RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.results.provenance import whose
from deepobs_runner.results.records import StoredRecords, parse_result
from deepobs_runner.results.schema import check_fields, check_records

SCHEMA = 1
Status = Literal["running", "done", "diverged", "stopped", "failed"]
FINISHED: tuple[Status, ...] = ("done", "diverged", "stopped")

Migration = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Turns the content of a result file of one schema into that of the next."""

MIGRATIONS: Mapping[int, Migration] = MappingProxyType({})
"""By the schema they start from; there is no older schema yet."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What is known of a run.

    Attributes:
        config: resolved.
        status: `running` until the process says otherwise; `diverged` if a loss was not finite.
        records: one a evaluation, as in the JSON file; a value that was not finite is None.
        environment: versions, device, threads.
        error: the traceback of a failed run.
        path: of the JSON file; None if it was never written.
    """

    config: RunConfig
    status: Status
    records: Sequence[Mapping[str, Any]] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    path: Path | None = None

    def series(self, split: str, metric: str) -> np.ndarray:
        """Return a metric at every evaluation, `(records,)`; NaN where there is no number.

        The array cannot be written to, as it is kept.
        """
        return self._kept((split, metric), lambda: self._metric(split, metric))

    def _metric(self, split: str, metric: str) -> np.ndarray:
        values = [record["metrics"].get(split, {}).get(metric) for record in self.records]
        return np.array([math.nan if value is None else value for value in values], dtype=float)

    def _kept(self, name: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Return a column of the records, which a report asks for many times."""
        column = self._columns.get(name)
        if column is None or len(column) != len(self.records):  # of a run that goes on
            column = self._columns[name] = make()
            column.setflags(write=False)
        return column

    @cached_property
    def _columns(self) -> dict[Hashable, np.ndarray]:
        return {}

    def epochs(self) -> np.ndarray:
        """Return the epoch of every evaluation, `(records,)`.

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
        """Return the steps of a whole epoch, None where the records do not say.

        Those of older versions only do so by an epoch that is not the last.
        """
        if self.records and self.records[-1].get("steps_per_epoch"):
            return float(self.records[-1]["steps_per_epoch"])
        whole = next((record for record in self.records[:-1] if record["epoch"] > 0), {})
        return whole["steps"] / whole["epoch"] if whole.get("steps") else None

    @property
    def ends_in_unknown_epoch(self) -> bool:
        """Whether the limit of steps may have cut the last epoch short, and nothing says so."""
        trained = bool(self.records) and self.records[-1]["epoch"] > 0
        return trained and self.config.steps is not None and self.steps_per_epoch is None

    def step_objectives(self) -> np.ndarray:
        """Return the objective of every step up to the last record, `(steps,)`.

        Raises:
            UsageError: there are none: the run was never stored, or the original DeepOBS made it.
        """
        if self.path is None or not steps_path(self.path).exists():
            raise UsageError(f"There are no step objectives of {self.config.id} beside a result.")
        steps = self.records[-1]["steps"] if self.records else 0
        objectives: np.ndarray = np.load(steps_path(self.path), allow_pickle=False)
        return objectives[:steps]

    def to_json(self) -> dict[str, Any]:
        """Return the result as strict JSON."""
        return {
            "schema": SCHEMA,
            "id": self.config.id,
            "status": self.status,
            "config": self.config.to_json(),
            "environment": dict(self.environment),
            "error": self.error,
            "records": list(self.records),
        }


def result_path(config: RunConfig, folder: Path) -> Path:
    """Return where the result file of a resolved configuration lies."""
    return folder / f"{config.id}.json"


def steps_path(path: Path) -> Path:
    """Return where the step objectives of a result file lie."""
    return path.with_name(path.name.removesuffix(".json") + ".steps.npy")


def jsonable(value: Any) -> Any:
    """Return a value with every number that is not finite replaced by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return value


def save_result(result: RunResult, folder: Path, step_objectives: np.ndarray) -> Path:
    """Write a result and its step objectives atomically; return the JSON file's path."""
    path = result_path(result.config, folder)
    write_atomically(steps_path(path), lambda file: np.save(file, step_objectives))
    text = json.dumps(result.to_json(), allow_nan=False)
    write_atomically(path, lambda file: file.write(text.encode()))
    return path


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file under a temporary name beside `path`, then move it there."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file atomically."""
    write_atomically(path, lambda file: file.write(content))


def remove_leftovers(config: RunConfig, folder: Path) -> None:
    """Remove temporary files that a killed process left of a run; to be called under its lock."""
    for path in folder.glob(f".{glob.escape(config.id)}.*.tmp"):
        path.unlink(missing_ok=True)


def load_result(path: Path) -> RunResult:
    """Read one result file.

    Raises:
        UsageError: the file is no result, or of a schema this version does not know.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} is not a DeepOBS result: {error}.") from None
    return replace(read_result(content, path), path=path)


def read_result(content: bytes, path: Path) -> RunResult:
    """Read one result from the content of a file, or from a part of it.

    Args:
        content: the JSON text of the result.
        path: where it is from, for errors.

    Raises:
        UsageError: the content is no result, or of a schema this version does not know.
    """
    try:
        data = parse_result(content, path)
        data["schema"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{path} is not a DeepOBS result: {error}.") from None
    try:
        current = migrate(data, MIGRATIONS)
        check_fields(current, get_args(Status))
        records = current["records"]
        config = RunConfig.from_json(current["config"])
        # A migration may change the configuration, and with it the id; the file keeps its own.
        if data["schema"] == SCHEMA and config.id != current["id"]:
            raise UsageError(
                f"The field id is {current['id']!r}, but the configuration is that of "
                f"{config.id!r}: one of them was changed by hand, or by another version."
            )
        return RunResult(
            config=config,
            status=current["status"],
            records=records if isinstance(records, StoredRecords) else check_records(records),
            environment=current["environment"],
            error=current["error"],
        )
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} is a damaged DeepOBS result: {type(error).__name__}: {error}."
        ) from None


def migrate(
    data: Mapping[str, Any],
    migrations: Mapping[int, Migration] = MIGRATIONS,
    *,
    schema: int = SCHEMA,
) -> Mapping[str, Any]:
    """Return the content of a result file in the current schema.

    Args:
        data: of a schema up to the current one.
        migrations: by the schema they start from.
        schema: the current one.

    Raises:
        UsageError: a newer schema, or an older one without a migration.
    """
    found = data["schema"]
    if not isinstance(found, int) or isinstance(found, bool):
        raise UsageError(f"The field schema is {found!r}; it must be a whole number.")
    readable = sorted({schema, *migrations})
    while data["schema"] != schema:
        step = migrations.get(data["schema"])
        if step is None:
            raise UsageError(
                f"This result has schema {found!r}; this version reads "
                f"{', '.join(map(str, readable))}. Use the deepobs-runner that wrote it, or a "
                "newer one."
            )
        data = {**step(data), "schema": data["schema"] + 1}
    return data


def load_results(
    folder: Path, *, on_error: Callable[[UsageError], object] | None = None
) -> list[RunResult]:
    """Read all results in a folder, sorted by file name; then those of the original DeepOBS.

    The latter are found at any depth below the folder, see `load_original`.

    Args:
        folder: of results.
        on_error: called with what is wrong with a file, which is then left out, the records
            included; None raises it, that of the records when they are looked at. A copy of a
            result is left out in any case, without `on_error` with a warning.

    Raises:
        UsageError: no such folder, or a file that is no result.
    """
    from deepobs_runner.results.original import BESIDE_ORIGINALS, find_originals, load_original_file

    if not folder.is_dir():
        raise UsageError(
            f'There is no folder {folder}. "deepobs run" and "deepobs bench" make one.'
        )
    originals = find_originals(folder)
    ours = [
        path
        for path in sorted(folder.glob("*.json"))
        if path not in originals and not (originals and path.name in BESIDE_ORIGINALS)
    ]
    results = []
    for read, paths in ((load_result, ours), (load_original_file, originals)):
        for path in paths:
            try:
                result = read(path)
                if on_error is not None:
                    len(result.records)
                results.append(result)
            except UsageError as error:
                if on_error is None:
                    raise
                on_error(error)
    return _without_copies(results, on_error or _warn)


def _warn(error: UsageError) -> None:
    warnings.warn(str(error), stacklevel=4)


def _origin(result: RunResult) -> tuple[str, str, str]:
    """Return what two results of one run have in common."""
    return result.config.id, whose(result), str(result.environment.get("source"))


def _without_copies(
    results: Iterable[RunResult], on_copy: Callable[[UsageError], object]
) -> list[RunResult]:
    """Return the results with each run once: it would count as another seed.

    One that is finished stays, rather one whose file is named by its id, else the first.

    Args:
        results: in order.
        on_copy: called with a sentence that names one left out, and the one that stays.
    """
    listed = list(results)
    kept: dict[tuple[str, str, str], RunResult] = {}
    for result in listed:
        first = kept.setdefault(_origin(result), result)
        if _rank(result) > _rank(first):
            kept[_origin(result)] = result
    for result in listed:
        stays = kept[_origin(result)]
        if stays is not result:
            on_copy(
                UsageError(
                    f"{result.path or 'a result without a file'} is the run {result.config.id} "
                    f"once more, which {stays.path or 'another result'} is already."
                )
            )
    return [result for result in listed if kept[_origin(result)] is result]


def _rank(result: RunResult) -> tuple[bool, bool]:
    named = result.path is not None and result.path.stem == result.config.id
    return result.status in FINISHED, named


def check_writable(folder: Path) -> None:
    """Create the folder of the results and try to write there.

    Raises:
        UsageError: if that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(
            f"Cannot write results to {folder}: {error.strerror or error}. Choose another folder "
            "with --out."
        ) from None


def by_setting(results: Iterable[RunResult]) -> list[list[RunResult]]:
    """Group results that differ in nothing but the seed; each group is sorted by seed.

    Of two results of one run the second is left out, with a warning.
    """
    groups: dict[tuple[str, str, str], list[RunResult]] = {}
    for result in _without_copies(results, _warn):
        key = (result.config.setting_id, *_origin(result)[1:])
        groups.setdefault(key, []).append(result)
    return [sorted(runs, key=lambda run: run.config.seed) for runs in groups.values()]
