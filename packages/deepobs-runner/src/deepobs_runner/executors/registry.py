"""From options to the function that makes the runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import Protocol

from deepobs_runner.backend.distributed import ALONE, Ranks
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.executors.local import run_all
from deepobs_runner.executors.options import ExecutorOptions
from deepobs_runner.runs.outcome import Outcome
from deepobs_runner.runs.progress import Reporter

NEEDS = {"ray": ("ray", "ray"), "slurm": ("submitit", "slurm")}
"""Module and extra of the executors that need one."""


class Execute(Protocol):
    """Makes resolved runs and returns what became of each, in order; see `run_all`."""

    def __call__(
        self,
        configs: Sequence[RunConfig],
        execution: Execution | None = None,
        *,
        force: bool = False,
        reporter: Reporter | None = None,
    ) -> list[Outcome]:
        """Run resolved configurations."""


def executor_of(options: ExecutorOptions, ranks: Ranks = ALONE) -> Execute:
    """Return the function that makes runs as the options say.

    Args:
        options: where runs are made.
        ranks: the processes that make every run together.

    Raises:
        UsageError: the extra it needs is not installed, or SLURM's options make no sense, or
            several processes would all hand their runs out.
    """
    if ranks.size > 1 and options.name != "local":
        raise UsageError(
            f"--executor {options.name} hands runs out, but {ranks.size} processes make every run "
            "together. Leave --executor out, or torchrun."
        )
    module, extra = NEEDS.get(options.name, (None, None))
    if module is not None and find_spec(module) is None:
        raise UsageError(
            f"--executor {options.name} needs {module}, which is not installed: "
            f'pip install "deepobs-runner[{extra}]".'
        )
    if options.name == "ray":
        from deepobs_runner.executors.ray import run_on_ray

        return partial(run_on_ray, options=options)
    if options.name == "slurm":
        from deepobs_runner.executors.slurm import run_on_slurm, submitit_parameters

        submitit_parameters(options)  # refused here, before anything is trained
        return partial(run_on_slurm, options=options)
    return partial(run_all, jobs=options.jobs, vectorize=options.vectorize, ranks=ranks)
