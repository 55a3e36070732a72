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
        return Order(self.rows[:count], None if self.draws is None else self.draws[:count])

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

    Raises:
        UsageError: if the training split has less than one batch.
    """
    size = len(dataset.train)
    check_batch_size(size, batch_size)
    whole = whole_batches(size, batch_size)
    stream = generator(seed, "data", 1 if recipe == "2019" else epoch)
    if dataset.order == "stateful":
        rows = stateful_order(size, batch_size)
    else:
        rows = torch.randperm(size, generator=stream)[:whole]
    draws = dataset.augment.draw(len(rows), stream) if dataset.augment is not None else None
    return Order(rows, draws)


def check_batch_size(size: int, batch_size: int) -> None:
    """Refuse a batch that is larger than the training split.

    Raises:
        UsageError: the training split has less than one batch.
    """
    if batch_size > size:
        raise UsageError(f"batch_size is {batch_size}, but the training split has {size} examples.")


def whole_batches(size: int, batch_size: int) -> int:
    """Return how many of `size` examples fill whole batches."""
    return size // batch_size * batch_size
