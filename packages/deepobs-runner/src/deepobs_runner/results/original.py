"""Result files of the original DeepOBS, read as ordinary results.

Two layouts, told apart by their keys: that of the official runs of 2019 (DeepOBS 1.1 on
TensorFlow) and that of the 1.2 beta. Both lie in
`<problem>/<optimizer class>/<setting>/random_seed__<seed>__<time>.json`; everything is read from
the file, nothing from its path. Neither is strict JSON: they hold bare `NaN` and `Infinity`.

Optimizer and hyperparameters keep the names they had (`MomentumOptimizer`, `use_nesterov`); the
learning rate, which the layout of 2019 keeps apart, becomes `lr` as in its folder names. The
published losses include the regularizer, so they are the `objective`. The losses of single steps
are not taken over.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from deepobs_runner.config import RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.results.files import read_file
from deepobs_runner.results.result import ORIGINAL, RunResult, Status, jsonable
from deepobs_runner.results.schema import check_values
from deepobs_runner.schedules import Constant, Schedule, Step
from deepobs_runner.text import shorten_path

PATTERN = "random_seed__*.json"
BESIDE_ORIGINALS = frozenset({"convergence_performance.json"})
"""Files in a folder of original results that are not results."""

SOURCES = {
    "2019": "original DeepOBS, layout of 2019",
    "1.2-beta": "original DeepOBS, layout of the 1.2 beta",
}
SPLITS = {"train": "train_eval", "valid": "valid", "test": "test"}


_DAMAGE = (
    OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError,
)  # fmt: skip


class _Run(NamedTuple):
    """Fields of a run that the two layouts store differently."""

    layout: str
    optimizer: str
    hyperparams: dict[str, Any]
    schedule_epochs: Sequence[int] | None
    schedule_factors: Sequence[float] | None


def find_originals(folder: Path) -> list[Path]:
    """Files of the original's layouts at any depth below a folder, sorted.

    Links to folders are not followed, and folders that cannot be listed are left out.
    """
    found, todo = [], [folder]
    while todo:  # not rglob, which calls itself for every level
        with suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    todo.append(Path(entry.path))
                elif fnmatchcase(entry.name, PATTERN):
                    found.append(Path(entry.path))
    return sorted(found)


def load_original(path: Path) -> RunResult:
    """Read one result file of the original DeepOBS, of either layout.

    The recipe of the result is `2019`; `environment` names the layout and the file. A run of the
    beta that diverged was filled up with the values before training; these are left out.

    Raises:
        UsageError: the file cannot be read, is of neither layout, or contradicts itself.
    """
    try:
        data = json.loads(read_file(path))
        check_values(data, "")
        run = _read_beta(data) if "optimizer_name" in data else _read_2019(data)
        return _to_result(data, run, path)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except _DAMAGE as error:
        raise UsageError(
            f"{path} is not a result of the original DeepOBS: {type(error).__name__}: {error}."
        ) from None


def _read_2019(data: Mapping[str, Any]) -> _Run:
    return _Run(
        layout="2019",
        optimizer=data["optimizer"],
        hyperparams={"lr": data["learning_rate"], **data["hyperparams"]},
        schedule_epochs=data["lr_sched_epochs"],
        schedule_factors=data["lr_sched_factors"],
    )


def _read_beta(data: Mapping[str, Any]) -> _Run:
    """Training parameters other than the schedule are a custom runner's; they tell runs apart."""
    training = {key: value for key, value in data["training_params"].items() if value is not None}
    epochs, factors = training.pop("lr_sched_epochs", None), training.pop("lr_sched_factors", None)
    return _Run(
        layout="1.2-beta",
        optimizer=data["optimizer_name"],
        hyperparams={**training, **data["optimizer_hyperparams"]},
        schedule_epochs=epochs,
        schedule_factors=factors,
    )


def _to_result(data: Mapping[str, Any], run: _Run, path: Path) -> RunResult:
    columns = _columns(data)
    length = data["num_epochs"] + 1
    for (split, metric), values in columns.items():
        if len(values) != length:
            raise UsageError(
                f"{len(values)} values of {metric} on {split}, but {length} evaluations "
                f"({data['num_epochs']} epochs and the one before)."
            )
    kept = length
    if run.layout == "1.2-beta":
        kept -= _invented(list(columns.values()), data["minibatch_train_losses"])
    records = [_record(epoch, columns) for epoch in range(kept)]
    losses = [value for (_, name), column in columns.items() if name == "objective"
              for value in column[:kept]]  # fmt: skip
    diverged = kept < length or not all(map(math.isfinite, losses))
    status: Status = "diverged" if diverged else "done"
    config = RunConfig(
        problem=data["testproblem"],
        optimizer=run.optimizer,
        hyperparams=run.hyperparams,
        schedule=_schedule(run),
        seed=data["random_seed"],
        recipe="2019",
        precision="fp32",
        batch_size=data["batch_size"],
        epochs=data["num_epochs"],
        l2=data["weight_decay"],
    )
    environment = {"source": SOURCES[run.layout], "file": shorten_path(str(path))}
    return RunResult(
        config=config,
        status=status,
        records=tuple(records),
        environment=environment,
        origin=ORIGINAL,
    )


def _schedule(run: _Run) -> Schedule:
    if not run.schedule_epochs or not run.schedule_factors:
        return Constant()
    return Step(tuple(run.schedule_epochs), tuple(run.schedule_factors))


def _columns(data: Mapping[str, Any]) -> dict[tuple[str, str], list[float]]:
    """Values of each split and metric; accuracies and `valid` are not always there."""
    columns: dict[tuple[str, str], list[float]] = {}
    for theirs, split in SPLITS.items():
        for suffix, metric in (("losses", "objective"), ("accuracies", "accuracy")):
            values = data.get(f"{theirs}_{suffix}")
            if values:
                columns[split, metric] = values
    missing = {("train_eval", "objective"), ("test", "objective")} - set(columns)
    if missing:
        raise UsageError("train_losses or test_losses are missing.")
    return columns


def _record(epoch: int, columns: Mapping[tuple[str, str], Sequence[float]]) -> dict[str, Any]:
    metrics: dict[str, dict[str, float | None]] = {}
    for (split, metric), values in columns.items():
        metrics.setdefault(split, {})[metric] = jsonable(values[epoch])
    return {"epoch": epoch, "metrics": metrics}


def _invented(columns: Sequence[Sequence[float]], steps: Sequence[float]) -> int:
    """Number of values at the end of every column that the beta made up.

    When the last loss of an epoch was not finite, the beta ended the run and repeated the first
    value of every list, that of the steps included, once for each epoch left. A column of the
    same number throughout (an accuracy that does not move) tells nothing, so all must agree, and
    the list of step losses must end in as many copies of its first.
    """
    tails = [_tail_like_first(column) for column in columns]
    return min([*tails, _tail_like_first(steps)])


def _tail_like_first(values: Sequence[float]) -> int:
    """Number of values at the end, the first itself not counted, that equal the first."""
    count = 0
    for value in reversed(values[1:]):
        if value != values[0]:
            break
        count += 1
    return count
