"""Many runs of one small problem in one process, trained together.

The files are those of separate runs, under the same locks and the same rules of what is finished.
docs/speed.md says when this is chosen, and what differs: rounding, and clocks that divide the time
of all by their number.
"""

from __future__ import annotations

import json
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count

from deepobs_problems import Problem, load_problem
from deepobs_runner.backend.devices import choose_device
from deepobs_runner.backend.environment import environment
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.errors import RunLockedError
from deepobs_runner.executors.vectorized.model import CannotStackError
from deepobs_runner.executors.vectorized.optimizer import (
    ELEMENTWISE,
    NOT_STACKED,
    agrees_with_torch,
    other_options,
)
from deepobs_runner.executors.vectorized.training import Grid, StackedRuns
from deepobs_runner.results.files import check_writable
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.store import remove_leftovers
from deepobs_runner.runs.checkpoint_file import checkpoint_path
from deepobs_runner.runs.lock import run_lock
from deepobs_runner.runs.outcome import Outcome
from deepobs_runner.runs.recorder import Recorder
from deepobs_runner.runs.resolve import DoubleDecayWarning, double_decay, optimizer_of
from deepobs_runner.runs.run import finished_result
from deepobs_runner.training.record import Record

SECONDS_BETWEEN_SAVES = 30.0
"""As `recorder.SECONDS_BETWEEN_SAVES`, but there may be hundreds of files."""

OnRecordOf = Callable[[RunConfig, Record], object]


def why_not(config: RunConfig, execution: Execution) -> str | None:
    """Return why a resolved configuration has to be run by itself, None if nothing is known.

    What only the network can tell is found when the runs begin.
    """
    if config.optimizer not in ELEMENTWISE:
        return f"{config.optimizer} is none of {', '.join(ELEMENTWISE)}"
    if (options := NOT_STACKED & set(config.hyperparams)) != set():
        return f"{config.optimizer} has the option {', '.join(sorted(options))}"
    if config.precision not in ("fp32", "tf32", "fp64"):
        return f"precision is {config.precision}"
    if execution.time_limit is not None or execution.checkpoint_epochs is not None:
        return "a time limit and checkpoints by epoch belong to a single run"
    if execution.compile:
        return "compiled runs are trained one by one"
    if execution.cuda_graphs:
        return "runs in CUDA graphs are trained one by one"
    if execution.track:
        return "trackers follow one run at a time"
    if execution.resume and checkpoint_path(execution.out, config.id).exists():
        return "it goes on from its checkpoint"
    if choose_device(execution.device).type == "mps":
        return "MPS has no float64 for the means"
    return None


def grids_of(configs: Sequence[RunConfig]) -> list[Grid]:
    """Return configurations as grids of seeds by settings that can be trained together.

    Settings of one optimizer that are to be run with the same seeds share a grid; a grid of a
    single run is returned as well.
    """
    together: dict[str, dict[str, dict[int, RunConfig]]] = {}
    for config in configs:
        common = json.dumps(
            {k: v for k, v in config.to_json().items() if k not in ("seed", "hyperparams")},
            sort_keys=True,
        )
        settings = together.setdefault(common, {})
        setting = json.dumps(config.to_json()["hyperparams"], sort_keys=True)
        settings.setdefault(setting, {})[config.seed] = config
    grids: list[Grid] = []
    for settings in together.values():
        by_seeds: dict[tuple[int, ...], list[dict[int, RunConfig]]] = {}
        for by_seed in settings.values():
            by_seeds.setdefault(tuple(sorted(by_seed)), []).append(by_seed)
        for seeds, columns in by_seeds.items():
            columns.sort(key=lambda column: other_options(next(iter(column.values())).hyperparams))
            grids.append([[column[seed] for column in columns] for seed in seeds])
    return grids


