"""Evaluation noise that belongs to the stored example, so that two evaluations agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepobs_data import Dataset, Recipe, Split, Table
from deepobs_problems.stand_in import DataFunction, require_table

Draw = Callable[[int], Tensor]
"""Returns the noise of N examples, `(N, ...)`; row i does not depend on their number."""

LATENT_SIZE = 8
NOISE_SEED_TRAIN = 45
NOISE_SEED_TEST = 46


def with_latent_noise(data: DataFunction) -> DataFunction:
    """Data function with the fixed evaluation noise of a VAE as targets, `(B, 8)`.

    The noise of an example is standard normal and belongs to its row in the stored images: row i
    of `RandomState(45).normal(size=(N, 8))` for training images (of train, train_eval and valid
    alike), of `RandomState(46)` for test images, as float32. So the evaluation of the same
    weights gives the same numbers whatever the order, the batch size or the size of a validation
    split; the original draws new noise in every evaluation.

    Args:
        data: a data function with splits of type `deepobs_data.Table`.
    """
    return partial(_add_latent_noise, data)


def _add_latent_noise(
    data: DataFunction,
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
) -> Dataset:
    train, test = (
        (partial(latent_noise, seed=seed),) for seed in (NOISE_SEED_TRAIN, NOISE_SEED_TEST)
    )
    return _add_noise(data, train, test, root, valid_size=valid_size, recipe=recipe)


def with_noise(data: DataFunction, train: Sequence[Draw], test: Sequence[Draw]) -> DataFunction:
    """Data function with fixed evaluation noise of several arrays as targets.

    Row i of the noise belongs to row i of the stored examples, see `with_latent_noise`. The arrays
    lie side by side in the targets `(B, k)`; `unpack` takes them apart.

    Args:
        data: a data function with splits of type `deepobs_data.Table`.
        train: called with the number N of stored training examples, each returns `(N, ...)`.
        test: the same of the stored test examples.
    """
    return partial(_add_noise, data, tuple(train), tuple(test))


def _add_noise(
    data: DataFunction,
    train: Sequence[Draw],
    test: Sequence[Draw],
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
) -> Dataset:
    dataset = data(root, valid_size=valid_size, recipe=recipe)
    drawn: dict[tuple[int, int], Tensor] = {}

    def noisy(split: Split, draws: Sequence[Draw]) -> Table:
        table = require_table(split, "Evaluation noise belongs to stored rows")
        key = id(draws), id(table.x)
        if key not in drawn:  # once: train, train_eval and valid share it
            drawn[key] = _beside(*(draw(len(table.x)) for draw in draws))
        return replace(table, y=drawn[key])

    return replace(
        dataset,
        train=noisy(dataset.train, train),
        train_eval=noisy(dataset.train_eval, train),
        valid=None if dataset.valid is None else noisy(dataset.valid, train),
        test=noisy(dataset.test, test),
    )


def _beside(*arrays: Tensor) -> Tensor:
    """Arrays `(N, ...)` side by side, `(N, k)`."""
    return torch.cat([array.reshape(len(array), -1) for array in arrays], dim=1)


def unpack(y: Tensor, *shapes: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Arrays `(B, *shape)` that lie side by side in `y` `(B, k)`.

    >>> [part.shape for part in unpack(torch.zeros(5, 7), (), (2, 3))]
    [torch.Size([5]), torch.Size([5, 2, 3])]
    """
    parts = y.split([math.prod(shape) for shape in shapes], dim=1)  # type: ignore[no-untyped-call]
    return tuple(part.view(-1, *shape) for part, shape in zip(parts, shapes, strict=True))


def latent_noise(n: int, seed: int) -> Tensor:
    """Standard normal numbers `(n, 8)`, float32; row i does not depend on n."""
    values = np.random.RandomState(seed).normal(size=(n, LATENT_SIZE))
    return torch.from_numpy(values.astype(np.float32))
