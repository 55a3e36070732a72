"""Process groups: several processes train one model, each on its share of every batch.

`torchrun` starts them. The batch, its order and its augmentation parameters are those of one
process, and every process holds the same state of the run. Rank 0 alone reads and writes the folder
of results, and broadcasts its decisions.

Gradients are averaged by the closure, not by torch's `DistributedDataParallel`: an optimizer may
call the closure several times per step, ask for the value only, or differentiate the gradient once
more, and problems apply the model as they like, all of which DDP's hooks do not allow.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from deepobs_runner.backend.devices import choose_device
from deepobs_runner.config import Precision
from deepobs_runner.errors import FailedRunError, LostProcessError, RankZeroError, UsageError
from deepobs_runner.text import first_line

T = TypeVar("T")

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for its peers."""


@dataclass(frozen=True, kw_only=True)
class ProcessGroup:
    """A process group, as seen by one of its processes.

    Attributes:
        rank: rank of this process.
        size: number of processes.
        local_rank: number among the processes of this machine; it chooses the GPU.
        store: shared by the processes; None for a single process.
        task: what they work on, see `joined`.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    store: Any = None
    task: str = ""

    @property
    def is_rank_0(self) -> bool:
        """Whether this process reads and writes files, and prints."""
        return self.rank == 0

    def device(self, name: str, precision: Precision = "fp32") -> torch.device:
        """Device of this process; `auto` and `cuda` are the GPU of its local rank.

        Raises:
            UsageError: unknown or absent device, one without this precision, or one that
                processes cannot share.
        """
        device = choose_device(name, precision)
        if self.size == 1 or name == "cpu":
            return device
        if device.type == "mps" or device.index is not None:
            raise UsageError(
                f"The device is {name!r}, but {self.size} processes train together, each on its "
                "own. Use --device auto, cuda or cpu."
            )
        return choose_device(f"cuda:{self.local_rank}") if device.type == "cuda" else device

    def check(self, batch_size: int) -> None:
        """Refuse a batch size that the number of processes does not divide.

        Raises:
            UsageError: it leaves a remainder.
        """
        if batch_size % self.size:
            raise UsageError(
                f"batch_size is {batch_size}, which is not a multiple of {self.size} processes. "
                "Use a number of processes that divides it, or another --batch-size."
            )

    def average_(self, tensors: list[Tensor]) -> None:
        """Replace tensors, as many in every process, by their means over the processes."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
        with self._together():
            dist.all_reduce(flat)
        flat /= self.size
        pieces = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, piece in zip(tensors, pieces, strict=True):
            tensor.detach().copy_(piece.view_as(tensor))

    def differentiable_mean(self, tensor: Tensor) -> Tensor:
        """Mean over the processes; derivatives of any order are means, too."""
        mean: Tensor = _Mean.apply(tensor, self)
        return mean

    def weighted_mean(self, values: Mapping[str, float], weight: int) -> dict[str, float]:
        """Means of values over the processes, with weights, in float64."""
        if self.size == 1:
            return dict(values)
        sums = torch.tensor([*values.values(), 1.0], dtype=torch.float64) * weight
        with self._together():
            dist.all_reduce(sums)
        means = (sums[:-1] / sums[-1]).tolist()
        return dict(zip(values, means, strict=True))

    def from_rank_0(self, function: Callable[[], T]) -> T:
        """Value of the function on rank 0, which alone calls it.

        An exception on rank 0 ends the other processes, too.

        Raises:
            RankZeroError: on the other ranks, if the function raised an exception on rank 0.
            KeyboardInterrupt: rank 0 was interrupted.
        """
        if self.size == 1:
            return function()
        if not self.is_rank_0:
            kind, value = self._broadcast(None)
            if kind == "interrupted":
                raise KeyboardInterrupt
            if kind == "failed":
                raise RankZeroError(f"Rank 0 ended the run: {value}")
            result: T = value
            return result
        try:
            result = function()
        except BaseException as error:
            kind = "failed" if isinstance(error, Exception) else "interrupted"
            with suppress(LostProcessError):  # the first error is the one to be raised
                self._broadcast((kind, str(error)))
            raise
        self._broadcast(("value", result))
        return result

    def _broadcast(self, message: Any) -> Any:
        box = [message]
        with self._together():
            dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def broadcast_model(self, model: nn.Module) -> None:
        """Copy the parameters and buffers of rank 0."""
        if self.size == 1:
            return
        with self._together():
            for tensor in (*model.parameters(), *model.buffers()):
                values = tensor.detach().contiguous()
                dist.broadcast(values, src=0)
                tensor.detach().copy_(values)

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Translate errors of a collective operation.

        Raises:
            FailedRunError: another process failed; the message explains it.
            RuntimeError: another process failed; the message is its traceback.
            LostProcessError: another process was lost, or did not arrive in time.
        """
        try:
            yield
        except RuntimeError as error:
            if self.store is not None and self.store.check([f"{self.task}/failure"]):
                failure = json.loads(self.store.get(f"{self.task}/failure"))
                kind = FailedRunError if failure["explained"] else RuntimeError
                raise kind(failure["text"]) from None
            raise LostProcessError(
                f"Process {self.rank} of {self.size} lost a peer, or timed out after "
                f"{TIMEOUT.total_seconds():.0f} s ({first_line(error)}). Completed epochs are "
                "stored. Continue with --resume."
            ) from error


SINGLE_PROCESS = ProcessGroup()


class _Mean(torch.autograd.Function):
    """The mean over the processes of a tensor; the gradient of a mean is the mean of gradients."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: ProcessGroup) -> Tensor:
        ctx.group = group
        mean = tensor.detach().clone()
        group.average_([mean])
        return mean

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.group.differentiable_mean(gradients[0]), None


