"""Points of the Poisson equation on the unit square, for physics-informed networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from deepobs_data.dataset import Dataset
from deepobs_data.partition import Recipe, check_recipe, check_valid_size
from deepobs_data.table import Table

_CELLS = 29  # of the training grid, in each direction
_TEST_CELLS = 199
_MOST_VALID = 100_000


def poisson(
    root: Path | str | None = None, *, valid_size: int = 0, recipe: Recipe = "standard"
) -> Dataset:
    """Points for -Δu = f on the unit square with u = 0 on its boundary, no download.

    The solution is u = sin(πx₁) sin(πx₂), so f = 2π²u. x (2,) float64 is a point, y (3,) float64
    the weights of equation and boundary in the loss, and u. Train and train_eval are the 784 inner
    points of the grid of width 1/29 with equation weight 900/784, and its 116 boundary points with
    weight 4·900/116 (4 is the length of the boundary): the mean over all 900 is the mean residual
    plus four times the mean boundary term. Test are the 39,204 inner points of the grid of width
    1/199, valid uniform points of RandomState(44), both with weights 1 and 0. An epoch is 500 steps
    with all points.

    Source: J. Müller, M. Zeinhofer: Achieving high accuracy with PINNs via energy natural gradient
    descent. ICML 2023, arXiv 2302.13163.

    Args:
        root: Ignored; nothing is read.
        valid_size: Points of the validation split, at most 100,000; 0 for none.
        recipe: Both recipes give the same tables.

    Raises:
        ValueError: `valid_size` or `recipe` is not allowed.
    """
    check_recipe(recipe)
    check_valid_size(valid_size, _MOST_VALID)
    grid = _grid(np.arange(_CELLS + 1) / _CELLS)
    on_boundary = ((grid == 0) | (grid == 1)).any(axis=1)
    inner, boundary = grid[~on_boundary], grid[on_boundary]
    points, total = np.concatenate([inner, boundary]), len(grid)
    equation = np.repeat([total / len(inner), 0.0], [len(inner), len(boundary)])
    edge = np.repeat([0.0, 4 * total / len(boundary)], [len(inner), len(boundary)])
    train = _table(points, equation, edge)
    valid = np.random.RandomState(44).uniform(size=(valid_size, 2))
    return Dataset(
        name="poisson",
        train=train,
        train_eval=train,
        valid=_table(valid) if valid_size else None,
        test=_table(_grid(np.arange(1, _TEST_CELLS) / _TEST_CELLS)),
        passes_per_epoch=500,
    )


def _grid(places: np.ndarray) -> np.ndarray:
    """All points (n², 2) with coordinates (n,)."""
    return np.stack(np.meshgrid(places, places, indexing="ij"), axis=-1).reshape(-1, 2)


def _table(
    points: np.ndarray, equation: np.ndarray | float = 1.0, boundary: np.ndarray | float = 0.0
) -> Table:
    solution = np.sin(np.pi * points).prod(axis=1)
    weights = (np.broadcast_to(w, len(points)) for w in (equation, boundary))
    y = np.stack([*weights, solution], axis=1)
    return Table(torch.from_numpy(points), torch.from_numpy(y))
