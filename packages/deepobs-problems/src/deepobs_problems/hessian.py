"""The Hessian of `quadratic_deep`: 90 eigenvalues in [0, 1], 10 in [30, 60], rotated.

The original draws it from a module-level generator, so its second instance in a process has another
Hessian; here a fresh generator makes every instance the first (DeepOBS 1.1.2, `quadratic_deep.py`).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.random import RandomState
from torch import Tensor

SEED = 42


def random_rotation(dimension: int, rng: RandomState) -> np.ndarray:
    """Random orthogonal `(dimension, dimension)` matrix by the subgroup algorithm.

    Diaconis and Shahshahani, "The subgroup algorithm for generating uniform random variables",
    1987: a rotation of d dimensions, behind a reflection that takes the first axis to a random
    direction, is one of d + 1. The draws are consumed in the original's order.
    """
    angle = rng.uniform(0, 2 * np.pi)
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[cosine, sine], [-sine, cosine]])
    for size in range(3, dimension + 1):
        direction = rng.normal(size=size)
        axis = -direction / np.linalg.norm(direction)
        axis[0] += 1.0
        axis /= np.linalg.norm(axis)
        embedded = np.eye(size)
        embedded[1:, 1:] = rotation
        rotation = embedded - 2 * np.outer(axis, axis @ embedded)
    return -rotation  # the reflections left determinant -1


def quadratic_deep_hessian() -> Tensor:
    """`(100, 100)` float64 Hessian of the first instance of the original."""
    rng = RandomState(SEED)
    eigenvalues = np.concatenate([rng.uniform(0.0, 1.0, 90), rng.uniform(30.0, 60.0, 10)])
    rotation = random_rotation(100, rng)
    return torch.from_numpy(rotation.T @ np.diag(eigenvalues) @ rotation)
