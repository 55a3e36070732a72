"""Run one configuration: the caller of `train` for everyone."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from torch import nn

from deepobs_problems import Problem, load_problem
from deepobs_runner.config import Execution, RunConfig, resolve
from deepobs_runner.devices import choose_device, environment
from deepobs_runner.errors import UsageError
from deepobs_runner.official import official_learning_rate
from deepobs_runner.optimizers import MakeOptimizer, make_optimizer, resolve_hyperparams
from deepobs_runner.results import (
    FINISHED,
    RunResult,
    check_writable,
    jsonable,
    load_result,
    save_result,
)
from deepobs_runner.training import Record, train

OnRecord = Callable[[Record], object]


def resolve_config(config: RunConfig, problem: Problem | None = None) -> RunConfig:
    """Return the configuration with every default filled in, checked against what exists.

    A learning rate that is not given is the tuned one of the official runs, if there is one for
    this problem and optimizer.

    Raises:
        UsageError, ProblemError: unknown problem, optimizer or hyperparameter, or no rate.
    """
    problem = load_problem(config.problem) if problem is None else problem
    hyperparams = resolve_hyperparams(
        config.optimizer,
        config.hyperparams,
        official_lr=official_learning_rate(problem.name, config.optimizer),
    )
    return resolve(config, problem, hyperparams)


def optimizer_of(config: RunConfig, problem: Problem) -> MakeOptimizer:
    """Return what builds the optimizer of a resolved configuration."""

    def groups(model: nn.Module) -> list[Any]:
        if config.l2_via == "optimizer":
            return list(problem.parameter_groups(model, config.l2))
        return [p for p in model.parameters() if p.requires_grad]

    return make_optimizer(config.optimizer, config.hyperparams, groups)


def run(
    config: RunConfig,
    execution: Execution | None = None,
    *,
    problem: Problem | None = None,
    on_record: OnRecord | None = None,
    force: bool = False,
) -> RunResult:
    """Train one configuration and write its result after every epoch.

    A run that is finished already is read, not repeated. A run that diverges ends there and says
    so. An exception after training has begun is recorded in the result, then raised.

    Args:
        config: what to run; defaults are resolved here.
        execution: where and how.
        problem: in place of the one that `config.problem` names.
        on_record: called with every record, after it is saved.
        force: repeat a finished run and replace its result.

    Raises:
        UsageError, ProblemError: before anything is trained, if something asked for does not
            exist or the results cannot be written.
    """
    execution = execution or Execution()
    problem = load_problem(config.problem) if problem is None else problem
    config = resolve_config(config, problem)
    device = choose_device(execution.device)
    check_writable(execution.out)
    with _alone(config, execution.out):
        finished = None if force else finished_result(config, execution.out)
        if finished is not None:
            return finished
        records = train(problem, optimizer_of(config, problem), config=config, execution=execution)
        result = RunResult(config=config, status="running", environment=environment(device))
        return _follow(records, result, execution.out, on_record)


def finished_result(config: RunConfig, folder: Path) -> RunResult | None:
    """Return the finished result of a resolved configuration, None if there is none."""
    path = folder / f"{config.id}.json"
    if not path.exists():
        return None
    result = load_result(path)
    return result if result.status in FINISHED else None


def _follow(
    records: Iterator[Record], result: RunResult, folder: Path, on_record: OnRecord | None
) -> RunResult:
    """Save the result after every record; return it finished."""
    steps: list[np.ndarray] = []

    def save() -> RunResult:
        objectives = np.concatenate(steps) if steps else np.zeros(0, dtype=np.float32)
        return replace(result, path=save_result(result, folder, objectives))

    try:
        for record in records:
            if len(record.step_objectives):
                steps.append(record.step_objectives)
            status = result.status if record.finite else "diverged"
            saved = (*result.records, record_to_json(record))
            result = replace(result, records=saved, status=status)
            save()
            if on_record is not None:
                on_record(record)
            if not record.finite:
                return save()
    except Exception:
        if result.records:  # before the first, nothing was trained: there is nothing to keep
            result = replace(result, status="failed", error=traceback.format_exc())
            save()
        raise
    result = replace(result, status="done")
    return save()


def record_to_json(record: Record) -> dict[str, Any]:
    """Return a record as the result file holds it."""
    fields = ("epoch", "steps", "lr", "clocks", "metrics")
    converted: dict[str, Any] = jsonable({name: getattr(record, name) for name in fields})
    return converted


@contextmanager
def _alone(config: RunConfig, folder: Path) -> Iterator[None]:
    """Hold the lock of a run's files.

    Raises:
        UsageError: another process holds it.
    """
    locks = folder / ".locks"
    locks.mkdir(exist_ok=True)
    try:
        with FileLock(locks / config.id, timeout=0):
            yield
    except Timeout:
        raise UsageError(
            f"Another process is running {config.id} in {folder}. Wait for it, or choose another "
            "folder with --out."
        ) from None
