"""Splits that are decoded on the fly, for data that does not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from deepobs_data.errors import DamagedFileError
from deepobs_data.table import Index, check_order, describe, examples
from deepobs_data.types import Augment, Batch, Rows


@dataclass(frozen=True, eq=False, repr=False)
class Stream(torch.utils.data.Dataset[Batch]):
    """Examples in files, decoded by worker processes, then prepared like those of a `Table`.

    Workers only decode; the random numbers are the caller's `draws`, and augmentation and
    transform run batched in the calling process, on the device. So the result does not depend on
    the number of workers.

    Attributes:
        paths: One file per example.
        y: (N,) targets.
        decode: Turns a path into a tensor of one fixed shape; must be picklable.
        transform: Batched preparation of the decoded tensors, which it may overwrite.
        augment: Used when `batches` is given draws.
        rows: (n,) int64 numbers of the rows this split shows; None for all of them in order.
        workers: Worker processes; 0 decodes in the calling process.
    """

    paths: Sequence[str]
    y: Tensor
    decode: Callable[[str], Tensor]
    transform: Callable[[Tensor], Tensor] | None = None
    augment: Augment | None = None
    rows: Tensor | None = None
    workers: int = 0

    def __post_init__(self) -> None:
        if len(self.paths) != len(self.y):
            raise ValueError(f"{len(self.paths)} files but {len(self.y)} targets; give as many.")

    def __len__(self) -> int:
        return len(self.paths) if self.rows is None else len(self.rows)

    def __repr__(self) -> str:
        return f"Stream({len(self):,} files, y {describe(self.y)})"

    def __getitem__(self, i: Index) -> Batch:
        return examples(replace(self, workers=0), i)

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
            ValueError: Rows that are not there, draws for a split without augmentation or too few
                of them, or a batch size below 1.
        """
        rows = check_order(order, len(self), batch_size, draws, self.augment)
        home = torch.device("cpu" if device is None else device)
        return self._batches(rows, batch_size, draws, home)

    def _batches(
        self, order: Tensor, batch_size: int, draws: Tensor | None, home: torch.device
    ) -> Iterator[Batch]:
        rows = order.cpu() if self.rows is None else self.rows.index_select(0, order.cpu())
        pieces = torch.split(rows, batch_size) if len(rows) else ()
        parts = None if draws is None else torch.split(draws.to(home), batch_size)
        decoded = torch.utils.data.DataLoader(
            _Decoder(self.paths, self.decode),
            batch_sampler=[piece.tolist() for piece in pieces],
            num_workers=self.workers,
            collate_fn=_stack,
            pin_memory=home.type == "cuda",
            # Else the loader would draw its base seed from the global generator.
            generator=torch.Generator(),
        )
        for k, images in enumerate(decoded):
            if isinstance(images, DamagedFileError):
                raise images
            x = images.to(home, non_blocking=True)  # (B, ...)
            if parts is not None and self.augment is not None:
                x = self.augment.apply(x, parts[k])
            if self.transform is not None:
                x = self.transform(x)
            yield Batch(x, self.y.index_select(0, pieces[k]).to(home))


@dataclass(frozen=True, eq=False)
class _Decoder(torch.utils.data.Dataset[Tensor | DamagedFileError]):
    paths: Sequence[str]
    decode: Callable[[str], Tensor]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> Tensor | DamagedFileError:
        # Returned, not raised: a DataLoader keeps only the text of what its workers raise.
        try:
            return self.decode(self.paths[row])
        except DamagedFileError as error:
            return error


def _stack(decoded: list[Tensor | DamagedFileError]) -> Tensor | DamagedFileError:
    """The tensors (...) of a batch as one (B, ...), or the first error among them."""
    tensors = []
    for item in decoded:
        if isinstance(item, DamagedFileError):
            return item
        tensors.append(item)
    return torch.stack(tensors)