def torchrun_group(environment: Mapping[str, str] = os.environ) -> ProcessGroup:
    """Group that `torchrun` started; `SINGLE_PROCESS` without `torchrun`.

    Raises:
        UsageError: there are several processes, but not the variables by which they find each
            other.
    """
    size = environment.get("WORLD_SIZE", "1")
    if size == "1":
        return SINGLE_PROCESS
    missing = {"RANK", "MASTER_ADDR", "MASTER_PORT"} - set(environment)
    if missing:
        raise UsageError(
            f"WORLD_SIZE is {size}, but {', '.join(sorted(missing))} is not set. Start several "
            'processes with "torchrun --nproc-per-node N -m deepobs_runner.cli run ...", or unset '
            "WORLD_SIZE."
        )
    rank = int(environment["RANK"])
    store, _, _ = next(dist.rendezvous("env://", rank, int(size)))  # type: ignore[attr-defined]
    local_rank = int(environment.get("LOCAL_RANK", rank))
    return ProcessGroup(rank=rank, size=int(size), local_rank=local_rank, store=store)


@contextmanager
def joined(group: ProcessGroup, task: str, device: torch.device) -> Iterator[ProcessGroup]:
    """Connect the processes for a task; a failure in one ends the task in all.

    Every process must call this. Control goes through gloo, tensors on a GPU through NCCL.

    Args:
        group: not yet connected.
        task: its name, the same in every process.
        device: that this process computes on.

    Yields:
        The group, connected.

    Raises:
        LostProcessError: another process does not arrive.
    """
    if group.size == 1 or group.store is None:
        yield group
        return
    number = group.store.add(f"{task}/{group.rank}", 1)  # a task may be tried again
    connected = replace(group, task=f"{task}/{number}")
    with connected._together():
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            store=dist.PrefixStore(connected.task, group.store),  # type: ignore[attr-defined]
            rank=group.rank,
            world_size=group.size,
            timeout=TIMEOUT,
        )
        # A process that left at once would disconnect those that are still connecting.
        group.store.set(f"{connected.task}/here/{group.rank}", "")
        group.store.wait([f"{connected.task}/here/{rank}" for rank in range(group.size)], TIMEOUT)
    try:
        yield connected
    except LostProcessError:
        raise
    except Exception as error:
        explained = isinstance(error, UsageError)
        text = str(error) if explained else traceback.format_exc()
        failure = {
            "explained": explained,
            "text": f"Process {group.rank} of {group.size} failed.\n{text}",
        }
        with suppress(RuntimeError):
            group.store.compare_set(f"{connected.task}/failure", "", json.dumps(failure))
        raise
    finally:
        _leave()


def _leave() -> None:
    """Close the connections; waiting processes get an error.

    In torch 2.6 the destructor of a process group keeps the interpreter's lock while it waits
    for gloo's threads, which may need it to free a tensor (pytorch/pytorch#154976): a deadlock.
    The destructor of the backend releases the lock, so the backend is kept until the group is gone.
    """
    backend = dist.group.WORLD._get_backend(torch.device("cpu"))  # type: ignore[union-attr]
    dist.destroy_process_group()
    del backend
