"""The two data sets that are made of random numbers: `quadratic` and `two_d`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepobs_data.dataset import Dataset
from deepobs_data.partition import Recipe, check_recipe, check_valid_size
from deepobs_data.table import Table


def quadratic(
    root: Path | str | None = None, *, valid_size: int = 0, recipe: Recipe = "standard"
) -> Dataset:
    """The noise of the 100-dimensional stochastic quadratic.

    Every x (100,) is normal with mean 0 and standard deviation 0.6, y is 0. Train and train_eval
    are the same 1000 rows of RandomState(42). Test is the first 896 rows of RandomState(43): the
    seven whole batches of 128 that every official number was evaluated on. Valid is the first
    `valid_size` (at most 1000) rows of RandomState(44).

    Source: DeepOBS 1.1.2, deepobs/tensorflow/datasets/quadratic.py.

    Args:
        root: Ignored; nothing is read.
        valid_size: Rows of the validation split; 0 for none.
        recipe: Both recipes give the same tables.

    Raises:
        ValueError: `valid_size` or `recipe` is not allowed.
    """
    check_recipe(recipe)
    check_valid_size(valid_size, 1000)

    def rows(seed: int, count: int) -> Table:
        return _noise(np.random.RandomState(seed).normal(0.0, 0.6, size=(1000, 100))[:count])

    train = rows(42, 1000)
    return Dataset(
        name="quadratic",
        train=train,
        train_eval=train,
        valid=rows(44, valid_size) if valid_size else None,
        test=rows(43, 896),
    )


def two_d(
    root: Path | str | None = None, *, valid_size: int = 0, recipe: Recipe = "standard"
) -> Dataset:
    """The noise of the two-dimensional test functions.

    x (2,) is standard normal noise for the two gradients, y is 0. Train and train_eval are the
    same 10,000 rows: RandomState(42) draws the first column, then the second. Test is 10,000 rows
    of zeros, the function without noise. Valid is the first `valid_size` (at most 10,000) rows
    made like train from RandomState(44).

    Source: DeepOBS 1.1.2, deepobs/tensorflow/datasets/two_d.py.

    Args:
        root: Ignored; nothing is read.
        valid_size: Rows of the validation split; 0 for none.
        recipe: Both recipes give the same tables.

    Raises:
        ValueError: `valid_size` or `recipe` is not allowed.
    """
    check_recipe(recipe)
    check_valid_size(valid_size, 10_000)

    def rows(seed: int, count: int) -> Table:
        # (2, 10000) fills row by row: all of the first coordinate, then all of the second.
        return _noise(np.random.RandomState(seed).normal(0.0, 1.0, size=(2, 10_000)).T[:count])

    train = rows(42, 10_000)
    return Dataset(
        name="two_d",
        train=train,
        train_eval=train,
        valid=rows(44, valid_size) if valid_size else None,
        test=_noise(np.zeros((10_000, 2))),
    )


def _noise(values: np.ndarray) -> Table:
    x: Tensor = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    return Table(x, torch.zeros(len(x)))
