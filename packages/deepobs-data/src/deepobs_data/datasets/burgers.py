"""Points of Burgers' equation with its solution, for physics-informed networks."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch

from deepobs_data.dataset import Dataset
from deepobs_data.partition import Recipe, check_recipe, check_valid_size
from deepobs_data.table import Table

VISCOSITY = 0.01 / np.pi
LAST = 0.99
"""End of time."""

_INNER = 10_000
_KNOWN = 100
_NODES = 100  # of the quadrature: 60 give the same values to 1e-9, 250 to 1e-14
_MOST_VALID = 100_000


def burgers(
    root: Path | str | None = None, *, valid_size: int = 0, recipe: Recipe = "standard"
) -> Dataset:
    """Points for u_t + u u_x = (0.01/π) u_xx with u = -sin(πx) at t = 0, no download.

    u = 0 at x = ±1. x (2,) float64 is a point (x, t) of [-1, 1] × [0, 0.99], y (3,) float64 the
    weights of equation and known value in the loss, and u. Train and train_eval are 10,456 points
    with equation weight 1: a Latin hypercube of 10,000, then 256 at t = 0 and 100 at each of
    x = -1 and x = 1, of which 100 at random have the weight 104.56 of their value; so the mean over
    all is the mean squared residual plus the mean squared error at the known points. Test is the
    grid of 256 places × 100 times, valid uniform points of RandomState(44), both with weights 1
    and 0. An epoch is 250 steps with all points. The points are drawn with RandomState(1234).

    The solution is computed by the transformation of Cole and Hopf with Gauss-Hermite quadrature,
    as in C. Basdevant et al., Spectral and finite difference solutions of the Burgers equation,
    Computers & Fluids 14, 1986; numbers of points as in M. Raissi, P. Perdikaris, G. Karniadakis:
    Physics-informed neural networks. J. Comput. Phys. 378, 2019.

    Args:
        root: Ignored; nothing is read.
        valid_size: Points of the validation split, at most 100,000; 0 for none.
        recipe: Both recipes give the same tables.

    Raises:
        ValueError: `valid_size` or `recipe` is not allowed.
    """
    check_recipe(recipe)
    check_valid_size(valid_size, _MOST_VALID)
    places, times = np.linspace(-1, 1, 256), np.linspace(0, LAST, 100)
    edge = np.concatenate([_pairs(places, [0.0]), _pairs([-1.0], times), _pairs([1.0], times)])
    random = np.random.RandomState(1234)
    points = np.concatenate([_latin_hypercube(random), edge])
    known = np.zeros(len(points))
    chosen = _INNER + random.choice(len(edge), _KNOWN, replace=False)
    known[chosen] = len(points) / _KNOWN
    valid = np.random.RandomState(44).uniform([-1, 0], [1, LAST], size=(valid_size, 2))
    train = _table(points, known)
    return Dataset(
        name="burgers",
        train=train,
        train_eval=train,
        valid=_table(valid) if valid_size else None,
        test=_table(_pairs(places, times)),
        passes_per_epoch=250,
    )


def burgers_solution(points: np.ndarray) -> np.ndarray:
    """The solution (N,) at points (x, t) (N, 2) with t >= 0."""
    x, t = points.T[..., None]  # each (N, 1)
    nodes, weights = _quadrature()
    y = x - 2 * np.sqrt(VISCOSITY * t) * nodes  # (N, nodes)
    # exp(-cos(πy) / (2πν)) is at most e^50: the same factor of both sums keeps it below 1.
    density = weights * np.exp(-(np.cos(np.pi * y) + 1) / (2 * np.pi * VISCOSITY))
    solution: np.ndarray = -(np.sin(np.pi * y) * density).sum(axis=1) / density.sum(axis=1)
    return solution


@cache
def _quadrature() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.hermite.hermgauss(_NODES)


def _latin_hypercube(random: np.random.RandomState) -> np.ndarray:
    """Points (10,000, 2), one in each of 10,000 intervals of x, and of t."""
    cells = np.stack([random.permutation(_INNER) for _ in range(2)], axis=1)
    return np.array([-1.0, 0.0]) + np.array([2.0, LAST]) * (cells + random.rand(_INNER, 2)) / _INNER


def _pairs(places: np.ndarray | list[float], times: np.ndarray | list[float]) -> np.ndarray:
    """All points (x, t)."""
    return np.stack(np.meshgrid(places, times, indexing="ij"), axis=-1).reshape(-1, 2)


def _table(points: np.ndarray, known: np.ndarray | float = 0.0) -> Table:
    weights = np.broadcast_to(known, len(points))
    y = np.stack([np.ones(len(points)), weights, burgers_solution(points)], axis=1)
    return Table(torch.from_numpy(points), torch.from_numpy(y))
