"""Which of many runs are trained together, in sets that fit into one process."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from deepobs_problems import load_problem
from deepobs_runner.backend.devices import choose_device
from deepobs_runner.config import Execution, RunConfig, Vectorize
from deepobs_runner.executors.vectorized.optimizer import (
    ELEMENTWISE,
    NOT_STACKED,
    other_options,
)
from deepobs_runner.executors.vectorized.training import Grid
from deepobs_runner.runs.checkpoint_file import checkpoint_path

PAYS_UP_TO = 10_000
"""Trainable parameters of a network up to which `auto` trains runs together. Of the catalog, these
are the synthetic problems and the logistic regressions; benchmarks/LOG.md has the measurements."""

LEAST_RUNS = 4
"""Runs in a set from which `auto` trains them together."""

MOST_RUNS = 400
"""Runs in a set: each holds an open lock file."""

NUMBERS_AT_ONCE = 4_000
"""Trainable parameters of a set beyond `SMALL_SET` runs, so that a step's values stay in cache."""

SMALL_SET = 32

NUMBERS_AT_MOST = 50_000_000
"""Trainable parameters of a set, for the sake of memory."""


class VectorizeWarning(UserWarning):
    """Runs that were to be trained together were trained one by one."""


@dataclass(frozen=True, kw_only=True)
class _Size:
    """What of a network decides whether and how many runs are trained together."""

    trained: int
    convolutional: bool

    @property
    def pays(self) -> bool:
        # Convolutions with weights of their own for each run are slow on CPUs.
        return self.trained <= PAYS_UP_TO and not self.convolutional

    @property
    def most_runs(self) -> int:
        trained = max(1, self.trained)
        in_cache = max(SMALL_SET, NUMBERS_AT_ONCE // trained)
        return max(1, min(MOST_RUNS, in_cache, NUMBERS_AT_MOST // trained))


def sets_of(
    configs: Sequence[RunConfig], execution: Execution, vectorize: Vectorize
) -> list[list[RunConfig]]:
    """Sets of resolved configurations that are trained together.

    Args:
        configs: configurations of any problems.
        execution: where and how.
        vectorize: `auto`: what is known to be possible and to pay; `on`: what may be possible.
    """
    reasons = {config.id: obstacle(config, execution) for config in configs}
    if vectorize == "on":
        warn_of_separate_runs(sorted({reason for reason in reasons.values() if reason is not None}))
    sizes: dict[str, _Size | None] = {}
    sets = []
    for grid in grids_of([config for config in configs if reasons[config.id] is None]):
        least = LEAST_RUNS if vectorize == "auto" else 2
        if len(grid) * len(grid[0]) < least:
            continue
        problem = grid[0][0].problem
        if problem not in sizes:
            sizes[problem] = _size_of(grid[0][0])
        size = sizes[problem]
        if size is None or (vectorize == "auto" and not size.pays):
            continue
        parts = [[c for row in part for c in row] for part in split_grid(grid, size.most_runs)]
        sets += [part for part in parts if len(part) >= least]
    return sets


def _size_of(config: RunConfig) -> _Size | None:
    """Size of a network; None if it cannot be built, which its own run will report."""
    try:
        model = load_problem(config.problem).model_without_memory()
    except Exception:  # whatever a user's network raises
        return None
    return _Size(
        trained=sum(p.numel() for p in model.parameters() if p.requires_grad),
        convolutional=any(isinstance(m, nn.modules.conv._ConvNd) for m in model.modules()),
    )


def obstacle(config: RunConfig, execution: Execution) -> str | None:
    """Reason why a resolved configuration must be run separately, None without one.

    Reasons in the network are found when the runs begin.
    """
    if config.optimizer not in ELEMENTWISE:
        return f"{config.optimizer} is not one of {', '.join(ELEMENTWISE)}"
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
        return "it is resumed from its checkpoint"
    if choose_device(execution.device).type == "mps":
        return "MPS has no float64 for the means"
    return None


def grids_of(configs: Sequence[RunConfig]) -> list[Grid]:
    """Configurations as grids of seeds by settings that can be trained together.

    Settings of one optimizer with the same seeds share a grid; a single run is a grid, too.
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


def split_grid(grid: Grid, most: int) -> list[Grid]:
    """Grid in parts of at most `most` runs, seeds apart first."""
    rows = max(1, most // len(grid[0]))
    columns = min(len(grid[0]), most)
    return [
        [row[c : c + columns] for row in grid[r : r + rows]]
        for r in range(0, len(grid), rows)
        for c in range(0, len(grid[0]), columns)
    ]


def warn_of_separate_runs(reasons: Sequence[str]) -> None:
    """Warn of runs that were to be trained together."""
    for reason in reasons:
        warnings.warn(f"Trained one by one: {reason}", VectorizeWarning, stacklevel=4)
