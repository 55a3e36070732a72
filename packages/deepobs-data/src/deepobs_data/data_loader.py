"""A `torch.utils.data.DataLoader` over any split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from deepobs_data.stream import Stream
from deepobs_data.types import Augment, Batch, Split, check_batch_size


def loader(
    split: Split,
    batch_size: int,
    *,
    shuffle: bool = False,
    augment: Augment | None = None,
    seed: int = 0,
    drop_last: bool = False,
    workers: int = 0,
    pin_memory: bool = False,
    persistent_workers: bool = False,
) -> torch.utils.data.DataLoader[Batch]:
    """Make a `DataLoader` of `Batch(x, y)` with a new order and new draws in every epoch.

    Order and random numbers depend on `seed` and the epoch only (the number of earlier iterations
    over the loader). So batches are the same for any number of workers, and the global random state
    does not change.

    Args:
        split: For instance `dataset.train`.
        batch_size: Examples per batch.
        shuffle: A new random order every epoch; else the order of the split.
        augment: `dataset.augment` to augment; None not to.
        seed: Chooses orders and draws.
        drop_last: Leave the last batch out if it is smaller.
        workers: Worker processes, `num_workers` of the `DataLoader`.
        pin_memory: As in `DataLoader`.
        persistent_workers: As in `DataLoader`.

    Raises:
        ValueError: The batch size is not between 1 and the size of the split.
    """
    check_batch_size(batch_size, len(split))
    if isinstance(split, Stream):
        split = replace(split, workers=0)  # this loader's workers decode it
    return torch.utils.data.DataLoader(
        _Batches(split),
        sampler=_Epochs(len(split), batch_size, shuffle, augment, seed, drop_last),
        batch_size=None,
        num_workers=workers,
        pin_memory=pin_memory,
        persistent_workers=persistent_workers,
        generator=torch.Generator(),
    )


@dataclass(frozen=True, eq=False)
class _Batches(torch.utils.data.Dataset[Batch]):
    """A split indexed by whole batches: row numbers and draws."""

    split: Split

    def __getitem__(self, index: tuple[Tensor, Tensor | None]) -> Batch:
        rows, draws = index
        return next(iter(self.split.batches(rows, len(rows), draws=draws)))


class _Epochs(torch.utils.data.Sampler[tuple[Tensor, Tensor | None]]):
    """Row numbers and draws of the batches of one epoch after the other."""

    def __init__(
        self,
        n: int,
        batch_size: int,
        shuffle: bool,
        augment: Augment | None,
        seed: int,
        drop_last: bool,
    ) -> None:
        self.n, self.batch_size, self.shuffle = n, batch_size, shuffle
        self.augment, self.seed = augment, seed
        self.used = n // batch_size * batch_size if drop_last else n
        self.epoch = 0

    def __len__(self) -> int:
        return -(-self.used // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        address = hashlib.sha256(f"deepobs_data.loader/{self.seed}/{self.epoch}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(address[:8], "big") >> 1)
        self.epoch += 1
        order = (
            torch.randperm(self.n, generator=generator) if self.shuffle else torch.arange(self.n)
        )
        draws = None if self.augment is None else self.augment.draw(self.n, generator)
        for start in range(0, self.used, self.batch_size):
            stop = min(start + self.batch_size, self.used)
            yield order[start:stop], None if draws is None else draws[start:stop]
