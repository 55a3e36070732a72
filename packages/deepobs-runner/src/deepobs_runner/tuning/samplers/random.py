"""Independent uniform points."""

from __future__ import annotations

import numpy as np

from deepobs_runner.seeds import seed_of
from deepobs_runner.tuning.samplers import in_unit_cube


def draw(dimensions: int, count: int, seed: int) -> np.ndarray:
    """Independent uniform points `(count, dimensions)`, each of a stream of its own."""
    rows = [
        np.random.RandomState(seed_of(seed, "tuning", i) % 2**32).random_sample(dimensions)
        for i in range(count)
    ]
    return np.array(rows)


SAMPLER = in_unit_cube(draw)
