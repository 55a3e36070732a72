"""Several processes that train one model together, each on its share of every batch.

`torchrun` starts them. The batch, its order and its draws are those of one process; every process
has the whole state of the run, and the same. Only the first one touches the folder of results; what
it decides the others are told.

Gradients are averaged by the closure, not by torch's `DistributedDataParallel`: an optimizer may
call the closure several times a step, ask for the value alone, or differentiate the gradient once
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
from deepobs_runner.errors import FailedRunError, LostProcessError, ToldError, UsageError
from deepobs_runner.text import first_line

T = TypeVar("T")

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others before it gives up."""


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """The place of this process among those that train together.

    Attributes:
        rank: 0 is the first, which writes and prints.
        size: number of processes.
        local_rank: number among those of this machine, which chooses the GPU.
        store: where they leave word for each other; None for a process alone.
        task: what they are at, see `joined`.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    store: Any = None
    task: str = ""

    @property
    def first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def device(self, name: str, precision: Precision = "fp32") -> torch.device:
        """Return the device of this process; `auto` and `cuda` are the GPU of its local rank.

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
        """Refuse a batch that cannot be divided.

        Raises:
            UsageError: the number of processes does not divide it.
        """
        if batch_size % self.size:
            raise UsageError(
                f"batch_size is {batch_size}, which {self.size} processes cannot divide evenly. "
                "Choose a number of processes that divides it, or another --batch-size."
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
        """Return the mean over the processes; derivatives of any order are means, too."""
        mean: Tensor = _Mean.apply(tensor, self)
        return mean

    def weighted_mean(self, values: Mapping[str, float], weight: int) -> dict[str, float]:
        """Return the means of values over the processes, with weights, in float64."""
        if self.size == 1:
            return dict(values)
        sums = torch.tensor([*values.values(), 1.0], dtype=torch.float64) * weight
        with self._together():
            dist.all_reduce(sums)
        means = (sums[:-1] / sums[-1]).tolist()
        return dict(zip(values, means, strict=True))

    def from_first(self, function: Callable[[], T]) -> T:
        """Return what the function returns in the first process, which alone calls it.

        An exception there ends the others, too.

        Raises:
            ToldError: in the others, if it raised an exception in the first.
            KeyboardInterrupt: the first process was interrupted.
        """
        if self.size == 1:
            return function()
        if not self.first:
            kind, value = self._broadcast(None)
            if kind == "interrupted":
                raise KeyboardInterrupt
            if kind == "failed":
                raise ToldError(f"The first process ended the run: {value}")
            told: T = value
            return told
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

    def copy_first(self, model: nn.Module) -> None:
        """Take over parameters and buffers of the first process."""
        if self.size == 1:
            return
        with self._together():
            for tensor in (*model.parameters(), *model.buffers()):
                values = tensor.detach().contiguous()
                dist.broadcast(values, src=0)
                tensor.detach().copy_(values)

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Surround what all processes do at once.

        Raises:
            FailedRunError: another process failed, for a reason that a sentence says.
            RuntimeError: it failed otherwise; its traceback is the message.
            LostProcessError: another process is gone, or did not come in time.
        """
        try:
            yield
        except RuntimeError as error:
            if self.store is not None and self.store.check([f"{self.task}/failure"]):
                failure = json.loads(self.store.get(f"{self.task}/failure"))
                kind = FailedRunError if failure["explained"] else RuntimeError
                raise kind(failure["text"]) from None
            raise LostProcessError(
                f"Process {self.rank} of {self.size} lost another one, or waited in vain for "
                f"{TIMEOUT.total_seconds():.0f} s ({first_line(error)}). Every epoch "
                "that was completed is stored; --resume goes on."
            ) from error


ALONE = Ranks()


class _Mean(torch.autograd.Function):
    """The mean over the processes of a tensor; the gradient of a mean is the mean of gradients."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        mean = tensor.detach().clone()
        ranks.average_([mean])
        return mean

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.ranks.differentiable_mean(gradients[0]), None


def launched(environment: Mapping[str, str] = os.environ) -> Ranks:
    """Return the place that `torchrun` gave this process; `ALONE` if it was started otherwise.

    Raises:
        UsageError: there are several processes, and it is not said how they find each other.
    """
    size = environment.get("WORLD_SIZE", "1")
    if size == "1":
        return ALONE
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
    return Ranks(rank=rank, size=int(size), local_rank=local_rank, store=store)


@contextmanager
def joined(ranks: Ranks, task: str, device: torch.device) -> Iterator[Ranks]:
    """Let the processes work together on a task; a failure in one ends it in all.

    All must come. Control goes through gloo, tensors on a GPU through NCCL.

    Args:
        ranks: of this process.
        task: its name; the same in every process.
        device: what this process computes on.

    Yields:
        The ranks, able to communicate.

    Raises:
        LostProcessError: another process does not come.
    """
    if ranks.size == 1 or ranks.store is None:
        yield ranks
        return
    number = ranks.store.add(f"{task}/{ranks.rank}", 1)  # a task may be tried again
    at_work = replace(ranks, task=f"{task}/{number}")
    with at_work._together():
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            store=dist.PrefixStore(at_work.task, ranks.store),  # type: ignore[attr-defined]
            rank=ranks.rank,
            world_size=ranks.size,
            timeout=TIMEOUT,
        )
        # Whoever left at once would cut off those that are still connecting.
        ranks.store.set(f"{at_work.task}/here/{ranks.rank}", "")
        ranks.store.wait([f"{at_work.task}/here/{rank}" for rank in range(ranks.size)], TIMEOUT)
    try:
        yield at_work
    except LostProcessError:
        raise
    except Exception as error:
        explained = isinstance(error, UsageError)
        text = str(error) if explained else traceback.format_exc()
        failure = {
            "explained": explained,
            "text": f"Process {ranks.rank} of {ranks.size} failed.\n{text}",
        }
        with suppress(RuntimeError):
            ranks.store.compare_set(f"{at_work.task}/failure", "", json.dumps(failure))
        raise
    finally:
        _leave()


def _leave() -> None:
    """Close the connections; whoever waits for this process notices.

    In torch 2.6 the destructor of a process group keeps the interpreter's lock while it waits
    for gloo's threads, which may need it to free a tensor (pytorch/pytorch#154976): a deadlock.
    That of the backend lets go of the lock, so the backend is kept until the group is gone.
    """
    backend = dist.group.WORLD._get_backend(torch.device("cpu"))  # type: ignore[union-attr]
    dist.destroy_process_group()
    del backend
