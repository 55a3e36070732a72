"""Made-up data in the shapes of the real sets, for tests, demos and estimates of run times."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from deepobs_data.dataset import Dataset
from deepobs_data.dataset_info import DatasetInfo
from deepobs_data.datasets.diagnostic import answers
from deepobs_data.datasets.imagenet import prepare_imagenet
from deepobs_data.datasets.images import Normalization, make_dataset, make_transform
from deepobs_data.datasets.synthetic import noise_in_training
from deepobs_data.datasets.text import text_dataset
from deepobs_data.files.sources import Reference, resolve
from deepobs_data.partition import Recipe, check_recipe, check_valid_size
from deepobs_data.registry import info
from deepobs_data.table import Table
from deepobs_data.types import Order, Split


def synthetic_like(
    name: str,
    n: int | None = None,
    seed: int = 0,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
    augment: bool = True,
    normalization: Normalization = "image",
    seq_length: int | None = None,
    order: Order | None = None,
) -> Dataset:
    """Data with the shapes, types, augmentation and splits of a real set, made from a seed.

    Images of a class share a blurred pattern under noise, text repeats letter pairs, so that
    training lowers the loss; nothing else about them is real, and `comparable` is false.

    Args:
        name: One of `list_datasets()`.
        n: Training examples (before validation examples are taken); default 512, for ImageNet 128.
            test has half as many; so has train_eval, but where the real one is all of train (the
            synthetic sets, and `tolstoi` in recipe "2019").
        seed: Same seed, same data.
        valid_size: Number of validation examples, taken from train; 0 for none.
        recipe: As for the real set.
        augment: As for the real set.
        normalization: As for the real set.
        seq_length: Of a text: characters in a window.
        order: Of a text: as for the real set.

    Raises:
        ValueError: An argument is not allowed.
    """
    row = info(name)
    check_recipe(recipe)
    if n is None:
        n = 128 if math.prod(row.x_shape) > 100_000 else 512
    if n < 2:
        raise ValueError(f"n is {n}; a stand-in needs at least 2 training examples.")
    cut = {"seq_length": seq_length, "order": order} if row.kind == "text" else {}
    if not cut and (seq_length is not None or order is not None):
        raise ValueError(f"seq_length and order are for texts; {name} has examples of {row.kind}s.")
    made: Dataset = resolve(row.stand_in or _STAND_INS[row.kind])(
        row,
        n,
        torch.Generator().manual_seed(seed),
        valid_size=valid_size,
        recipe=recipe,
        augment=augment,
        normalization=normalization,
        **cut,
    )
    return made


def image_like(
    row: DatasetInfo,
    n: int,
    generator: torch.Generator,
    *,
    normalization: Normalization = "image",
    stored_shape: tuple[int, ...] | None = None,
    transform: Callable[[Tensor], Tensor] | None = None,
    first_label: int = 0,
    **options: Any,
) -> Dataset:
    """Images with a blurred pattern for each class, under noise.

    Args:
        row: The set to imitate.
        n: Training examples.
        generator: Of the random numbers.
        normalization: As for `cifar10`.
        stored_shape: Of an image before the transform, if not that of `row`.
        transform: Batched preparation, if not that of `row`.
        first_label: Smallest label that occurs.
        options: Passed on to `make_dataset`.
    """
    default = make_transform(row, normalization)
    total = n + n // 2
    shape = row.x_shape if stored_shape is None else stored_shape
    y = torch.randint(first_label, max(row.num_classes, 1), (total,), generator=generator)
    coarse = torch.rand(max(row.num_classes, 1), shape[0], 4, 4, generator=generator)
    x = torch.empty(total, *shape, dtype=torch.uint8)
    for rows in torch.split(torch.arange(total), 64):  # in pieces: floats take four times the room
        pattern = F.interpolate(coarse[y[rows]], size=shape[1:], mode="bilinear")
        noise = torch.rand(len(rows), *shape, generator=generator)
        x[rows] = ((pattern + noise) * 127.5).to(torch.uint8)
    return _cut(row, n, x, y, default if transform is None else transform, **options)


def imagenet_like(
    row: DatasetInfo,
    n: int,
    generator: torch.Generator,
    *,
    normalization: Normalization = "image",
    **options: Any,
) -> Dataset:
    """Images as `imagenet` decodes them; class 0, "background", never occurs."""
    return image_like(
        row,
        n,
        generator,
        normalization=normalization,
        stored_shape=(3, 256, 256),
        transform=partial(prepare_imagenet, normalization=normalization),
        first_label=1,
        **options,
    )


def table_like(
    row: DatasetInfo, n: int, generator: torch.Generator, *, normalization: str = "", **options: Any
) -> Dataset:
    """Normal inputs; targets are a random linear function of them, or its largest entry."""
    total = n + n // 2
    x = torch.randn(total, *row.x_shape, generator=generator)
    outputs = row.num_classes or math.prod(row.y_shape)
    weights = torch.randn(x[0].numel(), outputs, generator=generator)
    y = x.flatten(1) @ weights / math.sqrt(len(weights))  # (total, outputs)
    y = y.argmax(1) if row.num_classes else y.reshape(total, *row.y_shape)
    x, y = x.to(getattr(torch, row.x_dtype)), y.to(getattr(torch, row.y_dtype))
    return _cut(row, n, x, y, None, **options)


def _cut(
    row: DatasetInfo,
    n: int,
    x: Tensor,
    y: Tensor,
    transform: Callable[[Tensor], Tensor] | None,
    **options: Any,
) -> Dataset:
    """The first n examples are train, the rest is test."""
    tensors = {"train_x": x[:n], "train_y": y[:n], "test_x": x[n:], "test_y": y[n:]}
    return make_dataset(row, tensors, transform=transform, comparable=False, **options)


def quadratic_like(
    row: DatasetInfo, n: int, generator: torch.Generator, *, valid_size: int, **_: Any
) -> Dataset:
    """The noise of the quadratic, from the seed of the stand-in."""
    return _noise(row, n, generator, valid_size, scale=0.6)


def two_d_like(
    row: DatasetInfo, n: int, generator: torch.Generator, *, valid_size: int, **_: Any
) -> Dataset:
    """The noise of the two-dimensional functions; test is without."""
    made = _noise(row, n, generator, valid_size)
    return replace(made, test=Table(torch.zeros(n // 2, *row.x_shape), torch.zeros(n // 2)))


def nqm_like(
    row: DatasetInfo, n: int, generator: torch.Generator, *, valid_size: int, **_: Any
) -> Dataset:
    """The noise of the noisy quadratic; all splits but train are without."""
    check_valid_size(valid_size, n)
    x = torch.randn(n, *row.x_shape, generator=generator)
    made = noise_in_training(row.name, Table(x, torch.zeros(n)), n // 2, valid_size)
    return replace(made, comparable=False)


def attention_teacher_like(
    row: DatasetInfo, n: int, generator: torch.Generator, *, valid_size: int, **_: Any
) -> Dataset:
    """Normal sequences and the answers of the teacher."""
    check_valid_size(valid_size, n)

    def rows(count: int) -> Table:
        x = torch.randn(count, *row.x_shape, generator=generator)
        return Table(x, answers(x))

    train = rows(n)
    return Dataset(
        name=row.name,
        train=train,
        train_eval=Table(train.x[: n // 2], train.y[: n // 2]),
        valid=rows(valid_size) if valid_size else None,
        test=rows(n // 2),
        comparable=False,
    )


def some_rows(
    row: DatasetInfo,
    n: int,
    generator: torch.Generator,
    *,
    valid_size: int,
    recipe: Recipe,
    **_: Any,
) -> Dataset:
    """Rows of a set that is made, chosen by the seed of the stand-in."""
    assert row.load is not None
    whole: Dataset = resolve(row.load)(valid_size=valid_size, recipe=recipe)

    def some(split: Split, count: int) -> Table:
        assert isinstance(split, Table)
        chosen = torch.randperm(len(split), generator=generator)[:count]
        return replace(split, rows=chosen if split.rows is None else split.rows[chosen])

    train = some(whole.train, n)
    return replace(
        whole,
        train=train,
        train_eval=train if whole.train is whole.train_eval else some(whole.train_eval, n // 2),
        valid=None if whole.valid is None else some(whole.valid, valid_size),
        test=some(whole.test, n // 2),
        comparable=False,
    )


def _noise(
    row: DatasetInfo, n: int, generator: torch.Generator, valid_size: int, scale: float = 1.0
) -> Dataset:
    check_valid_size(valid_size, n)

    def rows(count: int) -> Table:
        x = torch.randn(count, *row.x_shape, generator=generator) * scale
        return Table(x, torch.zeros(count))

    train, test = rows(n), rows(n // 2)
    return Dataset(
        name=row.name,
        train=train,
        train_eval=train,
        valid=rows(valid_size) if valid_size else None,
        test=test,
        comparable=False,
    )


def text_like(
    row: DatasetInfo,
    n: int,
    generator: torch.Generator,
    *,
    valid_size: int,
    recipe: Recipe,
    seq_length: int | None = None,
    order: Order | None = None,
    **_: Any,
) -> Dataset:
    """Characters each of which has a usual successor, taken half of the time."""
    seq_length = row.x_shape[0] if seq_length is None else seq_length
    classes = row.num_classes
    train, test = n * seq_length + 1, n // 2 * seq_length + 1
    successor = torch.randperm(classes, generator=generator).tolist()
    free = torch.randint(0, classes, (train + test,), generator=generator).tolist()
    usual = (torch.rand(train + test, generator=generator) < 0.5).tolist()
    ids = [0]
    for character, follows in zip(free[1:], usual[1:], strict=True):
        ids.append(successor[ids[-1]] if follows else character)
    numbers = torch.tensor(ids, dtype=torch.int64)
    return text_dataset(
        row.name,
        numbers[:train],
        numbers[train:],
        "",
        valid_size=valid_size,
        seq_length=seq_length,
        order=row.order if order is None else order,
        whole_train_eval=recipe == "2019" and row.order == "stateful",
        comparable=False,
    )


_STAND_INS: dict[str, Reference] = {"image": image_like, "table": table_like, "text": text_like}
