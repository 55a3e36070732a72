"""Which of many runs are trained together, in sets that fit into one process."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from deepobs_problems import load_problem
from deepobs_runner.config import Execution, RunConfig, Vectorize
from deepobs_runner.executors.vectorized.run import cut, grids_of, run_vectorized, why_not
from deepobs_runner.results.labels import label_run
from deepobs_runner.runs.outcome import Outcome
from deepobs_runner.runs.progress import Reporter, evaluations_of, pass_on
from deepobs_runner.seeds import global_stream
from deepobs_runner.training.record import Record

PAYS_UP_TO = 10_000
"""Trained numbers of a network up to which `auto` trains runs together. Of the catalog, these are
the synthetic problems and the logistic regressions; benchmarks/LOG.md holds the measurements."""

LEAST_RUNS = 4
"""Runs in a set from which `auto` trains them together."""

MOST_RUNS = 400
"""Runs in a set: each holds an open lock file."""

NUMBERS_AT_ONCE = 4_000
"""Trained numbers of a set beyond `SMALL_SET` runs: the values of a step should stay in cache."""

SMALL_SET = 32

NUMBERS_AT_MOST = 50_000_000
"""Trained numbers of a set, for the sake of memory."""


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


def _size_of(config: RunConfig) -> _Size:
    with global_stream(config.seed, "init"):
        model = load_problem(config.problem).model()
    return _Size(
        trained=sum(p.numel() for p in model.parameters() if p.requires_grad),
        convolutional=any(isinstance(m, nn.modules.conv._ConvNd) for m in model.modules()),
    )


def sets_of(
    configs: Sequence[RunConfig], execution: Execution, vectorize: Vectorize
) -> list[list[RunConfig]]:
    """Return the sets of resolved configurations that are trained together.

    Args:
        configs: of any problems.
        execution: where and how.
        vectorize: `auto`: what is known to be possible and to pay; `on`: what may be possible.
    """
    reasons = {config.id: why_not(config, execution) for config in configs}
    if vectorize == "on":
        _warn_of(sorted({reason for reason in reasons.values() if reason is not None}))
    sizes: dict[str, _Size | None] = {}
    sets = []
    for grid in grids_of([config for config in configs if reasons[config.id] is None]):
        least = LEAST_RUNS if vectorize == "auto" else 2
        if len(grid) * len(grid[0]) < least:
            continue
        problem = grid[0][0].problem
        if problem not in sizes:
            sizes[problem] = _size_or_none(grid[0][0])
        size = sizes[problem]
        if size is None or (vectorize == "auto" and not size.pays):
            continue
        parts = [[c for row in part for c in row] for part in cut(grid, size.most_runs)]
        sets += [part for part in parts if len(part) >= least]
    return sets


def _size_or_none(config: RunConfig) -> _Size | None:
    try:
        return _size_of(config)
    except Exception:  # a user's network; its own run tells the whole story
        return None


def run_together(
    configs: Sequence[RunConfig],
    execution: Execution,
    *,
    vectorize: Vectorize,
    force: bool,
    reporter: Reporter,
) -> dict[str, Outcome]:
    """Run those resolved configurations together with which that is to be done.

    Returns:
        Their outcomes by id. What is missing has to be run by itself: it cannot be trained with
        others, or another process is at it.
    """
    outcomes: dict[str, Outcome] = {}

    def record(config: RunConfig, record: Record) -> None:
        pass_on(reporter, config.id, record)

    for members in sets_of(configs, execution, vectorize):
        for config in members:
            reporter.start(config.id, label_run(config), evaluations_of(config))
        try:
            found = run_vectorized(members, execution, on_record=record, force=force)
            outcomes |= {o.config.id: o for o in found if o.status != "locked"}
        except Exception as error:  # nothing was trained; each run says by itself what is wrong
            if vectorize == "on":
                _warn_of([str(error)])
        finally:
            for config in members:
                reporter.finish(config.id)
    return outcomes


def _warn_of(reasons: Sequence[str]) -> None:
    for reason in reasons:
        warnings.warn(f"Trained one by one: {reason}", VectorizeWarning, stacklevel=4)
