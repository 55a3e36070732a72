"""Many runs of one small problem in one process, trained together.

The files are those of separate runs, under the same locks and the same rules of what is finished.
docs/speed.md explains when to use it, and the differences: rounding, and clocks that divide the
time of all by their number.
"""

from __future__ import annotations

import signal
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

from deepobs_problems import Problem, load_problem
from deepobs_runner.backend.environment import environment
from deepobs_runner.config import Execution, RunConfig, Vectorize
from deepobs_runner.errors import RunLockedError, UsageError
from deepobs_runner.executors.vectorized.batching import (
    grids_of,
    obstacle,
    sets_of,
    warn_of_separate_runs,
)
from deepobs_runner.executors.vectorized.model import CannotStackError
from deepobs_runner.executors.vectorized.optimizer import agrees_with_torch
from deepobs_runner.executors.vectorized.training import Grid, StackedRuns
from deepobs_runner.optimizers.weight_decay import DoubleDecayWarning, double_decay
from deepobs_runner.results.files import check_writable
from deepobs_runner.results.result import RunResult
from deepobs_runner.runs.disk import explain_disk
from deepobs_runner.runs.interrupts import interruptible, shielded, was_interrupted
from deepobs_runner.runs.lock import run_lock
from deepobs_runner.runs.outcome import Outcome
from deepobs_runner.runs.progress import Reporter, reported
from deepobs_runner.runs.recorder import Recorder
from deepobs_runner.runs.resolve import optimizer_of
from deepobs_runner.runs.run import remove_unfinished, tidy, unfinished_folder
from deepobs_runner.training.record import Record

SECONDS_BETWEEN_SAVES = 30.0
"""As `recorder.SECONDS_BETWEEN_SAVES`, but there may be hundreds of files."""

OnRecordOf = Callable[[RunConfig, Record], object]


class _Files(NamedTuple):
    """Where the files of a run are until it is finished, and the check of its lock."""

    folder: Path
    check_lock: Callable[[], None]


def run_vectorized(
    configs: Sequence[RunConfig],
    execution: Execution | None = None,
    *,
    problem: Problem | None = None,
    on_record: OnRecordOf | None = None,
    force: bool = False,
) -> list[Outcome]:
    """Train resolved configurations together; return the outcome of each, in their order.

    Finished runs are read, not repeated; a run that another process is at is left to it. Several
    grids (see `grids_of`) are trained one after another.

    Args:
        configs: configurations of one problem, see `obstacle`.
        execution: where and how.
        problem: in place of the one that the configurations name.
        on_record: called with the configuration and every record of its run.
        force: repeat finished runs.

    Raises:
        CannotStackError: they cannot be trained together; nothing was trained or written.
        KeyboardInterrupt: after a checkpoint of every run that is not over.
    """
    execution = execution or Execution()
    for config in configs:
        if (reason := obstacle(config, execution)) is not None:
            raise CannotStackError(f"{config.id} cannot be trained with others: {reason}.")
    check_writable(execution.out)
    for warning in dict.fromkeys(filter(None, map(double_decay, configs))):
        warnings.warn(warning, DoubleDecayWarning, stacklevel=2)
    outcomes: dict[str, Outcome] = {}
    with ExitStack() as locks, interruptible([signal.SIGINT]):
        todo: list[RunConfig] = []
        files: dict[str, _Files] = {}
        for config in configs:
            outcome = _enter(config, execution, force, locks, files)
            if outcome is None:
                todo.append(config)
            else:
                outcomes[config.id] = outcome
        for grid in grids_of(todo):
            outcomes |= _run_grid(grid, execution, problem, on_record, files)
    return [outcomes[config.id] for config in configs]


def _enter(
    config: RunConfig,
    execution: Execution,
    force: bool,
    locks: ExitStack,
    files: dict[str, _Files],
) -> Outcome | None:
    """Take the lock of a run and prepare it; return its outcome if it is not run.

    Where it is run, `files` receives where its files are until it is finished.
    """
    try:
        check_lock = locks.enter_context(run_lock(config, execution.out))
    except RunLockedError as error:
        return Outcome(config=config, status="locked", message=str(error))
    try:
        finished = tidy(config, execution, force)
        if finished is not None:
            return Outcome(config=config, status=finished.status)
        folder = unfinished_folder(config, execution, force)
    except UsageError as error:
        return Outcome(config=config, status="refused", message=str(error))
    remove_unfinished(config, execution, folder)
    files[config.id] = _Files(folder, check_lock)
    return None


