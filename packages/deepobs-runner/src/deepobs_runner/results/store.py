"""Results on disk: one JSON file per run, valid whenever the process dies.

`<id>.json` holds configuration, status, environment and records; `<id>.steps.npy` the objective of
every step. Both are replaced atomically during the run; the longer one first, so the steps file is
never shorter than its JSON file. docs/results.md describes the schema.
"""

from __future__ import annotations

import gc
import glob
import io
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np

from deepobs_runner.config import RunConfig
from deepobs_runner.errors import UnreadableFileError, UsageError, cannot_read
from deepobs_runner.results.files import (
    CHECKSUM_BYTES,
    UnfitFileError,
    read_file,
    set_aside,
    write_bytes,
    write_with_checksum,
)
from deepobs_runner.results.original import BESIDE_ORIGINALS, find_originals, load_original
from deepobs_runner.results.outputs import open_unlinked
from deepobs_runner.results.result import (
    ORIGINAL,
    YOURS,
    RunResult,
    repeat_folder,
    result_path,
    sha256_of,
    steps_path,
    warn_of,
    without_copies,
)
from deepobs_runner.results.schema import (
    RESULT,
    SCHEMA,
    StoredConfig,
    StoredEnvironment,
    StoredRecords,
    StoredResult,
    check_values,
    convert,
)
from deepobs_runner.text import shorten_paths, shorten_spec

Migration = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Turns the content of a result file of one schema into that of the next."""

MIGRATIONS: Mapping[int, Migration] = MappingProxyType({})
"""By the schema they start from; no older schema exists yet."""


def encode_result(result: RunResult, step_objectives: np.ndarray | None = None) -> bytes:
    """Result as the strict JSON of a result file.

    Args:
        result: result of a run.
        step_objectives: those that are stored beside it, if any.
    """
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "id": result.config.id,
        "status": result.status,
        "config": _without_place(result.config.to_json()),
        "environment": {
            name: shorten_paths(value) if isinstance(value, str) else value
            for name, value in result.environment.items()
        },
        "error": None if result.error is None else shorten_paths(result.error),
        "records": list(result.records),
    }
    if step_objectives is not None:
        steps = result.records[-1].get("steps", 0) if result.records else 0
        content["steps_sha256"] = sha256_of(np.asarray(step_objectives)[:steps])
    return json.dumps(content, allow_nan=False).encode()


def _without_place(config: dict[str, Any]) -> dict[str, Any]:
    """Shorten absolute paths of a user's files; a run's identity does not depend on the folder."""
    return config | {name: shorten_spec(config[name]) for name in ("problem", "optimizer")}


def save_result(result: RunResult, folder: Path, step_objectives: np.ndarray | None = None) -> Path:
    """Write a result and its step objectives, if any, atomically; return the JSON file's path."""
    path = result_path(result.config, folder)
    writes = [partial(write_bytes, path, encode_result(result, step_objectives))]
    if step_objectives is not None:
        buffer, steps = io.BytesIO(), steps_path(path)
        np.save(buffer, step_objectives)
        content = buffer.getvalue()
        # A resumed run may have fewer steps than the result that it replaces.
        shrinks = steps.exists() and steps.stat().st_size > len(content) + CHECKSUM_BYTES
        save = partial(write_with_checksum, steps, lambda file: file.write(content))
        writes.insert(1 if shrinks else 0, save)
    for write in writes:
        write()
    return path


BEYOND = (OverflowError, RecursionError)
"""Raised by numbers and nesting that are beyond what Python can handle."""

RUNNING, FAILED = b'"status": "running"', b'"status": "failed" '
"""As `encode_result` writes them, of one length."""


def mark_failed(path: Path) -> None:
    """Warn in a result file, in place, that its run failed; for a disk without room for another."""
    with suppress(OSError), open_unlinked(path, "r+b") as file:
        place = file.read(4096).find(RUNNING)
        if place >= 0:
            file.seek(place)
            file.write(FAILED)


def remove_leftovers(config: RunConfig, folder: Path) -> None:
    """Remove temporary files that a killed process left of a run; to be called under its lock."""
    for place in (folder, repeat_folder(folder)):
        for path in place.glob(f".{glob.escape(config.id)}.*.tmp"):
            with suppress(OSError):  # it is a folder, for one
                path.unlink()


def load_result(path: Path | str) -> RunResult:
    """Read one result file.

    Raises:
        UsageError: the file is not a result, or is of a schema this version does not know.
        UnreadableFileError: it cannot be read, whatever it holds.
    """
    path = Path(path)
    try:
        content = read_file(path)
    except (UnfitFileError, FileNotFoundError) as error:
        raise UsageError(f"{path} is not a DeepOBS result: {error.strerror or error}.") from None
    except OSError as error:
        raise cannot_read(path, error) from None
    return replace(read_result(content, path), path=path)


def stored_result(config: RunConfig, folder: Path) -> RunResult | None:
    """Read the result of a resolved configuration with its records.

    None if the folder has none, or one that cannot be used: its run is made again, and sets the
    file aside, see `set_damaged_aside`; or is refused where the file cannot be read.
    """
    with suppress(UsageError):
        return _whole_result(config, folder)
    return None


def stored_failure(config: RunConfig, folder: Path) -> RunResult | None:
    """Read the result of a run that failed, also while it repeated a finished one; None without."""
    for place in (repeat_folder(folder), folder):
        result = stored_result(config, place)
        if result is not None and result.status == "failed":
            return result
    return None


class DamagedResultWarning(UserWarning):
    """A result file cannot be used, is kept under another name, and its run made again."""


