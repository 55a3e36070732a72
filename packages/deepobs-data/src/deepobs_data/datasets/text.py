"""Character-level text: `tolstoi`, `shakespeare`, and `text` for your own file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from deepobs_data.dataset import Dataset
from deepobs_data.dataset_info import DatasetInfo
from deepobs_data.files.characters import encode_text, train_length
from deepobs_data.files.fetch import read_arrays
from deepobs_data.partition import Recipe, check_recipe, check_valid_size
from deepobs_data.registry import info
from deepobs_data.table import Table
from deepobs_data.types import Order
from deepobs_data.windows import RandomPhase, Windows


def tolstoi(
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
    seq_length: int = 50,
    order: Order = "stateful",
    offline: bool | None = None,
) -> Dataset:
    """War and Peace, character by character: 83 characters, 80 % train, 20 % test.

    An example is a window of `seq_length` characters: x and y are (seq_length,) int64, y is x one
    character later. Windows follow each other in the order of the text. Valid is the first
    `valid_size` windows, train the rest, train_eval as many windows from the start of train as
    test has.

    Source: DeepOBS 1.1.2, deepobs/tensorflow/datasets/tolstoi.py, deepobs_prepare_data.sh (which
    lines are cut) and deepobs/scripts/_tolstoi_preprocess.py (vocabulary).

    Args:
        root: As for `mnist`.
        valid_size: Number of validation windows, taken from train; 0 for none.
        recipe: "2019": train_eval is all of train, which is what the original evaluates.
        seq_length: Characters in a window.
        order: "stateful" for recurrent networks: read train with `stateful_order`, so that each
            row of a batch continues the row of the batch before. "shuffled" for networks without
            a state: train is a `Windows` split; draws of the data set's `augment` shift its windows
            in every epoch.
        offline: As for `mnist`.

    Raises:
        DataNotFoundError: The file is missing and may not or cannot be downloaded.
        DamagedFileError: The file is not the text of the original: it must have 83 characters
            and 653,237 of them in the test part. Other editions give a warning.
        ValueError: An argument is not allowed.
    """
    return load_text(
        info("tolstoi"),
        root,
        valid_size=valid_size,
        recipe=recipe,
        seq_length=seq_length,
        order=order,
        offline=offline,
    )


def shakespeare(
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
    seq_length: int = 256,
    order: Order = "shuffled",
    offline: bool | None = None,
) -> Dataset:
    """Tiny Shakespeare by characters: 65 characters, 1,003,854 for training, 111,540 for testing.

    The characters are numbered in sorted order, and test is what nanoGPT calls validation, so
    losses compare with those of its `shakespeare_char`. Arguments, splits and errors are those of
    `tolstoi`; both recipes give the same splits.

    Source: karpathy/char-rnn, data/tinyshakespeare; prepared as in karpathy/nanoGPT,
    data/shakespeare_char/prepare.py.
    """
    return load_text(
        info("shakespeare"),
        root,
        valid_size=valid_size,
        recipe=recipe,
        seq_length=seq_length,
        order=order,
        offline=offline,
    )


def text(
    path: Path | str,
    *,
    valid_size: int = 0,
    seq_length: int = 50,
    order: Order = "stateful",
    test_fraction: float = 0.2,
    encoding: str = "utf-8",
) -> Dataset:
    """Your own text, cut and numbered like `tolstoi`.

    Its vocabulary differs from that of `tolstoi` (`Dataset.classes`, in the order of the numbers),
    so results are not comparable.

    Args:
        path: A text file; all of it is used.
        valid_size: Number of validation windows, taken from train; 0 for none.
        seq_length: Characters in a window.
        order: As for `tolstoi`.
        test_fraction: Share of the characters at the end that is the test split.
        encoding: How the file is encoded.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: An argument is not allowed, or the text is too short for one window per split.
    """
    if not 0.0 < test_fraction < 1.0:
        raise ValueError(f"test_fraction is {test_fraction}; it must be between 0 and 1.")
    content = Path(path).expanduser().read_bytes()
    ids, vocabulary = encode_text(content.decode(encoding))
    cut = train_length(len(ids), test_fraction)
    return text_dataset(
        Path(path).stem,
        torch.from_numpy(ids[:cut]),
        torch.from_numpy(ids[cut:]),
        vocabulary,
        valid_size=valid_size,
        seq_length=seq_length,
        order=order,
        comparable=False,
    )


def load_text(
    row: DatasetInfo,
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
    seq_length: int | None = None,
    order: Order | None = None,
    offline: bool | None = None,
) -> Dataset:
    """Read a text and cut it into windows; arguments and errors are those of `tolstoi`."""
    check_recipe(recipe)
    arrays = read_arrays(row, root, offline=offline)
    return text_dataset(
        row.name,
        torch.from_numpy(arrays["train"]),
        torch.from_numpy(arrays["test"]),
        "".join(map(chr, arrays["vocabulary"])),
        valid_size=valid_size,
        seq_length=row.x_shape[0] if seq_length is None else seq_length,
        order=row.order if order is None else order,
        whole_train_eval=recipe == "2019" and row.order == "stateful",
    )


def text_dataset(
    name: str,
    train_ids: Tensor,
    test_ids: Tensor,
    vocabulary: str,
    *,
    valid_size: int,
    seq_length: int,
    order: Order,
    whole_train_eval: bool = False,
    comparable: bool = True,
) -> Dataset:
    """Cut character numbers (n,) and (m,) into the splits of a text data set."""
    if order not in get_args(Order):
        raise ValueError(f"Unknown order {order!r}; allowed are 'stateful' and 'shuffled'.")
    train, test = Windows(train_ids, seq_length), Windows(test_ids, seq_length)
    if not len(test) or not len(train):
        raise ValueError(
            f"{len(train_ids) + len(test_ids)} characters are too few: train has {len(train)} and "
            f"test {len(test)} windows of {seq_length}; each needs at least one."
        )
    evaluated = min(len(test), len(train))
    check_valid_size(valid_size, len(train) - evaluated)
    rest = replace(train, ids=train_ids[valid_size * seq_length :])
    fixed = _table(rest)
    phase = RandomPhase(seq_length) if order == "shuffled" else None
    return Dataset(
        name=name,
        train=fixed if phase is None else replace(rest, augment=phase),
        train_eval=fixed if whole_train_eval else Table(fixed.x[:evaluated], fixed.y[:evaluated]),
        valid=_table(train, valid_size) if valid_size else None,
        test=_table(test),
        augment=phase,
        order=order,
        classes=tuple(vocabulary),
        comparable=comparable,
    )


def _table(split: Windows, count: int | None = None) -> Table:
    """The first `count` windows, or all, as a table of views (N, T): the text is stored once."""
    used = (len(split) if count is None else count) * split.seq_length
    x, y = split.ids[:used], split.ids[1 : used + 1]
    return Table(x.view(-1, split.seq_length), y.view(-1, split.seq_length))
