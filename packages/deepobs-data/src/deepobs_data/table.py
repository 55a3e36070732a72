"""Splits that live in memory as tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import index
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from deepobs_data.types import Augment, Batch, Rows, Split

if TYPE_CHECKING:
    from typing import Self

Index = int | slice | Rows
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
Move = Callable[[Tensor], Tensor]
"""Moves a tensor to another device, each distinct tensor once."""

GATHERED_BYTES = 2**18
"""Bytes of examples gathered at once (four or more per number), to stay in a core's cache."""

GATHERED_BYTES_ON_GPU = 2**24
"""The same on a GPU, where each kernel launch costs time."""


@dataclass(frozen=True, eq=False, repr=False)
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

    def __repr__(self) -> str:
        parts = [f"x {describe(self.x)}", f"y {describe(self.y)}"]
        return f"Table({len(self):,} examples, {', '.join(parts)})"

    def __getitem__(self, i: Index) -> Batch:
        return examples(self, i)

    def __getitems__(self, indices: list[int]) -> list[Batch]:
        # torch's DataLoader calls this for a whole batch.
        batch = examples(self, indices)
        return [Batch(x, y) for x, y in zip(batch.x, batch.y, strict=True)]

    def batches(
        self,
        order: Rows,
        batch_size: int,
        *,
        draws: Tensor | None = None,
        device: torch.device | str | None = None,
    ) -> Iterator[Batch]:
        """Yield the rows named by `order` in batches; see `Split.batches`.

        Raises:
            ValueError: Rows that are not there, draws for a table without augmentation or too few
                of them, or a batch size below 1.
        """
        rows = check_order(order, len(self), batch_size, draws, self.augment)
        target = self.x.device if device is None else torch.device(device)
        return self._batches(rows, batch_size, draws, target)

    def _batches(
        self, order: Tensor, batch_size: int, draws: Tensor | None, target: torch.device
    ) -> Iterator[Batch]:
        home = self.x.device
        # Once per call, not per step: the row numbers and draws are moved and cut into pieces.
        rows = order.to(home)
        if self.rows is not None:
            rows = self.rows.index_select(0, rows)
        x, y, transform, augment = self.x, self.y, self.transform, self.augment
        size = batch_size * batches_at_once(batch_size, x, y)  # S
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
                # Detached: autograd forbids to change the outputs of `split` in place.
                yield Batch(*(tensor.detach() for tensor in part))

    def moved(self, move: Move) -> Self:
        """The table with its tensors moved to another device."""
        rows = None if self.rows is None else move(self.rows)
        return replace(self, x=move(self.x), y=move(self.y), rows=rows)


def describe(tensor: Tensor) -> str:
    """Shape and type of the examples in a tensor (N, ...).

    >>> describe(torch.zeros(9, 1, 28, 28, dtype=torch.uint8))
    '(1, 28, 28) uint8'
    """
    return f"{tuple(tensor.shape[1:])} {str(tensor.dtype).removeprefix('torch.')}"


def batches_at_once(batch_size: int, *columns: Tensor) -> int:
    """Number of batches of the rows of `columns` that are gathered at once: several if small.

    >>> batches_at_once(128, torch.zeros(1000, 2)), batches_at_once(128, torch.zeros(60000, 784))
    (256, 1)
    >>> batches_at_once(128, torch.zeros(60000, 784, device="meta"))  # no CPU
    41
    """
    row = sum(column[:1].numel() * max(4, column.element_size()) for column in columns)
    most = GATHERED_BYTES if columns[0].device.type == "cpu" else GATHERED_BYTES_ON_GPU
    return max(1, most // max(1, row * batch_size))


def check_order(
    order: Rows, n: int, batch_size: int, draws: Tensor | None, augment: Augment | None
) -> Tensor:
    """`order` as (m,) int64 row numbers of a split with `n` examples.

    Raises:
        ValueError: The arguments of `batches` do not fit together.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be at least 1.")
    rows = as_rows(order, n)
    if draws is None:
        return rows
    if augment is None:
        raise ValueError("This split has no augmentation; call batches without draws.")
    if len(draws) != len(rows):
        raise ValueError(
            f"draws has {len(draws)} rows for {len(rows)} row numbers; "
            "make them with dataset.augment.draw(len(order), generator)."
        )
    return rows


def as_rows(order: Rows, n: int) -> Tensor:
    """Row numbers of a split with `n` examples as (m,) int64.

    >>> as_rows([2, 0], 3)
    tensor([2, 0])

    Raises:
        ValueError: They are no whole numbers, not one axis of them, or not in 0..n-1.
    """
    if not isinstance(order, Tensor):
        array = np.asarray(order)
        whole = array.dtype.kind in "iu" or array.shape == (0,)  # an empty list has float64
        # A copy, in the byte order and with the strides that torch wants.
        order = torch.from_numpy(array.astype(np.int64)) if whole else array
    kind = str(order.dtype).removeprefix("torch.")
    if kind == "bool":
        raise ValueError("order is a mask; use its row numbers: mask.nonzero().flatten().")
    if not isinstance(order, Tensor) or order.ndim != 1 or order.dtype not in _WHOLE:
        raise ValueError(
            f"order must hold whole numbers in one axis, got {order.ndim}-d {kind}; "
            "use torch.randperm(len(split)), torch.arange(len(split)) or a list of row numbers."
        )
    rows = order.to(torch.int64)
    if len(rows) and rows.device.type != "meta":
        smallest, largest = (int(end) for end in torch.aminmax(rows))
        if smallest < 0 or largest >= n:
            wrong = smallest if smallest < 0 else largest
            raise ValueError(f"order names row {wrong}; this split has rows 0 to {n - 1}.")
    return rows


def examples(split: Split, i: Index) -> Batch:
    """Example `i` of a split, without the batch axis; those of a slice or of row numbers stacked.

    Raises:
        IndexError: Unknown row.
    """
    n = len(split)
    if isinstance(i, slice):
        i = range(n)[i]
    elif isinstance(i, int) or not np.ndim(i):
        row = index(i)  # type: ignore[arg-type]
        if not -n <= row < n:
            raise IndexError(f"Row {row} of a split with {n} examples.")
        x, y = next(split.batches(torch.tensor([row % n]), 1))
        return Batch(x[0], y[0])
    rows = as_rows(i, n)
    if not len(rows):
        raise IndexError(f"No rows of a split with {n} examples are named.")
    return next(split.batches(rows, len(rows)))


def move_splits(splits: Mapping[str, Split], device: torch.device) -> dict[str, Split]:
    """Copy the tensors of splits that have some to `device`, each distinct tensor once."""
    copies: dict[int, Tensor] = {}

    def move(tensor: Tensor) -> Tensor:
        if id(tensor) not in copies:
            copies[id(tensor)] = tensor.to(device)
        return copies[id(tensor)]

    moved: dict[int, Split] = {}
    for split in splits.values():
        if id(split) not in moved:  # identical splits stay identical
            moved[id(split)] = split.moved(move) if hasattr(split, "moved") else split
    return {name: moved[id(split)] for name, split in splits.items()}
