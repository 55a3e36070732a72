"""Generated data in place of a problem's own: for checks and dry runs without a download."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from deepobs_data import Dataset, Recipe, Split, Table, synthetic_like

DataFunction = Callable[..., Dataset]
"""Called with `(root, valid_size=, recipe=)`, as the functions of `deepobs_data` are."""


def stand_in(name: str, n: int | None = None, *, evaluated: int | None = None) -> DataFunction:
    """Data function of generated examples in the shapes of the data set `name`.

    Args:
        name: a data set of `deepobs_data`.
        n: training examples; None leaves the number to `deepobs_data.synthetic_like`, which also
            documents the sizes of the other splits.
        evaluated: at most as many examples in train_eval and test, for networks that are slow
            without a GPU; None keeps all.
    """
    return partial(_generate, name, n, evaluated)


def _generate(
    name: str,
    n: int | None,
    evaluated: int | None,
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
) -> Dataset:
    dataset = synthetic_like(name, n, valid_size=valid_size, recipe=recipe)
    if evaluated is None:
        return dataset
    return replace(
        dataset,
        train_eval=_first(dataset.train_eval, evaluated),
        test=_first(dataset.test, evaluated),
    )


def _first(split: Split, count: int) -> Table:
    """First `count` rows of a table."""
    table = require_table(split, "Generated data is cut to its first rows")
    rows = torch.arange(len(table.x)) if table.rows is None else table.rows
    return replace(table, rows=rows[:count])


def require_table(split: Split, why: str) -> Table:
    """Split, which must be a table; `why` begins the message if it is not."""
    if not isinstance(split, Table):
        raise TypeError(f"{why}, which needs a deepobs_data.Table; got a {type(split).__name__}.")
    return split
