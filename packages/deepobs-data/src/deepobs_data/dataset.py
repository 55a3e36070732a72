"""A data set: splits, augmentation and metadata."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from deepobs_data.table import move_splits
from deepobs_data.types import Augment, Order, Split


@dataclass(frozen=True, kw_only=True, repr=False)
class Dataset:
    """The fixed splits of one data set.

    `train_eval` are rows of `train`, `valid` rows taken from it; both are the same in every run.
    `augment` belongs to `train`: draw with it and pass the draws to `train.batches`. The other
    splits take no draws, but for `train_eval` in recipe "2019", as the original augments it.
    An epoch goes over `train` `passes_per_epoch` times, or over one of `epochs_per_pass` parts of
    it; one of the two is 1. If a batch holds all training examples, as for an exact expectation, a
    pass is a single step and an epoch has many passes. `order` is the order in which `train` is
    read: "shuffled", or "stateful" for text with batches that continue each other (see
    `stateful_order`). `classes` are the names of the classes by label, or the characters by number,
    where there are any. `comparable` is false for stand-ins and own texts, since their results do
    not hold for the benchmark's data.
    """

    train: Split
    train_eval: Split
    valid: Split | None
    test: Split
    augment: Augment | None = None
    order: Order = "shuffled"
    name: str = ""
    classes: tuple[str, ...] = ()
    comparable: bool = True
    passes_per_epoch: int = 1
    epochs_per_pass: int = 1

    def steps_per_epoch(self, batch_size: int) -> int:
        """Number of whole batches per epoch.

        >>> from deepobs_data import quadratic
        >>> quadratic().steps_per_epoch(128)
        7
        """
        batches = len(self.train) // batch_size
        return batches * self.passes_per_epoch // self.epochs_per_pass

    def __repr__(self) -> str:
        lines = [f"  {name:<10} {split!r}" for name, split in self.splits().items()]
        facts = f"{len(self.classes)} classes" if self.classes else ""
        facts += ", " * bool(facts) + f"{self.order} order"
        facts += ", augmented" * (self.augment is not None)
        facts += ", stand-in or own data" * (not self.comparable)
        return "\n".join([f"Dataset {self.name!r}: {facts}", *lines])

    def __getitem__(self, name: str) -> Split:
        """The split of this name: `dataset["train"]`; KeyError if it does not exist."""
        try:
            return self.split(name)
        except ValueError as error:
            raise KeyError(str(error)) from None

    def __contains__(self, name: object) -> bool:
        return name in self.splits()

    def __iter__(self) -> Iterator[str]:
        return iter(self.splits())

    def splits(self) -> dict[str, Split]:
        """The splits that exist, by name."""
        named = {
            "train": self.train,
            "train_eval": self.train_eval,
            "valid": self.valid,
            "test": self.test,
        }
        return {name: split for name, split in named.items() if split is not None}

    def split(self, name: str) -> Split:
        """Look one split up by its name; ValueError for a name this data set does not have."""
        splits = self.splits()
        if name not in splits:
            hint = " Pass valid_size=... to hold a validation split out." if name == "valid" else ""
            allowed = ", ".join(map(repr, splits))
            raise ValueError(f"Unknown split {name!r}; this data set has {allowed}.{hint}")
        return splits[name]

    def to(self, device: torch.device | str) -> Dataset:
        """Data set with its in-memory splits on `device`.

        A tensor that several splits hold is moved once and stays shared. Splits that are decoded
        on the fly have nothing to move: give `batches` the device.
        """
        moved = move_splits(self.splits(), torch.device(device))
        return replace(
            self,
            train=moved["train"],
            train_eval=moved["train_eval"],
            valid=moved.get("valid"),
            test=moved["test"],
        )
