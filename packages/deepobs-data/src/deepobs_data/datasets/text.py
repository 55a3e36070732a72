"""Character-level text: `tolstoi`, and `text` for a file of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepobs_data.files.find import Found
from deepobs_data.files.obtain import use_files
from deepobs_data.files.roots import is_offline, resolve_root
from deepobs_data.files.war_and_peace import (
    TOLSTOI_TEST_LENGTH,
    check_war_and_peace,
    encode_text,
    train_length,
)
from deepobs_data.partition import Recipe, check_recipe, check_valid_size
from deepobs_data.table import Table
from deepobs_data.types import Dataset


def tolstoi(
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
    seq_length: int = 50,
    offline: bool | None = None,
) -> Dataset:
    """War and Peace, character by character: 83 characters, 80 % train, 20 % test.

    An example is a window of `seq_length` characters: x and y are (seq_length,) int64, y is x one
    character later. Windows follow each other in the order of the text; read them with
    `stateful_order` so that each row of a batch continues the row of the batch before. Valid is
    the first `valid_size` windows, train the rest, train_eval as many windows from the start of
    train as test has.

    Source: DeepOBS 1.1.2, deepobs/tensorflow/datasets/tolstoi.py, deepobs_prepare_data.sh (which
    lines are cut) and deepobs/scripts/_tolstoi_preprocess.py (vocabulary).

    Args:
        root: As for `mnist`.
        valid_size: Windows held out of train for validation; 0 for none.
        recipe: "2019": train_eval is all of train, which is what the original evaluates.
        seq_length: Characters in a window.
        offline: As for `mnist`.

    Raises:
        DataNotFoundError: The file is missing and may not or cannot be downloaded.
        DamagedFileError: The file is not the text of the original (it must have 83 characters
            and 653,237 of them in the test part), or has changed since its first use.
        ValueError: An argument is not allowed.
    """
    check_recipe(recipe)
    _check_seq_length(seq_length)
    ids, vocabulary = use_files(
        "tolstoi", resolve_root(root), _read_tolstoi, offline=is_offline(offline)
    )
    return text_dataset(
        "tolstoi",
        torch.from_numpy(ids),
        vocabulary,
        test_length=TOLSTOI_TEST_LENGTH,
        valid_size=valid_size,
        seq_length=seq_length,
        whole_train_eval=recipe == "2019",
    )


def text(
    path: Path | str,
    *,
    valid_size: int = 0,
    seq_length: int = 50,
    test_fraction: float = 0.2,
    encoding: str = "utf-8",
) -> Dataset:
    """A text of one's own, cut and numbered like `tolstoi`.

    It has its own vocabulary (`Dataset.classes`, in the order of the numbers), so it makes another
    problem than `tolstoi`: results are not comparable.

    Args:
        path: A text file; all of it is used.
        valid_size: Windows held out of train for validation; 0 for none.
        seq_length: Characters in a window.
        test_fraction: Share of the characters at the end that is the test split.
        encoding: How the file is encoded.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: An argument is not allowed, or the text is too short for one window a split.
    """
    _check_seq_length(seq_length)
    if not 0.0 < test_fraction < 1.0:
        raise ValueError(f"test_fraction is {test_fraction}; it must lie between 0 and 1.")
    content = Path(path).expanduser().read_bytes()
    ids, vocabulary = encode_text(content.decode(encoding))
    return text_dataset(
        Path(path).stem,
        torch.from_numpy(ids),
        vocabulary,
        test_length=len(ids) - train_length(len(ids), test_fraction),
        valid_size=valid_size,
        seq_length=seq_length,
        comparable=False,
    )


def text_dataset(
    name: str,
    ids: Tensor,
    vocabulary: str,
    *,
    test_length: int,
    valid_size: int,
    seq_length: int,
    whole_train_eval: bool = False,
    comparable: bool = True,
) -> Dataset:
    """Cut character numbers (n,) into the splits of a text data set; test comes last."""
    cut = len(ids) - test_length
    test = _windows(ids[cut:], seq_length)
    train = _windows(ids[:cut], seq_length)
    if not len(test) or not len(train):
        raise ValueError(
            f"{len(ids)} characters are too few: train has {len(train)} and test {len(test)} "
            f"windows of {seq_length}; each needs at least one."
        )
    evaluated = min(len(test), len(train))
    check_valid_size(valid_size, len(train) - evaluated)
    rest = Table(train.x[valid_size:], train.y[valid_size:])
    return Dataset(
        name=name,
        train=rest,
        train_eval=rest if whole_train_eval else Table(rest.x[:evaluated], rest.y[:evaluated]),
        valid=Table(train.x[:valid_size], train.y[:valid_size]) if valid_size else None,
        test=test,
        order="stateful",
        classes=tuple(vocabulary),
        comparable=comparable,
    )


def _windows(ids: Tensor, seq_length: int) -> Table:
    """All windows of (n,) ids that have a following character: x and y (N, seq_length)."""
    used = max(len(ids) - 1, 0) // seq_length * seq_length
    # Views: the text is stored once.
    return Table(ids[:used].view(-1, seq_length), ids[1 : used + 1].view(-1, seq_length))


def _read_tolstoi(found: Found) -> tuple[np.ndarray, str]:
    return check_war_and_peace(found.paths["war-and-peace.txt"], record=True)


def _check_seq_length(seq_length: int) -> None:
    if seq_length < 1:
        raise ValueError(f"seq_length is {seq_length}; it must be at least 1.")
