"""The image sets that fit into memory: MNIST, Fashion-MNIST, CIFAR-10, CIFAR-100 and SVHN."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from deepobs_data.augment import CIFAR_AUGMENT, SVHN_AUGMENT
from deepobs_data.dataset_info import info
from deepobs_data.datasets.load import load_tensors
from deepobs_data.image_ops import normalize_channels, scale_to_unit, standardize
from deepobs_data.partition import Recipe, check_recipe, partition_rows
from deepobs_data.table import Table
from deepobs_data.types import Augment, Dataset

Normalization = Literal["image", "channel"]
"""Standardise by mean and deviation of the image, or of the channels of the training set."""

CHANNEL_STATISTICS = {
    "cifar10": (
        (0.49139968, 0.48215841, 0.44653091),
        (0.24703223, 0.24348513, 0.26158784),
    ),
    "cifar100": (
        (0.50707516, 0.48654887, 0.44091784),
        (0.26733429, 0.25643846, 0.27615047),
    ),
    "svhn": ((0.4376821, 0.4437697, 0.47280442), (0.19803012, 0.20101562, 0.19703614)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and standard deviation of each channel on the scale [0, 1], of the training images."""

TRAIN_EVAL_SIZE = {
    "mnist": 10_000,
    "fmnist": 10_000,
    "cifar10": 10_000,
    "cifar100": 10_000,
    "svhn": 26_032,
    "imagenet": 50_000,
}
"""Rows of train_eval, as in DeepOBS 1.1.2."""


def mnist(
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
    offline: bool | None = None,
) -> Dataset:
    """MNIST: 60,000 + 10,000 grey images (1, 28, 28) in [0, 1], 10 digits.

    Source: LeCun et al., 1998; prepared as in DeepOBS 1.1.2,
    deepobs/tensorflow/datasets/mnist.py (divided by 255, no augmentation).

    Args:
        root: Folder with the data; default `$DEEPOBS_DATA_DIR`, else the user's cache folder.
            Missing files are downloaded into it.
        valid_size: Rows held out of train for validation; 0 for none.
        recipe: Both recipes give the same tables.
        offline: Never download; default `$DEEPOBS_OFFLINE`.

    Raises:
        DataNotFoundError: Files are missing and may not or cannot be downloaded.
        DamagedFileError: A file does not have the content it must have.
        ValueError: `valid_size` or `recipe` is not allowed.
    """
    check_recipe(recipe)
    tensors = load_tensors("mnist", root, offline)
    return make_dataset("mnist", tensors, valid_size=valid_size, transform=scale_to_unit)


def fmnist(
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
    offline: bool | None = None,
) -> Dataset:
    """Fashion-MNIST: 60,000 + 10,000 grey images (1, 28, 28) in [0, 1], 10 kinds of clothing.

    Source: Xiao, Rasul and Vollgraf, 2017; prepared as in DeepOBS 1.1.2,
    deepobs/tensorflow/datasets/fmnist.py (divided by 255, no augmentation). Arguments and errors
    are those of `mnist`.
    """
    check_recipe(recipe)
    tensors = load_tensors("fmnist", root, offline)
    return make_dataset("fmnist", tensors, valid_size=valid_size, transform=scale_to_unit)


def cifar10(
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
    augment: bool = True,
    normalization: Normalization = "image",
    offline: bool | None = None,
) -> Dataset:
    """CIFAR-10: 50,000 + 10,000 colour images (3, 32, 32), 10 classes.

    Source: Krizhevsky, 2009; prepared as in DeepOBS 1.1.2,
    deepobs/tensorflow/datasets/cifar10.py. Training images are cropped from a padded frame,
    flipped and changed in brightness, saturation and contrast (`CIFAR_AUGMENT`); then every image
    is standardised.

    Args:
        root: As for `mnist`.
        valid_size: As for `mnist`.
        recipe: "2019": train_eval takes draws too, for the original augments it.
        augment: Whether the data set has an augmentation.
        normalization: "image" standardises every image by its own mean and deviation, as the
            original; "channel" every channel by those of the training set.
        offline: As for `mnist`.

    Raises:
        DataNotFoundError: As for `mnist`, likewise the other errors.
    """
    check_recipe(recipe)
    transform = make_transform("cifar10", normalization)
    return make_dataset(
        "cifar10",
        load_tensors("cifar10", root, offline),
        valid_size=valid_size,
        transform=transform,
        augment=CIFAR_AUGMENT if augment else None,
        eval_draws=recipe == "2019",
    )