def cut(grid: Grid, most: int) -> list[Grid]:
    """Return a grid in parts of at most `most` runs, seeds apart first."""
    rows = max(1, most // len(grid[0]))
    columns = min(len(grid[0]), most)
    return [
        [row[c : c + columns] for row in grid[r : r + rows]]
        for r in range(0, len(grid), rows)
        for c in range(0, len(grid[0]), columns)
    ]


def run_vectorized(
    configs: Sequence[RunConfig],
    execution: Execution | None = None,
    *,
    problem: Problem | None = None,
    on_record: OnRecordOf | None = None,
    force: bool = False,
) -> list[Outcome]:
    """Train resolved configurations together; return what became of each, in their order.

    Finished runs are read, not repeated; a run that another process is at is left to it. Several
    grids (see `grids_of`) are trained one after another.

    Args:
        configs: of one problem, see `why_not`.
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
        if (reason := why_not(config, execution)) is not None:
            raise CannotStackError(f"{config.id} cannot be trained with others: {reason}.")
    check_writable(execution.out)
    for warning in dict.fromkeys(filter(None, map(double_decay, configs))):
        warnings.warn(warning, DoubleDecayWarning, stacklevel=2)
    outcomes: dict[str, Outcome] = {}
    with ExitStack() as locks:
        todo = []
        for config in configs:
            outcome = _enter(config, execution, force, locks)
            if outcome is None:
                todo.append(config)
            else:
                outcomes[config.id] = outcome
        for grid in grids_of(todo):
            outcomes |= _run_grid(grid, execution, problem, on_record)
    return [outcomes[config.id] for config in configs]


def _enter(
    config: RunConfig, execution: Execution, force: bool, locks: ExitStack
) -> Outcome | None:
    """Take the lock of a run and make ready for it; return its outcome if it is not to be run."""
    try:
        locks.enter_context(run_lock(config, execution.out))
    except RunLockedError as error:
        return Outcome(config=config, status="locked", message=str(error))
    remove_leftovers(config, execution.out)
    finished = None if force else finished_result(config, execution)
    if finished is not None:
        return Outcome(config=config, status=finished.status)
    checkpoint_path(execution.out, config.id).unlink(missing_ok=True)
    return None


def _run_grid(
    grid: Grid, execution: Execution, problem: Problem | None, on_record: OnRecordOf | None
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
        )
        for name, config in members.items()
    }
    outcomes: dict[str, Outcome] = {}

    def end(name: str, result: RunResult) -> None:
        outcomes[name] = Outcome(
            config=members[name], status=result.status, message=result.error or ""
        )
        del recorders[name]

    try:
        for epoch in count():
            for name, record in runs.epoch(epoch).items():
                if (result := recorders[name].take(record)) is not None:
                    end(name, result)
            if runs.ended(epoch) or not recorders:
                break
            runs.leave_out(outcomes)
        for name, recorder in list(recorders.items()):
            end(name, recorder.complete())
    except KeyboardInterrupt:
        for recorder in recorders.values():
            recorder.interrupt()
        raise
    except Exception:
        text = traceback.format_exc()
        for name, recorder in list(recorders.items()):
            recorder.fail(text)
            outcomes[name] = Outcome(config=members[name], status="failed", message=text)
    return outcomes


def _start(grid: Grid, execution: Execution, problem: Problem | None) -> StackedRuns:
    """Return the runs of a grid at their start.

    Raises:
        CannotStackError: the optimizer or the network does not allow it.
    """
    config = grid[0][0]
    problem = load_problem(config.problem) if problem is None else problem
    # With l2_via=optimizer, the decay is no hyperparameter.
    decay = {"weight_decay": config.l2} if config.l2_via == "optimizer" else {}
    if not agrees_with_torch(config.optimizer, [{**c.hyperparams, **decay} for c in grid[0]]):
        raise CannotStackError(
            f"Steps of {config.optimizer} on stacked weights are not those on the weights of each."
        )
    make = [optimizer_of(config, problem) for config in grid[0]]
    return StackedRuns(problem, grid, make, execution=execution)
