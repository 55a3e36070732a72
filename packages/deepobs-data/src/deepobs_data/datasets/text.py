"""Character-level text: `tolstoi`, and `text` for a file of one's own."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from deepobs_data.dataset import Dataset
from deepobs_data.dataset_info import DatasetInfo
from deepobs_data.files.characters import encode_text, train_length
from deepobs_data.files.fetch import read_arrays
from deepobs_data.partition import Recipe, check_recipe, check_valid_size
from deepobs_data.registry import info
from deepobs_data.table import Table


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
    return load_text(
        info("tolstoi"),
        root,
        valid_size=valid_size,
        recipe=recipe,
        seq_length=seq_length,
        offline=offline,
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
    cut = train_length(len(ids), test_fraction)
    return text_dataset(
        Path(path).stem,
        torch.from_numpy(ids[:cut]),
        torch.from_numpy(ids[cut:]),
        vocabulary,
        valid_size=valid_size,
        seq_length=seq_length,
        comparable=False,
    )


def load_text(
    row: DatasetInfo,
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
    seq_length: int | None = None,
    offline: bool | None = None,
) -> Dataset:
    """Read a text and cut it into windows; arguments and errors are those of `tolstoi`."""
    check_recipe(recipe)
    seq_length = row.x_shape[0] if seq_length is None else seq_length
    _check_seq_length(seq_length)
    arrays = read_arrays(row, root, offline=offline)
    return text_dataset(
        row.name,
        torch.from_numpy(arrays["train"]),
        torch.from_numpy(arrays["test"]),
        "".join(map(chr, arrays["vocabulary"])),
        valid_size=valid_size,
        seq_length=seq_length,
        whole_train_eval=recipe == "2019",
    )


def text_dataset(
    name: str,
    train_ids: Tensor,
    test_ids: Tensor,
    vocabulary: str,
    *,
    valid_size: int,
    seq_length: int,
    whole_train_eval: bool = False,
    comparable: bool = True,
) -> Dataset:
    """Cut character numbers (n,) and (m,) into the splits of a text data set."""
    train, test = _windows(train_ids, seq_length), _windows(test_ids, seq_length)
    if not len(test) or not len(train):
        raise ValueError(
            f"{len(train_ids) + len(test_ids)} characters are too few: train has {len(train)} and "
            f"test {len(test)} windows of {seq_length}; each needs at least one."
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


def _check_seq_length(seq_length: int) -> None:
    if seq_length < 1:
        raise ValueError(f"seq_length is {seq_length}; it must be at least 1.")
