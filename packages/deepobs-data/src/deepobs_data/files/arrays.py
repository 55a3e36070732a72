"""Check of decoded arrays against the row of their data set."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from deepobs_data.dataset_info import DatasetInfo


def check_arrays(row: DatasetInfo, arrays: Mapping[str, np.ndarray]) -> None:
    """Compare names, shapes, types and the range of the labels with the row.

    Raises:
        ValueError: They do not match; the message names the array.
    """
    parts = {"train": row.train_size, "test": row.test_size}
    if row.kind == "text":
        _require(row, "names", sorted(arrays), ["test", "train", "vocabulary"])
        _require(row, "the vocabulary", len(arrays["vocabulary"]), row.num_classes)
        for part in parts:
            _require(row, f"axes of {part}", arrays[part].ndim, 1)
            _check_labels(row, part, arrays[part])
        return
    _require(row, "names", sorted(arrays), sorted(f"{part}_{v}" for part in parts for v in "xy"))
    for part, size in parts.items():
        x, y = arrays[f"{part}_x"], arrays[f"{part}_y"]
        _require(row, f"shape of {part}_x", x.shape, (size, *row.x_shape))
        _require(row, f"shape of {part}_y", y.shape, (size, *row.y_shape))
        kind = "uint8" if row.kind == "image" else row.x_dtype
        _require(row, f"type of {part}_x", str(x.dtype), kind)
        _require(row, f"type of {part}_y", str(y.dtype), row.y_dtype)
        if row.num_classes:
            _check_labels(row, f"{part}_y", y)


def _check_labels(row: DatasetInfo, name: str, labels: np.ndarray) -> None:
    if labels.size and not 0 <= labels.min() <= labels.max() < row.num_classes:
        raise ValueError(
            f"{row.name}: {name} holds {labels.min()} to {labels.max()}, "
            f"expected 0 to {row.num_classes - 1}."
        )


def _require(row: DatasetInfo, what: str, found: object, expected: object) -> None:
    if found != expected:
        raise ValueError(f"{row.name}: {what} is {found}, expected {expected}.")
