"""Interfaces of batches, splits and augmentations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

Rows = Tensor | np.ndarray | Sequence[int]
"""Row numbers: a tensor, an array, a list or a range of whole numbers."""

Order = Literal["shuffled", "stateful"]
"""How training examples are read: in a random order, or a text so that batches continue it."""


class Batch(NamedTuple):
    """Some examples, stacked along the first axis."""

    x: Tensor  # (B, ...)
    y: Tensor  # (B, ...)


@runtime_checkable
class Augment(Protocol):
    """A random change of a batch, in two steps: draw the random numbers, then apply them."""

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw one row of uniform [0, 1) float32 numbers for each of n examples: (n, k), CPU."""
        ...

    def apply(self, x: Tensor, draws: Tensor) -> Tensor:
        """Change x (B, ...) according to draws (B, k). Pure, batched, on the device of `x`."""
        ...


@runtime_checkable
class Split(Protocol):
    """One part of a data set, addressed by row number; also a map-style `torch` data set."""

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def __getitem__(self, i: int) -> Batch:
        """Example `i` without the batch axis, not augmented."""
        ...

    def batches(
        self,
        order: Tensor,
        batch_size: int,
        *,
        draws: Tensor | None = None,
        device: torch.device | None = None,
    ) -> Iterator[Batch]:
        """Yield the rows named by `order` in batches.

        Args:
            order: (n,) int64 row numbers; any length, repeats allowed. The splits of this package
                also take arrays, lists and ranges.
            batch_size: Examples per batch; the last batch holds the rest and may be smaller, so
                `ceil(n / batch_size)` batches come. To drop it, cut `order`.
            draws: (n, k) random numbers of the augmentation; row i belongs to `order[i]`.
                Without them nothing is augmented.
            device: Where the batches shall lie. Default: where the split lies.

        Raises:
            ValueError: The arguments do not fit together; raised by the call, not by the first
                batch.
        """
        ...


def stateful_order(n: int, batch_size: int) -> Tensor:
    """Order of `n` consecutive windows of a text such that each batch continues the one before.

    Row b of batch k is window `b * (n // batch_size) + k`, as in DeepOBS 1.1.2,
    deepobs/tensorflow/datasets/tolstoi.py. Windows that fill no whole batch are left out.

    Args:
        n: Number of windows.
        batch_size: Rows that are read side by side.

    Returns:
        (n // batch_size * batch_size,) int64 window numbers.

    Raises:
        ValueError: `batch_size` is not in 1..n.
    """
    check_batch_size(batch_size, n)
    steps = n // batch_size
    return torch.arange(steps * batch_size).view(batch_size, steps).T.reshape(-1)


def check_batch_size(batch_size: int, n: int) -> None:
    """Refuse a batch size outside 1..n for a split of n examples with a ValueError."""
    if not 1 <= batch_size <= n:
        raise ValueError(
            f"batch_size is {batch_size}, but the split has {n} examples: "
            f"use a batch size between 1 and {n}."
        )
