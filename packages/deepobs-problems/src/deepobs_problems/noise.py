"""Evaluation noise that belongs to the stored example, so that two evaluations agree."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepobs_data import Dataset, Recipe, Split, Table
from deepobs_problems.stand_in import DataFunction, require_table

LATENT_SIZE = 8
NOISE_SEED_TRAIN = 45
NOISE_SEED_TEST = 46


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
        table = require_table(split, "The evaluation noise of a VAE belongs to stored rows")
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
