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


def stand_in(name: str, n: int | None = None) -> DataFunction:
    """Return a data function of generated examples in the shapes of the data set `name`.

    Args:
        name: a data set of `deepobs_data`.
        n: training examples; None leaves the number to `deepobs_data.synthetic_like`. train_eval
            and test have half as many.
    """
    return partial(_generate, name, n)


def _generate(
    name: str,
    n: int | None,
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
) -> Dataset:
    return synthetic_like(name, n, valid_size=valid_size, recipe=recipe)


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
        if not isinstance(split, Table):
            raise TypeError(
                f"The evaluation noise of a VAE is addressed by the rows of a deepobs_data.Table, "
                f"but a split of {dataset.name!r} is a {type(split).__name__}."
            )
        key = seed, len(split.x)
        if key not in drawn:  # once: train, train_eval and valid share it
            drawn[key] = latent_noise(len(split.x), seed)
        return replace(split, y=drawn[key])

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
