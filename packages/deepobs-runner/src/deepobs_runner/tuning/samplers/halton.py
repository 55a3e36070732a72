"""Shifted Halton points."""

from __future__ import annotations

import numpy as np

from deepobs_runner.seeds import seed_of
from deepobs_runner.tuning.samplers import in_unit_cube


def draw(dimensions: int, count: int, seed: int) -> np.ndarray:
    """Halton points `(count, dimensions)`, shifted modulo 1 by one number per dimension.

    Cranley and Patterson, "Randomization of number theoretic methods for multiple integration",
    SIAM J. Numer. Anal. 1976.
    """
    from scipy.stats import qmc

    plain = qmc.Halton(dimensions, scramble=False).random(count)
    stream = np.random.RandomState(seed_of(seed, "tuning", "halton") % 2**32)
    shifted: np.ndarray = (plain + stream.random_sample(dimensions)) % 1.0
    return shifted


SAMPLER = in_unit_cube(draw)
