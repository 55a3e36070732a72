"""Which points of a space are tried: pre-drawn ones, the same everywhere, or by asking and telling.

Trial i of a random or quasi-random search depends on the space and the seed alone: not on the
budget, the number of jobs, or the release of scipy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy.stats import qmc

from deepobs_runner.errors import UsageError
from deepobs_runner.seeds import seed_of
from deepobs_runner.tuning.rulesets import PREDRAWN
from deepobs_runner.tuning.spaces import Choice, Space

if TYPE_CHECKING:
    from deepobs_runner.tuning.trials import Trial

Point = dict[str, Any]

BITS = 30
"""Of a Sobol number; scipy's default."""


class Sampler(Protocol):
    """Gives points and is told what became of them, in the order in which it gave them."""

    def ask(self, count: int) -> list[Point]:
        """Return the next points; fewer if there are no more."""

    def tell(self, trials: Sequence[Trial]) -> None:
        """Take the trials of the points asked for last, in their order."""


class Predrawn:
    """Points that are known from the beginning."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._left = list(points)

    def ask(self, count: int) -> list[Point]:
        """Return the next points; fewer if there are no more."""
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def tell(self, trials: Sequence[Trial]) -> None:
        """Do nothing: what is known already does not change the rest."""


def predrawn(sampler: str, space: Space, budget: int, seed: int = 0) -> list[Point]:
    """Return the points of a grid, random or quasi-random search.

    Args:
        sampler: `grid`, `random`, `sobol` or `halton`.
        space: to be searched.
        budget: number of points; a grid has at most so many.
        seed: of the draws; a grid needs none.

    Raises:
        UsageError: no such sampler, or a budget that is too small for a grid.

    >>> from deepobs_runner.tuning.spaces import Uniform
    >>> predrawn("grid", Space({"momentum": Uniform(0, 0.9)}), 3)
    [{'momentum': 0.0}, {'momentum': 0.45}, {'momentum': 0.9}]
    """
    if budget < 1:
        raise UsageError(f"The budget is {budget} trials; it must be at least 1.")
    if sampler == "grid":
        return grid(space, budget)
    draws = {"random": _random, "sobol": _sobol, "halton": _halton}
    if sampler not in draws:
        raise UsageError(f"{sampler!r} is no pre-drawn search; there are {', '.join(PREDRAWN)}.")
    places = draws[sampler](len(space.dimensions), budget, seed)
    return [space.point(row) for row in places.tolist()]


def grid(space: Space, budget: int) -> list[Point]:
    """Return the largest grid with the same number of points in every range within a budget.

    Choices have all their values.

    Raises:
        UsageError: the budget has no room for two points in every range.
    """
    dimensions = space.dimensions.values()
    n = 1
    while math.prod(len(d.grid(n + 1)) for d in dimensions) <= budget and n < budget:
        n += 1
    axes = [d.grid(n) for d in dimensions]
    needed = math.prod(len(d.grid(2)) for d in dimensions)
    ranged = any(not isinstance(d, Choice) for d in dimensions)
    if math.prod(map(len, axes)) > budget or (n < 2 and ranged):
        raise UsageError(
            f"A grid over {', '.join(space.dimensions)} needs at least {needed} trials; the budget "
            f"is {budget}."
        )
    return [dict(zip(space.dimensions, values, strict=True)) for values in product(*axes)]


def _random(dimensions: int, count: int, seed: int) -> np.ndarray:
    """Return independent uniform points `(count, dimensions)`, each of a stream of its own."""
    rows = [
        np.random.RandomState(seed_of(seed, "tuning", i) % 2**32).random_sample(dimensions)
        for i in range(count)
    ]
    return np.array(rows)


def _sobol(dimensions: int, count: int, seed: int) -> np.ndarray:
    """Return scrambled Sobol points `(count, dimensions)`.

    scipy's are scrambled by a digital shift of our own, the exclusive or with one random number a
    dimension: it keeps the evenness of the points (Matousek, "On the L2-discrepancy for anchored
    boxes", J. Complexity 1998) and is the same in every release of scipy. Each interval
    [j, j + 1) / 2^k gets one of the first 2^k points, in every dimension.
    """
    whole = 2 ** math.ceil(math.log2(count))
    plain = qmc.Sobol(dimensions, scramble=False, bits=BITS).random(whole)[:count]
    digits = np.rint(plain * 2**BITS).astype(np.uint64)
    stream = np.random.RandomState(seed_of(seed, "tuning", "sobol") % 2**32)
    shift = stream.randint(2**BITS, size=dimensions).astype(np.uint64)
    points: np.ndarray = ((digits ^ shift).astype(float) + 0.5) / 2**BITS
    return points


def _halton(dimensions: int, count: int, seed: int) -> np.ndarray:
    """Return Halton points `(count, dimensions)`, shifted modulo 1 by one number a dimension.

    Cranley and Patterson, "Randomization of number theoretic methods for multiple integration",
    SIAM J. Numer. Anal. 1976.
    """
    plain = qmc.Halton(dimensions, scramble=False).random(count)
    stream = np.random.RandomState(seed_of(seed, "tuning", "halton") % 2**32)
    shifted: np.ndarray = (plain + stream.random_sample(dimensions)) % 1.0
    return shifted
