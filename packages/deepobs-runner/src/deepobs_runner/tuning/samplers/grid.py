"""A grid with the same number of points in every range."""

from __future__ import annotations

import math
from itertools import product

from deepobs_runner.errors import UsageError
from deepobs_runner.tuning.samplers import Point, Predrawn
from deepobs_runner.tuning.spaces import Choice, Space


def grid(space: Space, budget: int, seed: int = 0) -> list[Point]:
    """Largest grid with the same number of points in every range within a budget.

    Choices have all their values; nothing is drawn.

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


SAMPLER = Predrawn(points=grid)
