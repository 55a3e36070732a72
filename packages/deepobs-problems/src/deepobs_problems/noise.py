"""Data functions the catalog needs beside those of `deepobs_data`.

Each is called as they are, with `(root, valid_size=, recipe=)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepobs_data import Dataset, Recipe, Split, Table, synthetic_like

DataFunction = Callable[..., Dataset]

LATENT_SIZE = 8
NOISE_SEED_TRAIN = 45
NOISE_SEED_TEST = 46


def stand_in(name: str, n: int | None = None, *, evaluated: int | None = None) -> DataFunction:
    """Return a data function of generated examples in the shapes of the data set `name`.

    Args:
        name: a data set of `deepobs_data`.
        n: training examples; None leaves the number to `deepobs_data.synthetic_like`, which also
            says how many the other splits have.
        evaluated: at most as many examples in train_eval and test, for networks that are slow
            without a GPU; None keeps all.
    """
    return partial(_generate, name, n, evaluated)


def _generate(
    name: str,
    n: int | None,
    evaluated: int | None,
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
) -> Dataset:
    dataset = synthetic_like(name, n, valid_size=valid_size, recipe=recipe)
    if evaluated is None:
        return dataset
    return replace(
        dataset,
        train_eval=_first(dataset.train_eval, evaluated),
        test=_first(dataset.test, evaluated),
    )


def _first(split: Split, count: int) -> Table:
    """Return the first `count` rows of a table."""
    table = _require_table(split, "Generated data is cut to its first rows")
    rows = torch.arange(len(table.x)) if table.rows is None else table.rows
    return replace(table, rows=rows[:count])


def _require_table(split: Split, why: str) -> Table:
    if not isinstance(split, Table):
        raise TypeError(f"{why}, which needs a deepobs_data.Table; got a {type(split).__name__}.")
    return split


def with_latent_noise(data: DataFunction) -> DataFunction:
    """Return a data function whose targets are the fixed evaluation noise of a VAE, `(B, 8)`.

    The noise of an example is standard normal and belongs to its row in the stored images: row i
    of `RandomState(45).normal(size=(N, 8))` for training images (of train, train_eval and valid
    alike), of `RandomState(46)` for test images, as float32. So the evaluation of the same
    weights gives the same numbers whatever the order, the batch size or the size of a validation
    split; the original draws new noise in every evaluation.

    Args:
        data: a data function whose splits are `deepobs_data.Table`.
    """
    return partial(_add_latent_noise, data)


def _add_latent_noise(
    data: DataFunction,
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
) -> Dataset:
    dataset = data(root, valid_size=valid_size, recipe=recipe)
    drawn: dict[tuple[int, int], Tensor] = {}

    def noisy(split: Split, seed: int) -> Table:
        table = _require_table(split, "The evaluation noise of a VAE belongs to stored rows")
        key = seed, len(table.x)
        if key not in drawn:  # once: train, train_eval and valid share it
            drawn[key] = latent_noise(len(table.x), seed)
        return replace(table, y=drawn[key])

    return replace(
        dataset,
        train=noisy(dataset.train, NOISE_SEED_TRAIN),
        train_eval=noisy(dataset.train_eval, NOISE_SEED_TRAIN),
        valid=None if dataset.valid is None else noisy(dataset.valid, NOISE_SEED_TRAIN),
        test=noisy(dataset.test, NOISE_SEED_TEST),
    )


def latent_noise(n: int, seed: int) -> Tensor:
    """Return standard normal numbers `(n, 8)`, float32; row i does not depend on n."""
    values = np.random.RandomState(seed).normal(size=(n, LATENT_SIZE))
    return torch.from_numpy(values.astype(np.float32))
