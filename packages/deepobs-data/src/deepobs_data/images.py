"""The image sets that fit into memory."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from deepobs_data.files import find_folders, not_found
from deepobs_data.idx import read_idx
from deepobs_data.partition import Recipe, check_recipe, partition_rows
from deepobs_data.roots import resolve_root
from deepobs_data.shapes import Dataset
from deepobs_data.sources import SOURCES
from deepobs_data.table import Table


def scale_to_unit(x: Tensor) -> Tensor:
    """Scale bytes 0..255 to float32 in [0, 1]: any shape in, the same shape out."""
    return x.to(torch.float32).div_(255.0)


def fmnist(
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
) -> Dataset:
    """Fashion-MNIST: 60,000 + 10,000 grey images (1, 28, 28) in [0, 1], 10 kinds of clothing.

    Source: Xiao, Rasul and Vollgraf, 2017; prepared as in DeepOBS 1.1.2,
    deepobs/tensorflow/datasets/fmnist.py (divided by 255, no augmentation).

    Args:
        root: Folder with the data; default `$DEEPOBS_DATA_DIR`, else the user's cache folder.
        valid_size: Rows held out of train for validation; 0 for none.
        recipe: Both recipes give the same tables.

    Raises:
        DataNotFoundError: The files are not there.
        DamagedFileError: A file does not have the content it must have.
        ValueError: `valid_size` or `recipe` is not allowed.
    """
    check_recipe(recipe)
    root = resolve_root(root)
    folders = find_folders(SOURCES["fmnist"], root)
    if not folders:
        raise not_found("fmnist", root, "was not downloaded")
    sums = {file.name: file.md5 for file in SOURCES["fmnist"].files}
    data = {n: torch.from_numpy(read_idx(p, sums[n])) for n, p in folders[0].items()}
    train_x = data["train-images-idx3-ubyte"].unsqueeze(1)  # (60000, 1, 28, 28)
    train_y = data["train-labels-idx1-ubyte"].to(torch.int64)
    rows = partition_rows(len(train_x), 10_000, valid_size)
    return Dataset(
        name="fmnist",
        train=Table(train_x, train_y, scale_to_unit, rows=rows.train),
        train_eval=Table(train_x, train_y, scale_to_unit, rows=rows.train_eval),
        valid=None
        if rows.valid is None
        else Table(train_x, train_y, scale_to_unit, rows=rows.valid),
        test=Table(
            data["t10k-images-idx3-ubyte"].unsqueeze(1),
            data["t10k-labels-idx1-ubyte"].to(torch.int64),
            scale_to_unit,
        ),
    )
