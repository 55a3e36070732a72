"""Splits that live in memory as tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepobs_data.types import Augment, Batch, Split

if TYPE_CHECKING:
    from typing import Self

Move = Callable[[Tensor], Tensor]
"""Moves a tensor to another device, each distinct tensor once."""

GATHERED_BYTES = 2**18
"""Of inputs that are gathered at once, four or more a stored number, to stay in a core's cache."""

GATHERED_BYTES_ON_GPU = 2**24
"""Of the same on a GPU, where every operation is launched anew, so that few are better."""


@dataclass(frozen=True, eq=False)
class Table(torch.utils.data.Dataset[Batch]):
    """Examples held as two tensors, gathered and prepared a batch at a time.

    A batch is `transform(augment.apply(x[rows[order]], draws))`: `x` keeps the compact raw type
    (usually uint8) and is made ready for the network after the gather, on the device where it
    lies. Small batches are gathered several at once and are then views of the same tensor. Several
    tables may share one `x` and look at different `rows` of it. As a map-style
    `torch.utils.data.Dataset` it works with any `DataLoader`.

    Attributes:
        x: (N, ...) inputs as stored.
        y: (N, ...) targets.
        transform: Batched preparation of `x`; None leaves it as it is. It may overwrite its
            argument, which is always a fresh copy of the rows.
        augment: Used when `batches` is given draws.
        rows: (n,) int64 numbers of the rows this table shows; None for all of them in order.
    """

    x: Tensor
    y: Tensor
    transform: Callable[[Tensor], Tensor] | None = None
    augment: Augment | None = None
    rows: Tensor | None = None

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"x has {len(self.x)} rows but y has {len(self.y)}; give as many.")

    def __len__(self) -> int:
        return len(self.x) if self.rows is None else len(self.rows)

    def __getitem__(self, i: int) -> Batch:
        if not -len(self) <= i < len(self):
            raise IndexError(f"Row {i} of a split with {len(self)} examples.")
        batch = next(self.batches(torch.tensor([i % len(self)]), 1))
        return Batch(batch.x[0], batch.y[0])

    def __getitems__(self, indices: list[int]) -> list[Batch]:
        # The hook by which torch's DataLoader fetches a whole batch at once.
        order = torch.as_tensor(indices, dtype=torch.int64)
        batch = next(self.batches(order, max(len(order), 1)))
        return [Batch(x, y) for x, y in zip(batch.x, batch.y, strict=True)]

    def batches(
        self,
        order: Tensor,
        batch_size: int,
        *,
        draws: Tensor | None = None,
        device: torch.device | str | None = None,
    ) -> Iterator[Batch]:
        """Yield the rows named by `order` in batches; see `Split.batches`.

        Raises:
            ValueError: Draws for a table without augmentation or too few of them, or a batch size
                below 1.
        """
        check_order(order, batch_size, draws, self.augment)
        target = self.x.device if device is None else torch.device(device)
        return self._batches(order, batch_size, draws, target)

    def _batches(
        self, order: Tensor, batch_size: int, draws: Tensor | None, target: torch.device
    ) -> Iterator[Batch]:
        home = self.x.device
        # Once per call, not per step: the row numbers and draws are moved and cut into pieces.
        rows = order.to(home)
        if self.rows is not None:
            rows = self.rows.index_select(0, rows)
        x, y, transform, augment = self.x, self.y, self.transform, self.augment
        size = batch_size * batches_at_once(x, batch_size)  # S
        pieces = None if draws is None else torch.split(draws.to(home), size)
        for k, piece in enumerate(torch.split(rows, size) if len(rows) else ()):
            inputs = x.index_select(0, piece)  # (S, ...)
            if pieces is not None and augment is not None:
                inputs = augment.apply(inputs, pieces[k])
            if transform is not None:
                inputs = transform(inputs)
            targets = y.index_select(0, piece)  # (S, ...)
            if target != home:
                inputs, targets = inputs.to(target), targets.to(target)
            if size == batch_size:
                yield Batch(inputs, targets)
                continue
            parts = zip(
                torch.split(inputs, batch_size), torch.split(targets, batch_size), strict=True
            )
            for part in parts:
                # Detached: autograd lets nobody change the outputs of `split` in place.
                yield Batch(*(tensor.detach() for tensor in part))

    def moved(self, move: Move) -> Self:
        """The table with its tensors moved to another device."""
        rows = None if self.rows is None else move(self.rows)
        return replace(self, x=move(self.x), y=move(self.y), rows=rows)


def batches_at_once(x: Tensor, batch_size: int) -> int:
    """Return how many batches of the rows of `x` are gathered at once: several if they are small.

    >>> batches_at_once(torch.zeros(1000, 2), 128), batches_at_once(torch.zeros(60000, 784), 128)
    (256, 1)
    >>> batches_at_once(torch.zeros(60000, 784, device="meta"), 128)  # no CPU
    41
    """
    numbers = x[:1].numel() * batch_size
    most = GATHERED_BYTES if x.device.type == "cpu" else GATHERED_BYTES_ON_GPU
    return max(1, most // max(1, numbers * max(4, x.element_size())))


def check_order(
    order: Tensor, batch_size: int, draws: Tensor | None, augment: Augment | None
) -> None:
    """Refuse arguments of `batches` that do not fit together with a ValueError."""
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be at least 1.")
    if order.ndim != 1 or order.dtype != torch.int64:
        raise ValueError(
            f"order must be a 1-d int64 tensor, got {order.ndim}-d {order.dtype}; "
            "make one with torch.randperm(len(split)) or torch.arange(len(split))."
        )
    if draws is None:
        return
    if augment is None:
        raise ValueError("This split has no augmentation; call batches without draws.")
    if len(draws) != len(order):
        raise ValueError(
            f"draws has {len(draws)} rows for {len(order)} row numbers; "
            "make them with dataset.augment.draw(len(order), generator)."
        )


def move_splits(splits: Mapping[str, Split], device: torch.device) -> dict[str, Split]:
    """Copy the tensors of splits that have some to `device`, each distinct tensor once."""
    copies: dict[int, Tensor] = {}

    def move(tensor: Tensor) -> Tensor:
        if id(tensor) not in copies:
            copies[id(tensor)] = tensor.to(device)
        return copies[id(tensor)]

    return {
        name: split.moved(move) if hasattr(split, "moved") else split
        for name, split in splits.items()
    }
