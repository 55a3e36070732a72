"""Scrambled Sobol points."""

from __future__ import annotations

import math

import numpy as np

from deepobs_runner.seeds import seed_of
from deepobs_runner.tuning.samplers import in_unit_cube

BITS = 30
"""Of a Sobol number; scipy's default."""


def draw(dimensions: int, count: int, seed: int) -> np.ndarray:
    """Scrambled Sobol points `(count, dimensions)`.

    scipy's are scrambled by a digital shift of our own, the exclusive or with one random number per
    dimension: it keeps the evenness of the points (Matousek, "On the L2-discrepancy for anchored
    boxes", J. Complexity 1998) and is the same in every release of scipy. Each interval [j, j + 1)
    / 2^k gets one of the first 2^k points, in every dimension.
    """
    from scipy.stats import qmc

    whole = 2 ** math.ceil(math.log2(count))
    plain = qmc.Sobol(dimensions, scramble=False, bits=BITS).random(whole)[:count]
    digits = np.rint(plain * 2**BITS).astype(np.uint64)
    stream = np.random.RandomState(seed_of(seed, "tuning", "sobol") % 2**32)
    shift = stream.randint(2**BITS, size=dimensions).astype(np.uint64)
    points: np.ndarray = ((digits ^ shift).astype(float) + 0.5) / 2**BITS
    return points


SAMPLER = in_unit_cube(draw)
