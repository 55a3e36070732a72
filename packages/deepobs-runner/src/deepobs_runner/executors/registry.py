"""What makes the runs of a list: `local`, `ray`, `slurm`, or one of your own.

Each is a module of this package that defines `EXECUTOR`; docs/howto/extend.md shows how to add
another. Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from deepobs_runner.errors import UsageError
from deepobs_runner.extensions import Extensions, Requirement

if TYPE_CHECKING:
    from deepobs_runner.backend.distributed import ProcessGroup
    from deepobs_runner.config import Execution, RunConfig
    from deepobs_runner.executors.options import ExecutorOptions
    from deepobs_runner.runs.outcome import Outcome
    from deepobs_runner.runs.progress import Reporter


class Execute(Protocol):
    """Makes resolved runs and returns their outcomes, in order; see `run_all`."""

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
        make: returns what makes runs with these options, and refuses those that make no sense.
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
    besides=("options", "registry", "remote", "vectorized", "worker"),
)


def executor_of(options: ExecutorOptions, group: ProcessGroup | None = None) -> Execute:
    """Return the function that makes runs as the options say.

    Args:
        options: where runs are made.
        group: the processes that train every run together; None: this one.

    Raises:
        UsageError: the package it needs is not installed, an option makes no sense for it, or
            several processes would all hand their runs out.
    """
    kind = EXECUTORS.find(options.name)
    if group is not None and group.size > 1 and not kind.local:
        raise UsageError(
            f"--executor {options.name} hands runs out, but {group.size} processes make every run "
            "together. Leave --executor out, or torchrun."
        )
    return kind.make(options, group)
