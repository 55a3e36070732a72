"""What a run trains on: its data set, and the rows, order and augmentation of each epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from deepobs_data import Batch, Dataset, stateful_order
from deepobs_problems import Problem
from deepobs_problems.evaluation import prepare
from deepobs_runner.backend.backend import Backend
from deepobs_runner.config import Execution, Recipe, RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.seeds import generator, global_stream


class Order(NamedTuple):
    """Row numbers `(N,)` and augmentation draws `(N, k)`, row i of which belongs to `rows[i]`."""

    rows: Tensor
    draws: Tensor | None

    def first(self, count: int) -> Order:
        """First `count` rows."""
        return self.part(slice(count))

    def part(self, where: slice) -> Order:
        """Some rows and their draws."""
        return Order(self.rows[where], None if self.draws is None else self.draws[where])

    def share(self, rank: int, size: int, batch_size: int) -> Order:
        """Part of one of `size` processes: a contiguous share of the rows of each batch.

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
    """Order of a training epoch, counted from 1; whole batches only.

    The `standard` recipe has a fresh order and fresh draws in every epoch. The `2019` recipe
    repeats those of the first: a TensorFlow 1 data set with a graph-level seed restarts the same
    stream at every re-initialisation, and all official runs were made so.

    An epoch of several passes reshuffles for each pass; an epoch of a part of a pass continues the
    epoch before. A batch of all rows has them in the order of the split.

    Raises:
        UsageError: if the training split has less than one batch.
    """
    check_batch_size(dataset, batch_size)
    parts = dataset.epochs_per_pass
    number, part = divmod(epoch - 1, parts)
    stream = generator(seed, "data", 1 if recipe == "2019" else number + 1)
    if is_full_batch(dataset, batch_size):
        rows = torch.arange(batch_size).repeat(dataset.passes_per_epoch)
    else:
        passes = [_pass(dataset, batch_size, stream) for _ in range(dataset.passes_per_epoch)]
        rows = torch.cat(passes)
    draws = dataset.augment.draw(len(rows), stream) if dataset.augment is not None else None
    order = Order(rows, draws)
    if parts == 1:
        return order
    length = dataset.steps_per_epoch(batch_size) * batch_size
    return order.part(slice(part * length, (part + 1) * length))


def _pass(dataset: Dataset, batch_size: int, stream: torch.Generator) -> Tensor:
    """Rows of one pass over the training split."""
    size = len(dataset.train)
    if dataset.order == "stateful":
        return stateful_order(size, batch_size)
    return torch.randperm(size, generator=stream)[: whole_batches(size, batch_size)]


def is_full_batch(dataset: Dataset, batch_size: int) -> bool:
    """Whether all steps have the same batch: the whole training split, where that is the point."""
    fixed = dataset.passes_per_epoch > 1 and dataset.augment is None
    return fixed and batch_size == len(dataset.train)


class FullBatch:
    """The batch of every step where that is the whole training split: gathered once.

    A network that changes it in place gets a fresh one at the next step.
    """

    def __init__(self) -> None:
        self._batch: Batch | None = None
        self._versions: tuple[int, ...] = ()

    def repeated(self, gather: Callable[[], Batch], steps: int) -> Iterator[Batch]:
        """Yield the batch this many times."""
        for _ in range(steps):
            if self._batch is None or _versions(self._batch) != self._versions:
                self._batch = gather()
                self._versions = _versions(self._batch)
            yield self._batch


def _versions(batch: Batch) -> tuple[int, ...]:
    """Counts, by torch, of the changes in place of each tensor."""
    return tuple(part._version for part in batch)


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
        f"batch_size is {batch_size}, but the training split has {size} examples{part}. "
        "Choose a smaller --batch-size."
    )


def whole_batches(size: int, batch_size: int) -> int:
    """Number of examples, out of `size`, that fill whole batches."""
    return size // batch_size * batch_size


def load_data(problem: Problem, config: RunConfig, execution: Execution) -> Dataset:
    """Data set a configuration trains on.

    Raises:
        UsageError: stand-in data is wanted and the problem has none.
    """
    source = problem.data if config.data == "real" else problem.stand_in
    if source is None:
        raise UsageError(
            f"{problem.name} has no stand-in data; give its Problem a stand_in, or use data=real."
        )
    try:
        with global_stream("dataset", problem.name):  # one data set for all seeds
            return source(execution.data_dir, valid_size=config.valid_size, recipe=config.recipe)
    except ValueError as error:  # a valid_size that leaves nothing to train on
        raise UsageError(f"{problem.name}: {error}") from error


class TrainingData:
    """The batches that a run trains on.

    Args:
        problem: defines the order of its examples.
        dataset: data set on the device of the model.
        config: resolved.
        backend: its processes share every batch.

    Attributes:
        batch_size: batch size of all processes together.
        steps_per_epoch: steps of a whole epoch.

    Raises:
        UsageError: a batch larger than the training split, or one that processes cannot divide.
    """

    def __init__(
        self, problem: Problem, dataset: Dataset, config: RunConfig, backend: Backend
    ) -> None:
        self.batch_size = config.batch_size or problem.defaults.batch_size
        backend.group.check(self.batch_size)
        check_batch_size(dataset, self.batch_size)
        self.steps_per_epoch = dataset.steps_per_epoch(self.batch_size)
        self._problem, self._dataset = problem, dataset
        self._config, self._backend = config, backend
        self._full_batch = FullBatch()

    def order(self, epoch: int, steps: int) -> Order:
        """Rows and draws of an epoch, up to the limit of steps.

        Args:
            epoch: counted from 1.
            steps: taken before it.
        """
        config = self._config
        order = training_order(
            self._dataset, self.batch_size, seed=config.seed, epoch=epoch, recipe=config.recipe
        )
        return (
            order if config.steps is None else order.first((config.steps - steps) * self.batch_size)
        )

    def batches(self, order: Order) -> Iterator[Batch]:
        """Yield this process's share of the batches, as the model takes them."""
        if is_full_batch(self._dataset, self.batch_size):
            one = order.first(self.batch_size)
            steps = len(order.rows) // self.batch_size
            return self._full_batch.repeated(lambda: next(self._gather(one)), steps)
        return self._gather(order)

    def _gather(self, order: Order) -> Iterator[Batch]:
        group, device, dtype = self._backend.group, self._backend.device, self._backend.dtype
        mine = order.share(group.rank, group.size, self.batch_size)
        batches = self._dataset.train.batches(
            mine.rows, self.batch_size // group.size, draws=mine.draws, device=device
        )
        return (prepare(self._problem, batch, dtype) for batch in batches)
