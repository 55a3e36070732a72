"""Cutting the training examples into train, train_eval and valid, equally in every run."""

from __future__ import annotations

from operator import index
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

Recipe = Literal["standard", "2019"]
"""Whether data are as they are, or with the faults of the runs of 2019 (docs/recipes.md)."""


class Partition(NamedTuple):
    """Row numbers of the three parts; `train` is None if it is every row in file order."""

    train: Tensor | None
    train_eval: Tensor
    valid: Tensor | None


def partition_rows(n: int, train_eval_size: int, valid_size: int = 0) -> Partition:
    """Cut `n` rows with the frozen permutation `numpy.random.RandomState(42).permutation(n)`.

    Its first `valid_size` entries are `valid`, the next `train_eval_size` are `train_eval`, and
    `train` is all rows but `valid`, in file order. So `valid` is disjoint from `train`, and
    `train_eval` is part of `train`. Sets much smaller than the real ones (stand-ins, samples) get
    a `train_eval` of half their rows instead of `train_eval_size`.

    Raises:
        ValueError: `valid_size` is negative or leaves too few rows for `train_eval`.
    """
    train_eval_size = min(train_eval_size, max(n // 2, 1))
    check_valid_size(valid_size, n - train_eval_size)
    permutation = torch.from_numpy(np.random.RandomState(42).permutation(n).astype(np.int64))
    valid, rest = permutation[:valid_size], permutation[valid_size:]
    return Partition(
        train=rest.sort().values if valid_size else None,
        train_eval=rest[:train_eval_size].clone(),
        valid=valid.clone() if valid_size else None,
    )


def check_valid_size(valid_size: int, largest: int) -> None:
    """Raise a ValueError unless `valid_size` is a whole number in 0..largest."""
    try:
        index(valid_size)
    except TypeError as error:
        raise ValueError(
            f"valid_size is {valid_size!r}; it must be a whole number of examples, 0 to {largest}."
        ) from error
    if not 0 <= valid_size <= largest:
        raise ValueError(
            f"valid_size is {valid_size}; allowed are 0 (no validation split) to {largest}."
        )


def check_recipe(recipe: str) -> None:
    """Refuse an unknown recipe with a ValueError."""
    if recipe not in get_args(Recipe):
        raise ValueError(f"Unknown recipe {recipe!r}; allowed are 'standard' and '2019'.")
