"""Which executor makes the runs, and what it may use; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from deepobs_runner.config import VECTORIZE, Vectorize
from deepobs_runner.errors import UsageError

ExecutorName = Literal["local", "ray", "slurm"]
EXECUTORS: tuple[str, ...] = get_args(ExecutorName)
RETRIES = 3


@dataclass(frozen=True, kw_only=True)
class ExecutorOptions:
    """Where runs are made.

    Attributes:
        name: of the executor.
        jobs: `local`: number of worker processes.
        vectorize: `local`: which runs are trained together, see `run_all`.
        cpus_per_run: `ray`, `slurm`: cores, and threads, of a run; None: 1.
        gpus_per_run: `ray`, `slurm`: GPUs of a run, for Ray also a part of one; None: not said.
        retries: `ray`, `slurm`: how often a run is taken up again whose worker was lost, or whose
            job reached its time limit; None: 3.
        address: `ray`: of the cluster; None: `RAY_ADDRESS`, else a Ray of this machine alone that
            ends with the runs.
        slurm: `slurm`: options of submitit and sbatch, see `slurm_options`.
    """

    name: ExecutorName = "local"
    jobs: int = 1
    vectorize: Vectorize = "off"
    cpus_per_run: int | None = None
    gpus_per_run: float | None = None
    retries: int | None = None
    address: str | None = None
    slurm: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in EXECUTORS:
            raise UsageError(f"executor is {self.name!r}; allowed: {', '.join(EXECUTORS)}.")
        if self.jobs < 1:
            raise UsageError(f"--jobs is {self.jobs}; it must be at least 1.")
        if self.vectorize not in VECTORIZE:
            raise UsageError(f"vectorize is {self.vectorize!r}; allowed: {', '.join(VECTORIZE)}.")
        self._check_that_each_belongs_here()
        if self.cpus_per_run is not None and self.cpus_per_run < 1:
            raise UsageError(f"--cpus-per-run is {self.cpus_per_run}; it must be at least 1.")
        if self.retries is not None and self.retries < 0:
            raise UsageError(f"--retries is {self.retries}; it must be at least 0.")
        gpus = self.gpus_per_run
        if gpus is not None and not (0 <= gpus < 1 or (float(gpus).is_integer() and gpus > 0)):
            raise UsageError(
                f"--gpus-per-run is {gpus:g}; it must be a part of one, such as 0.5, or a whole "
                "number >= 0."
            )
        if self.name == "slurm" and gpus is not None and not float(gpus).is_integer():
            raise UsageError(
                f"--gpus-per-run is {gpus:g}, but SLURM gives a job whole GPUs. Give a whole "
                "number, or share GPUs with --executor ray inside an allocation."
            )

    def _check_that_each_belongs_here(self) -> None:
        """Refuse options that the executor would leave without effect."""
        belongs = {
            "jobs": (self.jobs != 1, ("local",)),
            "vectorize": (self.vectorize == "on", ("local",)),  # auto chooses what has an effect
            "cpus-per-run": (self.cpus_per_run is not None, ("ray", "slurm")),
            "gpus-per-run": (self.gpus_per_run is not None, ("ray", "slurm")),
            "retries": (self.retries is not None, ("ray", "slurm")),
            "address": (self.address is not None, ("ray",)),
            "slurm": (bool(self.slurm), ("slurm",)),
        }
        for option, (given, executors) in belongs.items():
            if given and self.name not in executors:
                raise UsageError(
                    f"--{option} has no effect on --executor {self.name}; it belongs to "
                    f"{' and '.join(executors)}."
                )

    @property
    def threads(self) -> int:
        """How many threads a run uses on a node of a cluster."""
        return self.cpus_per_run or 1

    @property
    def attempts_again(self) -> int:
        """How often a lost run is taken up again."""
        return RETRIES if self.retries is None else self.retries
