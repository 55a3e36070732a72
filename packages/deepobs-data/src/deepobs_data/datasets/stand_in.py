"""Made-up data in the shapes of the real sets, for tests, demos and estimates of run times."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from deepobs_data.augment import CIFAR_AUGMENT, IMAGENET_AUGMENT, SVHN_AUGMENT
from deepobs_data.dataset_info import info
from deepobs_data.datasets.imagenet import prepare_imagenet
from deepobs_data.datasets.images import (
    TRAIN_EVAL_SIZE,
    Normalization,
    make_dataset,
    make_transform,
    shift_by_a_byte,
)
from deepobs_data.datasets.text import text_dataset
from deepobs_data.image_ops import scale_to_unit
from deepobs_data.partition import Recipe, check_recipe, check_valid_size
from deepobs_data.table import Table
from deepobs_data.types import Augment, Dataset

_STORED_SHAPE = {"mnist": (1, 28, 28), "fmnist": (1, 28, 28), "imagenet": (3, 256, 256)}
_AUGMENT: dict[str, Augment] = {
    "cifar10": CIFAR_AUGMENT,
    "cifar100": CIFAR_AUGMENT,
    "svhn": SVHN_AUGMENT,
    "imagenet": IMAGENET_AUGMENT,
}


def synthetic_like(
    name: str,
    n: int | None = None,
    seed: int = 0,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
    augment: bool = True,
    normalization: Normalization = "image",
) -> Dataset:
    """Data with the shapes, types, augmentation and splits of a real set, made from a seed.

    Images of a class share a blurred pattern under noise, text repeats letter pairs, so that
    training lowers the loss; nothing else about them is real, and `comparable` is false.

    Args:
        name: One of the nine data sets.
        n: Training examples (before validation rows are held out); default 512, for ImageNet 128.
            test has half as many; so has train_eval, but where the real one is all of train (the
            synthetic sets, and `tolstoi` in recipe "2019").
        seed: Same seed, same data.
        valid_size: Rows held out of train for validation; 0 for none.
        recipe: As for the real set.
        augment: As for the real set.
        normalization: As for the real set.

    Raises:
        ValueError: An argument is not allowed.
    """
    facts = info(name)
    check_recipe(recipe)
    if n is None:
        n = 128 if name == "imagenet" else 512
    if n < 2:
        raise ValueError(f"n is {n}; a stand-in needs at least 2 training examples.")
    generator = torch.Generator().manual_seed(seed)
    if facts.kind == "synthetic":
        return _noise(name, n, generator, valid_size)
    if facts.kind == "text":
        return _text(name, n, generator, valid_size, recipe)

    transform = make_transform(name, normalization) if facts.augmented else scale_to_unit
    if name == "imagenet":
        transform = partial(prepare_imagenet, normalization=normalization)
    shape = _STORED_SHAPE.get(name, (3, 32, 32))
    x, y = _images(n + n // 2, shape, facts.num_classes, generator)
    if name == "cifar100" and recipe == "2019":
        x = shift_by_a_byte(x, y)
    return make_dataset(
        name,
        {"train_x": x[:n], "train_y": y[:n], "test_x": x[n:], "test_y": y[n:]},
        valid_size=valid_size,
        transform=transform,
        augment=_AUGMENT.get(name) if augment else None,
        train_eval_size=min(TRAIN_EVAL_SIZE[name], n // 2),
        eval_draws=recipe == "2019",
        comparable=False,
    )


def _images(
    n: int, shape: tuple[int, ...], classes: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Images (n, C, H, W) uint8, half pattern of the class and half noise; labels (n,) int64."""
    # ImageNet's class 0 never occurs; the others are as good as any to leave out nothing.
    first = 1 if classes == 1001 else 0
    y = torch.randint(first, classes, (n,), generator=generator)
    coarse = torch.rand(classes, shape[0], 4, 4, generator=generator)
    x = torch.empty(n, *shape, dtype=torch.uint8)
    for rows in torch.split(torch.arange(n), 64):  # in pieces: the floats take four times the room
        pattern = F.interpolate(coarse[y[rows]], size=shape[1:], mode="bilinear")
        noise = torch.rand(len(rows), *shape, generator=generator)
        x[rows] = ((pattern + noise) * 127.5).to(torch.uint8)
    return x, y


def _noise(name: str, n: int, generator: torch.Generator, valid_size: int) -> Dataset:
    check_valid_size(valid_size, n)
    scale = 0.6 if name == "quadratic" else 1.0
    width = info(name).x_shape[0]

    def rows(count: int) -> Table:
        return Table(torch.randn(count, width, generator=generator) * scale, torch.zeros(count))

    train, test = rows(n), rows(n // 2)
    if name == "two_d":
        test = replace(test, x=torch.zeros_like(test.x))
    return Dataset(
        name=name,
        train=train,
        train_eval=train,
        valid=rows(valid_size) if valid_size else None,
        test=test,
        comparable=False,
    )


def _text(
    name: str, n: int, generator: torch.Generator, valid_size: int, recipe: Recipe
) -> Dataset:
    seq_length, classes = info(name).x_shape[0], info(name).num_classes
    train, test = n * seq_length + 1, n // 2 * seq_length + 1
    # Each character has a usual successor, taken half of the time.
    successor = torch.randperm(classes, generator=generator).tolist()
    free = torch.randint(0, classes, (train + test,), generator=generator).tolist()
    usual = (torch.rand(train + test, generator=generator) < 0.5).tolist()
    ids = [0]
    for character, follows in zip(free[1:], usual[1:], strict=True):
        ids.append(successor[ids[-1]] if follows else character)
    return text_dataset(
        name,
        torch.tensor(ids, dtype=torch.int64),
        "",
        valid_size=valid_size,
        seq_length=seq_length,
        test_length=test,
        whole_train_eval=recipe == "2019",
        comparable=False,
    )
