"""Samplers of search spaces: predrawn points, or adaptive.

Every module of this package is a sampler; docs/howto/extend.md shows how to add another. Nothing
heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from deepobs_runner.errors import UsageError
from deepobs_runner.extensions import Extensions, Requirement

if TYPE_CHECKING:
    import numpy as np

    from deepobs_runner.tuning.spaces import Space
    from deepobs_runner.tuning.trials import Trial

Point = dict[str, Any]


class Sampler(Protocol):
    """Proposes points and receives their trials in the same order."""

    def ask(self, count: int) -> list[Point]:
        """Next points; fewer at the end."""

    def tell(self, trials: Sequence[Trial]) -> None:
        """Take the trials of the points asked for last, in their order."""


class PruningSampler(Sampler, Protocol):
    """A sampler that may end a trial early."""

    def should_prune(self, epoch: int, merit: float) -> bool:
        """Take a value of the trial asked for last, higher is better; return whether to end it."""


@dataclass(frozen=True, kw_only=True)
class Predrawn:
    """A sampler with points known from the beginning.

    Point i depends on the space and the seed alone: not on the budget, the number of jobs, or the
    release of a library.

    Attributes:
        points: returns the points of a space, a number of trials and a seed.
        requires: the package it needs.
    """

    points: Callable[[Space, int, int], list[Point]]
    requires: Requirement | None = None
    adaptive: ClassVar[bool] = False
    prunes: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class Adaptive:
    """A sampler that learns from the trials so far.

    Attributes:
        start: returns a sampler of a space with a seed; `epochs` of a whole trial, None if trials
            are not to be pruned.
        requires: the package it needs.
        prunes: it is a `PruningSampler`.
    """

    start: Callable[[Space, int, int | None], Sampler]
    requires: Requirement | None = None
    prunes: bool = False
    adaptive: ClassVar[bool] = True


SAMPLERS: Extensions[Predrawn | Adaptive] = Extensions(
    "sampler", __name__, lambda found: isinstance(found, Predrawn | Adaptive)
)


class KnownPoints:
    """A sampler of points that are known from the beginning."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._left = list(points)

    def ask(self, count: int) -> list[Point]:
        """Next points; fewer at the end."""
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def tell(self, trials: Sequence[Trial]) -> None:
        """Do nothing: no trial changes the rest."""


def predrawn(sampler: str, space: Space, budget: int, seed: int = 0) -> list[Point]:
    """Points of a sampler that is not adaptive.

    Args:
        sampler: its name.
        space: search space.
        budget: number of points, for a grid the maximum.
        seed: seed of the draws; a grid needs none.

    Raises:
        UsageError: no such sampler, an adaptive one, or a budget that is too small for a grid.

    >>> from deepobs_runner.tuning.spaces import Space, Uniform
    >>> predrawn("grid", Space({"momentum": Uniform(0, 0.9)}), 3)
    [{'momentum': 0.0}, {'momentum': 0.45}, {'momentum': 0.9}]
    """
    if budget < 1:
        raise UsageError(f"The budget is {budget} trials; it must be at least 1.")
    found = SAMPLERS.find(sampler)
    if isinstance(found, Adaptive):
        raise UsageError(f"The points of {sampler!r} are not known before its trials.")
    return found.points(space, budget, seed)


def in_unit_cube(draw: Callable[[int, int, int], np.ndarray]) -> Predrawn:
    """Sampler of points of the unit cube.

    Args:
        draw: returns points `(count, dimensions)` in [0, 1), of dimensions, count and seed.
    """

    def points(space: Space, budget: int, seed: int) -> list[Point]:
        places = draw(len(space.dimensions), budget, seed)
        return [space.point(row) for row in places.tolist()]

    return Predrawn(points=points)