def cifar100(
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
    augment: bool = True,
    normalization: Normalization = "image",
    offline: bool | None = None,
) -> Dataset:
    """CIFAR-100: 50,000 + 10,000 colour images (3, 32, 32), 100 (fine) classes.

    Source: Krizhevsky, 2009; prepared as in DeepOBS 1.1.2,
    deepobs/tensorflow/datasets/cifar100.py, which reads every image one byte early: its first
    value is the label, all others are shifted by one, the last is lost. Recipe "2019" repeats
    that, "standard" reads them as they are. All else is as for `cifar10`.
    """
    check_recipe(recipe)
    transform = make_transform("cifar100", normalization)
    tensors = load_tensors("cifar100", root, offline)
    if recipe == "2019":
        for part in ("train", "test"):
            tensors[f"{part}_x"] = shift_by_a_byte(tensors[f"{part}_x"], tensors[f"{part}_y"])
    return make_dataset(
        "cifar100",
        tensors,
        valid_size=valid_size,
        transform=transform,
        augment=CIFAR_AUGMENT if augment else None,
        eval_draws=recipe == "2019",
    )


def svhn(
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
    augment: bool = True,
    normalization: Normalization = "image",
    offline: bool | None = None,
) -> Dataset:
    """SVHN, cropped digits: 73,257 + 26,032 colour images (3, 32, 32), 10 classes.

    Source: Netzer et al., 2011; prepared as in DeepOBS 1.1.2, deepobs/tensorflow/datasets/svhn.py:
    augmented like CIFAR but never flipped (`SVHN_AUGMENT`), then standardised. The original uses
    only the first 64,000 training images; so does recipe "2019". All else is as for `cifar10`.
    """
    check_recipe(recipe)
    transform = make_transform("svhn", normalization)
    tensors = load_tensors("svhn", root, offline)
    if recipe == "2019":
        tensors["train_x"] = tensors["train_x"][:64_000]
        tensors["train_y"] = tensors["train_y"][:64_000]
    return make_dataset(
        "svhn",
        tensors,
        valid_size=valid_size,
        transform=transform,
        augment=SVHN_AUGMENT if augment else None,
        eval_draws=recipe == "2019",
    )


def shift_by_a_byte(x: Tensor, y: Tensor) -> Tensor:
    """CIFAR-100 as the original read it, from one byte too early.

    In the order of the file (red, green, blue plane) the label comes first, then all values but
    the last. x (N, 3, 32, 32) uint8 and y (N,) -> (N, 3, 32, 32) uint8.
    """
    flat = x.flatten(1)
    shifted = torch.cat([y.to(torch.uint8).unsqueeze(1), flat[:, :-1]], dim=1)
    return shifted.view(x.shape)


def make_transform(name: str, normalization: Normalization) -> Callable[[Tensor], Tensor]:
    """What follows the augmentation of a colour set.

    Raises:
        ValueError: `normalization` is unknown.
    """
    if normalization not in get_args(Normalization):
        raise ValueError(
            f"Unknown normalization {normalization!r}; allowed are 'image' and 'channel'."
        )
    if normalization == "image":
        return partial(standardize, inplace=True)
    mean, std = CHANNEL_STATISTICS[name]
    return partial(normalize_channels, mean=mean, std=std, inplace=True)


def make_dataset(
    name: str,
    tensors: Mapping[str, Tensor],
    *,
    valid_size: int,
    transform: Callable[[Tensor], Tensor],
    augment: Augment | None = None,
    eval_draws: bool = False,
    train_eval_size: int | None = None,
    comparable: bool = True,
) -> Dataset:
    """Cut image tensors into splits that share storage; `eval_draws`: train_eval takes draws."""
    x, y = tensors["train_x"], tensors["train_y"]
    size = TRAIN_EVAL_SIZE[name] if train_eval_size is None else train_eval_size
    rows = partition_rows(len(x), size, valid_size)
    return Dataset(
        name=name,
        train=Table(x, y, transform, augment, rows.train),
        train_eval=Table(x, y, transform, augment if eval_draws else None, rows.train_eval),
        valid=None if rows.valid is None else Table(x, y, transform, rows=rows.valid),
        test=Table(tensors["test_x"], tensors["test_y"], transform),
        augment=augment,
        classes=info(name).classes,
        comparable=comparable,
    )
