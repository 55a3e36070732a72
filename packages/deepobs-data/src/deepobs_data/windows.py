"""Text splits with windows that shift in every epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepobs_data.table import Index, Move, Table, check_order, examples
from deepobs_data.types import Augment, Batch, Rows

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True)
class RandomPhase:
    """Moves all windows of an epoch by the same random number of characters.

    So every character appears at every position of a window over time, and each epoch still reads
    the text once. Draws: one number, repeated for every window.

    Attributes:
        seq_length: Characters in a window, T.
    """

    seq_length: int

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw the phase of one epoch as (n, 1), all equal."""
        return torch.rand(1, 1, generator=generator).repeat(n, 1)

    def apply(self, x: Tensor, draws: Tensor) -> Tensor:
        """Move the first characters x (B,) int64 of windows by 0 to T - 1: (B,)."""
        phase = (draws[:, 0] * self.seq_length).to(torch.int64)
        return x + phase.clamp(0, self.seq_length - 1)


@dataclass(frozen=True, eq=False, repr=False)
class Windows(torch.utils.data.Dataset[Batch]):
    """Windows of T characters that follow each other in a text.

    Window k begins at character k T, or at k T + p for a phase p in the draws: x is (T,), y the
    same one character later. A last window that would reach beyond the end is moved back to end
    there.

    Attributes:
        ids: (n,) int64, the numbers of the characters.
        seq_length: T.
        augment: Turns draws into phases; None for windows that never move.
    """

    ids: Tensor
    seq_length: int
    augment: Augment | None = None

    def __post_init__(self) -> None:
        if self.seq_length < 1:
            raise ValueError(f"seq_length is {self.seq_length}; it must be at least 1.")

    def __len__(self) -> int:
        return max(len(self.ids) - 1, 0) // self.seq_length

    def __repr__(self) -> str:
        moved = "" if self.augment is None else ", with a random phase"
        return f"Windows({len(self):,} of {self.seq_length} characters{moved})"

    def __getitem__(self, i: Index) -> Batch:
        return examples(self, i)

    def batches(
        self,
        order: Rows,
        batch_size: int,
        *,
        draws: Tensor | None = None,
        device: torch.device | str | None = None,
    ) -> Iterator[Batch]:
        """Yield the windows named by `order` in batches; see `Split.batches`.

        Raises:
            ValueError: Rows that are not there, draws for a split without augmentation or too few
                of them, or a batch size below 1.
        """
        rows = check_order(order, len(self), batch_size, draws, self.augment)
        starts = rows.to(self.ids.device) * self.seq_length  # (m,)
        if draws is not None and self.augment is not None:
            starts = self.augment.apply(starts, draws.to(self.ids.device))
        starts = starts.clamp(max=len(self.ids) - 1 - self.seq_length)
        # Views of every window that there is, (n - T, T): nothing is copied.
        x = self.ids[:-1].unfold(0, self.seq_length, 1)
        y = self.ids[1:].unfold(0, self.seq_length, 1)
        return Table(x, y).batches(starts, batch_size, device=device)

    def moved(self, move: Move) -> Self:
        """The split with its characters moved to another device."""
        return replace(self, ids=move(self.ids))
