"""The data sets that are noise: `quadratic`, `two_d` and `nqm`."""

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


def nqm(
    root: Path | str | None = None, *, valid_size: int = 0, recipe: Recipe = "standard"
) -> Dataset:
    """The noise of the noisy quadratic model.

    x (1000,) is standard normal, y is 0. Train are 10,000 rows of RandomState(50); one pass goes
    over them in 10 epochs, each row once. The other splits are rows of zeros, the function without
    noise: 16, of valid at most `valid_size`.

    Source: G. Zhang et al.: Which algorithmic choices matter at which batch sizes? Insights from a
    noisy quadratic model. NeurIPS 2019, arXiv 1907.04164.

    Args:
        root: Ignored; nothing is read.
        valid_size: Rows of the validation split, at most 10,000; 0 for none.
        recipe: Both recipes give the same tables.

    Raises:
        ValueError: `valid_size` or `recipe` is not allowed.
    """
    check_recipe(recipe)
    check_valid_size(valid_size, 10_000)
    return noise_in_training(
        "nqm", _noise(np.random.RandomState(50).standard_normal((10_000, 1000))), 16, valid_size
    )


def noise_in_training(name: str, train: Table, count: int, valid_size: int) -> Dataset:
    """Noise that all splits but train are without; one pass goes over it in 10 epochs."""

    def zeros(rows: int) -> Table:
        # One row, seen many times: nothing is stored for the others.
        return Table(torch.zeros_like(train.x[:1]).expand(rows, -1), torch.zeros(rows))

    return Dataset(
        name=name,
        train=train,
        train_eval=zeros(count),
        valid=zeros(min(count, valid_size)) if valid_size else None,
        test=zeros(count),
        epochs_per_pass=10,
    )


def _noise(values: np.ndarray) -> Table:
    x: Tensor = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    return Table(x, torch.zeros(len(x)))