def set_damaged_aside(config: RunConfig, folder: Path) -> None:
    """Rename the result file of a configuration if it cannot be used; to be called under its lock.

    It is damaged, of a newer version, no file, or lacks its step objectives. These go with it. The
    new name ends in `.damaged`, so nothing reads it as a result; a warning reports it.

    Raises:
        UnreadableFileError: it cannot be read, so that it may be sound.
        UsageError: it cannot be renamed.
    """
    path = result_path(config, folder)
    try:
        _whole_result(config, folder)
    except UnreadableFileError:
        raise
    except UsageError as error:
        kept = set_aside(path, error)
        if steps_path(path).exists():
            set_aside(steps_path(path), error)
        warnings.warn(
            f"{error} The file is kept as {kept.name}, and the run is made again.",
            DamagedResultWarning,
            stacklevel=2,
        )


def _whole_result(config: RunConfig, folder: Path) -> RunResult | None:
    """Read the result of a configuration and its records; None without one.

    Raises:
        UsageError: the file is not a result, or is that of another run; or a record is damaged, or
            the file of the step objectives, or that is missing.
        UnreadableFileError: one of them cannot be read.
    """
    path = result_path(config, folder)
    if not _is_there(path):
        return None
    result = load_result(path)
    if result.config.id != config.id:
        raise UsageError(f"{path} holds another run: {result.config.id}.")
    has_steps = result.steps_sha256 is not None or _is_there(steps_path(path))
    if result.records and has_steps:  # which parses the records
        result.step_objectives()
    return result


def _is_there(path: Path) -> bool:
    """Whether there is anything of this name; `Path.exists` takes errors for no.

    Raises:
        UnreadableFileError: that cannot be told.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise cannot_read(path, error) from None
    return True


def read_result(content: bytes, path: Path) -> RunResult:
    """Read one result from the content of a file, or from a part of it.

    Args:
        content: the JSON text of the result.
        path: where it is from, for errors.

    Raises:
        UsageError: the content is not a result, or is of a schema this version does not know.
    """
    try:
        stored, schema = RESULT.decode(content), SCHEMA
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        stored, schema = _read_slowly(content, path)
    with _errors_of(path):
        check_values(stored.config, "config")
        check_values(stored.environment, "environment")
        convert(stored.config, StoredConfig, "config")
        convert(stored.environment, StoredEnvironment, "environment")
        config = RunConfig.from_json(stored.config)
        # A migration may change the configuration, and with it the id; the file keeps its own.
        if schema == SCHEMA and config.id != stored.id:
            raise UsageError(
                f"The field id is {stored.id!r}, but the configuration is that of "
                f"{config.id!r}: one of them was changed by hand, or by another version."
            )
    return RunResult(
        config=config,
        status=stored.status,
        records=StoredRecords(stored.records, path, epochs=config.epochs, steps=config.steps),
        environment=stored.environment,
        error=stored.error,
        steps_sha256=stored.steps_sha256,
        # A claim in the file makes it less than yours, never official: that is where it lies.
        origin=ORIGINAL if "source" in stored.environment else YOURS,
    )


def _read_slowly(content: bytes, path: Path) -> tuple[StoredResult, int]:
    """Result that `RESULT` refuses, in the current schema, and the schema of its file.

    It is of another schema, has an invalid field, or holds half a surrogate pair, which Python
    writes into JSON for a file name that is not UTF-8.
    """
    try:
        data = json.loads(content)
        schema = data["schema"]
    except (KeyError, TypeError):
        raise UsageError(f"{path} is not a DeepOBS result: it has no field schema.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a DeepOBS result: {error}.") from None
    with _errors_of(path):
        data = dict(migrate(data, MIGRATIONS))
        if "records" in data:
            data["records"] = msgspec.Raw(json.dumps(data["records"]).encode())
        return convert(data, StoredResult), schema


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """Name the file in errors."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, *BEYOND) as error:
        raise UsageError(
            f"{path} is a damaged DeepOBS result: {type(error).__name__}: {error}."
        ) from None


def migrate(
    data: Mapping[str, Any],
    migrations: Mapping[int, Migration] = MIGRATIONS,
    *,
    schema: int = SCHEMA,
) -> Mapping[str, Any]:
    """Content of a result file in the current schema.

    Args:
        data: data of a schema up to the current one.
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
    folder: Path | str, *, on_error: Callable[[UsageError], object] | None = None
) -> list[RunResult]:
    """Read all results in a folder.

    Args:
        folder: that `run` or `deepobs bench` wrote into. Results of the original DeepOBS are found
            in its subfolders, too, see `load_original`.
        on_error: called with the error of each invalid file, which is then left out. None: the
            error is raised; as records are parsed when they are first used, an error in a record is
            raised then. A copy of a result is always left out, with a warning if this is None.

    Returns:
        The results, sorted by file name; those of the original DeepOBS are last.

    Raises:
        UsageError: no such folder, or a file that is not a result.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(
            f'The folder {folder} does not exist. Make results with "deepobs run" or "deepobs '
            'bench".'
        )
    originals = find_originals(folder)
    ours = [
        path
        for path in sorted(folder.glob("*.json"))
        if path not in originals and not (originals and path.name in BESIDE_ORIGINALS)
    ]
    results = []
    for read, paths in ((load_result, ours), (load_original, originals)):
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
    return without_copies(results, on_error or warn_of)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause garbage collection, for a command that ends when its work is done.

    A record is a tree of small objects, none of them garbage. Searching those of thousands of runs
    again and again takes longer than parsing them.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
