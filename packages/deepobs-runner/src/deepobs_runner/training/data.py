"""Which rows an epoch trains on, in which order, with which augmentation draws."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from deepobs_data import Dataset, stateful_order
from deepobs_runner.config import Recipe
from deepobs_runner.errors import UsageError
from deepobs_runner.seeds import generator


class Order(NamedTuple):
    """Row numbers `(N,)` and augmentation draws `(N, k)`, row i of which belongs to `rows[i]`."""

    rows: Tensor
    draws: Tensor | None

    def first(self, count: int) -> Order:
        """Return the first `count` rows."""
        return self.part(slice(count))

    def part(self, where: slice) -> Order:
        """Return some rows and their draws."""
        return Order(self.rows[where], None if self.draws is None else self.draws[where])

    def share(self, rank: int, size: int, batch_size: int) -> Order:
        """Return what one of `size` processes gets: a contiguous share of the rows of each batch.

        >>> Order(torch.arange(8), None).share(1, 2, 4).rows
        tensor([2, 3, 6, 7])
        """

        def part(tensor: Tensor) -> Tensor:
            return _share(tensor, rank, size, batch_size)

        return Order(part(self.rows), None if self.draws is None else part(self.draws))


def _share(part: Tensor, rank: int, size: int, batch_size: int) -> Tensor:
    batches = part.view(-1, batch_size, *part.shape[1:])
    return batches.tensor_split(size, dim=1)[rank].reshape(-1, *part.shape[1:])


def training_order(
    dataset: Dataset, batch_size: int, *, seed: int, epoch: int, recipe: Recipe
) -> Order:
    """Return the order of a training epoch, counted from 1; whole batches only.

    The `standard` recipe has a fresh order and fresh draws in every epoch. The `2019` recipe
    repeats those of the first: a TensorFlow 1 data set with a graph-level seed restarts the same
    stream at every re-initialisation, and all official runs were made so.

    An epoch of several passes over the split orders each anew; one that is a part of a pass goes on
    where the epoch before ended. A batch of all rows has them in the order of the split.

    Raises:
        UsageError: if the training split has less than one batch.
    """
    check_batch_size(dataset, batch_size)
    parts = dataset.epochs_per_pass
    number, part = divmod(epoch - 1, parts)
    stream = generator(seed, "data", 1 if recipe == "2019" else number + 1)
    passes = [_pass(dataset, batch_size, stream) for _ in range(dataset.passes_per_epoch)]
    rows = torch.cat(passes)
    draws = dataset.augment.draw(len(rows), stream) if dataset.augment is not None else None
    order = Order(rows, draws)
    if parts == 1:
        return order
    length = dataset.steps_per_epoch(batch_size) * batch_size
    return order.part(slice(part * length, (part + 1) * length))


def _pass(dataset: Dataset, batch_size: int, stream: torch.Generator) -> Tensor:
    """Return the rows of one pass over the training split."""
    size = len(dataset.train)
    if dataset.order == "stateful":
        return stateful_order(size, batch_size)
    if is_full_batch(dataset, batch_size):
        return torch.arange(size)
    return torch.randperm(size, generator=stream)[: whole_batches(size, batch_size)]


def is_full_batch(dataset: Dataset, batch_size: int) -> bool:
    """Whether all steps have the same batch: the whole training split, where that is the point."""
    fixed = dataset.passes_per_epoch > 1 and dataset.augment is None
    return fixed and batch_size == len(dataset.train)


def check_batch_size(dataset: Dataset, batch_size: int) -> None:
    """Refuse a batch that is larger than what an epoch trains on.

    Raises:
        UsageError: the training split, or the part of it that is an epoch, has less than one batch.
    """
    if dataset.steps_per_epoch(batch_size):
        return
    size, parts = len(dataset.train), dataset.epochs_per_pass
    part = f" in {parts} parts, one per epoch" if parts > 1 else ""
    raise UsageError(
        f"batch_size is {batch_size}, but the training split has {size} examples{part}."
    )


def whole_batches(size: int, batch_size: int) -> int:
    """Return how many of `size` examples fill whole batches."""
    return size // batch_size * batch_size
