"""The image sets that fit into memory, and how arrays become a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from deepobs_data.dataset import Dataset
from deepobs_data.dataset_info import DatasetInfo
from deepobs_data.datasets.catalog import ROWS
from deepobs_data.files.fetch import read_arrays
from deepobs_data.files.sources import resolve
from deepobs_data.image_ops import normalize_channels, scale_to_unit, standardize
from deepobs_data.partition import Recipe, check_recipe, partition_rows
from deepobs_data.registry import info
from deepobs_data.table import Table

Normalization = Literal["image", "channel"]
"""Standardise by mean and deviation of the image, or of the channels of the training set."""

CHANNEL_STATISTICS = {row.name: row.channel_statistics for row in ROWS if row.channel_statistics}
"""Mean and standard deviation of each channel on the scale [0, 1], of the training images."""


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
        valid_size: Number of validation examples, taken from train; 0 for none.
        recipe: Both recipes give the same tables.
        offline: Never download; default `$DEEPOBS_OFFLINE`.

    Raises:
        DataNotFoundError: Files are missing and may not or cannot be downloaded.
        DamagedFileError: A file does not have the content it must have.
        ValueError: `valid_size` or `recipe` is not allowed.
    """
    return load_arrays(info("mnist"), root, valid_size=valid_size, recipe=recipe, offline=offline)


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
    return load_arrays(info("fmnist"), root, valid_size=valid_size, recipe=recipe, offline=offline)


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
    return load_arrays(
        info("cifar10"),
        root,
        valid_size=valid_size,
        recipe=recipe,
        augment=augment,
        normalization=normalization,
        offline=offline,
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
    return load_arrays(
        info("cifar100"),
        root,
        valid_size=valid_size,
        recipe=recipe,
        augment=augment,
        normalization=normalization,
        offline=offline,
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
    return load_arrays(
        info("svhn"),
        root,
        valid_size=valid_size,
        recipe=recipe,
        augment=augment,
        normalization=normalization,
        offline=offline,
    )


def load_arrays(
    row: DatasetInfo,
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
    augment: bool = True,
    normalization: Normalization = "image",
    offline: bool | None = None,
) -> Dataset:
    """Read the arrays of an in-memory set and cut them into splits.

    Arguments and errors are those of `mnist` and `cifar10`.
    """
    check_recipe(recipe)
    transform = make_transform(row, normalization)
    arrays = read_arrays(row, root, offline=offline)
    return make_dataset(
        row,
        {name: torch.from_numpy(array) for name, array in arrays.items()},
        transform=transform,
        valid_size=valid_size,
        recipe=recipe,
        augment=augment,
    )


def make_dataset(
    row: DatasetInfo,
    tensors: Mapping[str, Tensor],
    *,
    transform: Callable[[Tensor], Tensor] | None,
    valid_size: int,
    recipe: Recipe,
    augment: bool = True,
    comparable: bool = True,
) -> Dataset:
    """Cut tensors into splits that share storage.

    Args:
        row: What is known about the set.
        tensors: `train_x`, `train_y`, `test_x`, `test_y`.
        transform: Batched preparation of the inputs, after the augmentation.
        valid_size: Number of validation examples, taken from train.
        recipe: "2019" applies `row.change_2019`, and train_eval takes draws.
        augment: Whether the data set has an augmentation.
        comparable: False for a stand-in.
    """
    if recipe == "2019" and row.change_2019 is not None:
        tensors = resolve(row.change_2019)(tensors)
    x, y = tensors["train_x"], tensors["train_y"]
    rows = partition_rows(len(x), row.train_eval_size, valid_size)
    operation = resolve(row.augment) if augment and row.augment is not None else None
    evaluated = operation if recipe == "2019" else None
    return Dataset(
        name=row.name,
        train=Table(x, y, transform, operation, rows.train),
        train_eval=Table(x, y, transform, evaluated, rows.train_eval),
        valid=None if rows.valid is None else Table(x, y, transform, rows=rows.valid),
        test=Table(tensors["test_x"], tensors["test_y"], transform),
        augment=operation,
        classes=row.classes,
        comparable=comparable,
    )


def make_transform(
    row: DatasetInfo, normalization: Normalization = "image"
) -> Callable[[Tensor], Tensor] | None:
    """What follows the augmentation: images are scaled, or standardised; tables stay.

    Raises:
        ValueError: `normalization` is unknown.
    """
    if normalization not in get_args(Normalization):
        raise ValueError(
            f"Unknown normalization {normalization!r}; allowed are 'image' and 'channel'."
        )
    if row.kind != "image":
        return None
    if row.channel_statistics is None:
        return scale_to_unit
    if normalization == "image":
        return partial(standardize, inplace=True)
    mean, std = row.channel_statistics
    return partial(normalize_channels, mean=mean, std=std, inplace=True)


def shift_images_by_a_byte(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """CIFAR-100 as the original read it, from one byte too early."""
    parts = {
        f"{part}_x": shift_by_a_byte(tensors[f"{part}_x"], tensors[f"{part}_y"])
        for part in ("train", "test")
    }
    return {**tensors, **parts}


def shift_by_a_byte(x: Tensor, y: Tensor) -> Tensor:
    """Images (N, 3, 32, 32) uint8 with the label y (N,) for the first value.

    In the order of the file (red, green, blue plane) the label comes first, then all values but
    the last.
    """
    flat = x.flatten(1)
    shifted = torch.cat([y.to(torch.uint8).unsqueeze(1), flat[:, :-1]], dim=1)
    return shifted.view(x.shape)


def keep_64000_images(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """SVHN's first 64,000 training images, all that the original used."""
    parts = {name: tensors[name][:64_000] for name in ("train_x", "train_y")}
    return {**tensors, **parts}