def _run_grid(
    grid: Grid,
    execution: Execution,
    problem: Problem | None,
    on_record: OnRecordOf | None,
    files: Mapping[str, _Files],
) -> dict[str, Outcome]:
    """Train the runs of a grid; return their outcomes by id."""
    runs = _start(grid, execution, problem)
    members = {config.id: config for row in grid for config in row}
    facts = {**environment(runs.device, execution), "world_size": 1}
    surroundings = {**facts, "vectorized": len(members)}
    recorders = {
        name: Recorder(
            RunResult(config=config, status="running", environment=surroundings),
            execution,
            on_record=None if on_record is None else partial(on_record, config),
            seconds_between_saves=SECONDS_BETWEEN_SAVES,
            snapshots_last=True,
            folder=files[name].folder,
            check_lock=files[name].check_lock,
        )
        for name, config in members.items()
    }
    outcomes: dict[str, Outcome] = {}

    def store(name: str, call: Callable[[], RunResult | None]) -> None:
        """Let the recorder of a run store something; note the outcome of a run that has ended."""
        try:
            result = call()
        except RunLockedError as error:
            outcomes[name] = Outcome(config=members[name], status="locked", message=str(error))
        else:
            if result is None:
                return
            outcomes[name] = Outcome(
                config=members[name], status=result.status, message=result.error or ""
            )
        del recorders[name]

    try:
        for epoch in count():
            for name, record in runs.epoch(epoch).items():
                store(name, partial(recorders[name].take, record))
            if runs.ended(epoch) or not recorders:
                break
            runs.drop(outcomes)
        for name, recorder in list(recorders.items()):
            store(name, recorder.complete)
    except KeyboardInterrupt:
        _interrupt(recorders.values())
        raise
    except Exception as error:
        if was_interrupted():  # which foreign code turned into another exception
            _interrupt(recorders.values())
            raise KeyboardInterrupt from error
        text = traceback.format_exc() + explain_disk(error, execution.out)
        for name, recorder in list(recorders.items()):
            recorder.fail(text)
            outcomes[name] = Outcome(config=members[name], status="failed", message=text)
    return outcomes


def _interrupt(recorders: Iterable[Recorder]) -> None:
    """Write a checkpoint of each run, and ignore signals until it is complete."""
    with shielded():
        for recorder in recorders:
            recorder.interrupt()


def _start(grid: Grid, execution: Execution, problem: Problem | None) -> StackedRuns:
    """Runs of a grid at their start.

    Raises:
        CannotStackError: the optimizer or the network does not allow it.
    """
    config = grid[0][0]
    problem = load_problem(config.problem) if problem is None else problem
    # With l2_via=optimizer, the decay is not a hyperparameter.
    decay = {"weight_decay": config.l2} if config.l2_via == "optimizer" else {}
    if not agrees_with_torch(config.optimizer, [{**c.hyperparams, **decay} for c in grid[0]]):
        raise CannotStackError(
            f"Steps of {config.optimizer} on stacked weights are not those on the weights of each."
        )
    make = [optimizer_of(config, problem) for config in grid[0]]
    return StackedRuns(problem, grid, make, execution)


def run_sets(
    configs: Sequence[RunConfig],
    execution: Execution,
    *,
    vectorize: Vectorize,
    force: bool,
    reporter: Reporter,
) -> dict[str, Outcome]:
    """Run those of the resolved configurations that are trained together.

    Returns:
        Their outcomes by id. The others must be run one by one: they cannot be trained together, or
        another process is running them.
    """
    outcomes: dict[str, Outcome] = {}
    for members in sets_of(configs, execution, vectorize):
        with ExitStack() as stack:
            tell = {c.id: stack.enter_context(reported(reporter, c)) for c in members}
            try:
                found = run_vectorized(members, execution, on_record=_to(tell), force=force)
                outcomes |= {o.config.id: o for o in found if o.status != "locked"}
            except Exception as error:  # nothing was trained; each run reports its own error
                if vectorize == "on":
                    warn_of_separate_runs([str(error)])
    return outcomes


def _to(tell: Mapping[str, Callable[[Record], object]]) -> OnRecordOf:
    return lambda config, record: tell[config.id](record)
