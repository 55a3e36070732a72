"""Official results of 2019, shipped with the package and read as ordinary results."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from deepobs_runner.config import RunConfig
from deepobs_runner.results.result import OFFICIAL, RunResult
from deepobs_runner.schedules import Constant

_FOLDER = files("deepobs_runner") / "baselines_2019"
_SPLITS = {"train": "train_eval", "test": "test"}


@cache
def _settings() -> Mapping[str, Any]:
    settings: Mapping[str, Any] = msgspec.json.decode((_FOLDER / "settings.json").read_bytes())
    return settings


def official_problems() -> list[str]:
    """Problems that have official results."""
    return list(_settings()["learning_rates"])


def official_learning_rate(problem: str, optimizer: str) -> float | None:
    """Tuned learning rate of the official runs, None without one.

    >>> official_learning_rate("quadratic_deep", "Adam")
    0.039810717
    """
    rate: float | None = _settings()["learning_rates"].get(problem, {}).get(optimizer)
    return rate


def official_results(problem: str, *, tuned: bool = True) -> list[RunResult]:
    """Official runs of a problem; none if it has no official results.

    Their recipe is `2019`. The published losses include the L2 term, so they are the `objective`.

    Args:
        problem: its name.
        tuned: only the ten seeds at the tuned learning rate of each optimizer; False: all 135.
    """
    if problem not in official_problems():
        return []
    rates = _settings()["learning_rates"][problem]
    return [
        _to_result(line)
        for line in _lines(problem)
        if not tuned or line["hyperparameters"]["lr"] == rates[line["optimizer"]]
    ]


@cache
def official_config(problem: str) -> RunConfig:
    """Configuration of one of the official runs of a problem that has some."""
    return _to_result(next(_lines(problem))).config


def _lines(problem: str) -> Iterator[dict[str, Any]]:
    content = gzip.decompress((_FOLDER / f"{problem}.jsonl.gz").read_bytes())
    return (msgspec.json.decode(line) for line in content.splitlines())


def _to_result(line: Mapping[str, Any]) -> RunResult:
    columns = {}
    for ours, theirs in {"objective": "loss", "accuracy": "accuracy"}.items():
        for prefix, split in _SPLITS.items():
            values = line.get(f"{prefix}_{theirs}")  # no accuracy where there are no classes
            if values is not None:
                columns[split, ours] = values
    records = []
    for epoch in range(line["epochs"] + 1):
        metrics: dict[str, dict[str, float | None]] = {"train_eval": {}, "test": {}}
        for (split, metric), values in columns.items():
            metrics[split][metric] = values[epoch]
        records.append({"epoch": epoch, "metrics": metrics})
    config = RunConfig(
        problem=line["problem"],
        optimizer=line["optimizer"],
        hyperparams=line["hyperparameters"],
        schedule=Constant(),
        seed=line["seed"],
        recipe="2019",
        precision="fp32",
        batch_size=line["batch_size"],
        epochs=line["epochs"],
    )
    return RunResult(
        config=config,
        status="done",
        records=tuple(records),
        environment={"source": "official results of 2019, DeepOBS 1.1 on TensorFlow 1"},
        origin=OFFICIAL,
    )
