"""Backend of a run: device, precision, compilation and process group."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import torch

from deepobs_runner.backend.cuda_graphs import check_graphs
from deepobs_runner.backend.distributed import SINGLE_PROCESS, ProcessGroup, joined
from deepobs_runner.backend.precision import LossScale, autocast_dtype, compute_dtype, numerics
from deepobs_runner.config import Execution, Precision
from deepobs_runner.errors import UsageError

Context = Callable[[], AbstractContextManager[object]]

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Device, precision, compilation and process group of a run; see `make_backend`.

    Attributes:
        device: that computes.
        precision: precision of the model's arithmetic.
        deterministic: ask torch for deterministic algorithms where it has them.
        compile: compile forward pass and objective of training.
        cuda_graphs: capture forward and backward pass of training in CUDA graphs.
        create_graph: keep the graph of every gradient, for optimizers that differentiate it again.
        group: the process group that shares every batch.
    """

    device: torch.device = CPU
    precision: Precision = "fp32"
    deterministic: bool = True
    compile: bool = False
    cuda_graphs: bool = False
    create_graph: bool = False
    group: ProcessGroup = SINGLE_PROCESS

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of parameters and inputs."""
        return compute_dtype(self.precision)

    @property
    def prepares(self) -> bool:
        """Whether training steps are compiled or captured before the first step."""
        return self.compile or self.cuda_graphs

    def numerics(self) -> AbstractContextManager[None]:
        """Set torch's global arithmetic switches, and put them back."""
        return numerics(self.precision, self.deterministic)

    @property
    def autocast(self) -> Context:
        """The context of a forward pass."""
        low = autocast_dtype(self.precision)
        return nullcontext if low is None else partial(torch.autocast, self.device.type, dtype=low)

    def loss_scale(self) -> LossScale | None:
        """New loss scale in fp16, else None."""
        return LossScale() if self.precision == "fp16" else None

    @contextmanager
    def connected(self, task: str) -> Iterator[Backend]:
        """Connect the processes for a task, see `joined`; yield the backend that computes there."""
        with joined(self.group, task, self.device) as group:
            yield replace(self, group=group)


def make_backend(
    execution: Execution | None = None,
    precision: Precision = "fp32",
    group: ProcessGroup = SINGLE_PROCESS,
) -> Backend:
    """Make the backend of an execution.

    Raises:
        UsageError: unknown or absent device, or one that lacks this precision; compilation or CUDA
            graphs where they are impossible.
    """
    execution = execution or Execution()
    device = group.device(execution.device, precision)
    if group.size > 1 and execution.compile:
        raise UsageError(
            "Compiled training by several processes is not supported. Remove --compile, or "
            "train on one device."
        )
    if execution.cuda_graphs:
        check_graphs(device, precision, group.size)
    return Backend(
        device=device,
        precision=precision,
        deterministic=execution.deterministic,
        compile=execution.compile,
        cuda_graphs=execution.cuda_graphs,
        create_graph=execution.create_graph,
        group=group,
    )
