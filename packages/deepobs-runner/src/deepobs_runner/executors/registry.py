"""Executors of many runs: `local`, `ray`, `slurm`, or your own.

Each is a module of this package that defines `EXECUTOR`; docs/howto/extend.md shows how to add
another. Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol

from deepobs_runner.config import VECTORIZE, Vectorize
from deepobs_runner.errors import UsageError
from deepobs_runner.extensions import Extensions, Requirement

if TYPE_CHECKING:
    from deepobs_runner.backend.distributed import ProcessGroup
    from deepobs_runner.config import Execution, RunConfig
    from deepobs_runner.runs.outcome import Outcome
    from deepobs_runner.runs.progress import Reporter


RETRIES = 3
"""How often a lost run is resumed."""


class Execute(Protocol):
    """Executes resolved runs and returns their outcomes, in order; see `run_all`."""

    def __call__(
        self,
        configs: Sequence[RunConfig],
        execution: Execution | None = None,
        *,
        force: bool = False,
        reporter: Reporter | None = None,
    ) -> list[Outcome]:
        """Run resolved configurations."""


@dataclass(frozen=True, kw_only=True)
class ExecutorKind:
    """An executor.

    Attributes:
        make: returns the executor function for these options, or raises a UsageError.
        options: the fields of `ExecutorOptions` that it uses.
        requires: the package it needs.
        local: it runs on this machine, so that times measured here predict its own.
    """

    make: Callable[[ExecutorOptions, ProcessGroup | None], Execute]
    options: tuple[str, ...] = ()
    requires: Requirement | None = None
    local: bool = False


EXECUTORS: Extensions[ExecutorKind] = Extensions(
    "executor",
    "deepobs_runner.executors",
    lambda found: isinstance(found, ExecutorKind),
    besides=("registry", "remote", "worker"),
)


@dataclass(frozen=True, kw_only=True)
class ExecutorOptions:
    """Options of executors; each executor uses some of them, see `ExecutorKind`.

    Attributes:
        name: name of the executor.
        jobs: `local`: number of worker processes.
        vectorize: `local`: which runs are trained together, see `run_all`.
        cpus_per_run: `ray`, `slurm`: cores, and threads, of a run; None: 1.
        gpus_per_run: `ray`, `slurm`: GPUs of a run, for Ray also a part of one; None: not given.
        retries: `ray`, `slurm`: how often to resume a run after a lost worker or a job's time
            limit; None: 3.
        address: `ray`: of the cluster; None: `RAY_ADDRESS`, else a Ray of this machine alone that
            ends with the runs.
        slurm: `slurm`: options of submitit and sbatch, see `executors.slurm`.
    """

    name: str = "local"
    jobs: int = 1
    vectorize: Vectorize = "off"
    cpus_per_run: int | None = None
    gpus_per_run: float | None = None
    retries: int | None = None
    address: str | None = None
    slurm: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.vectorize not in VECTORIZE:
            raise UsageError(f"vectorize is {self.vectorize!r}; allowed: {', '.join(VECTORIZE)}.")
        self._check_that_each_has_an_effect()
        for option, least in (("jobs", 1), ("cpus_per_run", 1), ("retries", 0)):
            value = getattr(self, option)
            if value is not None and value < least:
                raise UsageError(f"{_flag(option)} is {value}; it must be at least {least}.")
        gpus = self.gpus_per_run
        if gpus is not None and not (0 <= gpus < 1 or (float(gpus).is_integer() and gpus > 0)):
            raise UsageError(
                f"--gpus-per-run is {gpus:g}; it must be a fraction such as 0.5, or a whole "
                "number >= 0."
            )

    def _check_that_each_has_an_effect(self) -> None:
        used = EXECUTORS.load(self.name).options
        defaults: dict[str, Any] = {**{f.name: f.default for f in fields(self)}, "slurm": {}}
        for option, default in defaults.items():
            value = getattr(self, option)
            if option in ("name", *used) or value == default:
                continue
            users = [name for name, kind in EXECUTORS.all().items() if option in kind.options]
            raise UsageError(
                f"{_flag(option)} has no effect on --executor {self.name}. Remove it, or use "
                "--executor "
                f"{' or '.join(users)}."
            )

    @property
    def local(self) -> bool:
        """Whether runs are executed on this machine."""
        return EXECUTORS.load(self.name).local

    @property
    def threads(self) -> int:
        """Number of threads of a run on a node of a cluster."""
        return self.cpus_per_run or 1

    @property
    def max_retries(self) -> int:
        """How often a lost run is resumed."""
        return RETRIES if self.retries is None else self.retries


def executor_of(options: ExecutorOptions, group: ProcessGroup | None = None) -> Execute:
    """Executor function for the options.

    Args:
        options: where runs are made.
        group: the process group of every run; None: this process.

    Raises:
        UsageError: the package it needs is not installed, an option does not fit it, or several
            processes would all hand their runs out.
    """
    kind = EXECUTORS.find(options.name)
    if group is not None and group.size > 1 and not kind.local:
        raise UsageError(
            f"--executor {options.name} distributes runs, but {group.size} processes share "
            "every run. Use either --executor or torchrun."
        )
    return kind.make(options, group)


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"
