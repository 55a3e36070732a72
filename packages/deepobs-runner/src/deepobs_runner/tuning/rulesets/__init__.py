"""Rulesets as data: budget, sampler, and the split for the choice.

Every module of this package is one; docs/howto/extend.md shows how to add another. Nothing heavy is
imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from deepobs_runner.extensions import Extensions


@dataclass(frozen=True, kw_only=True)
class Ruleset:
    """Protocol of a study.

    Attributes:
        summary: one line.
        source: paper, or our own design.
        budget: number of trials if none is asked for.
        budgets: trials by name; empty: any number.
        sampler: if none is asked for.
        samplers: those allowed; empty: any, but with `per` suite no adaptive one.
        select_on: the split; the final value on it decides.
        valid_fraction: fraction of the training examples, held out while tuning.
        recipe: that every run has; None: as asked for.
        schedules: kinds that a study may have; empty: any.
        space: `prior`, or `2019` for the grid of the official runs and no other.
        per: whether each problem gets a configuration of its own, or all of them one.
        seeds: number of seeds that the winner is run with, if none is asked for.
        fresh_seeds: whether the winner is run with seeds that tuning did not use; False: the seed
            of the trials is among them, as in 2019.
    """

    summary: str
    source: str
    budget: int
    budgets: Mapping[str, int] = field(default_factory=dict)
    sampler: str = "sobol"
    samplers: tuple[str, ...] = ()
    select_on: Literal["valid", "test"] = "valid"
    valid_fraction: float = 0.1
    recipe: Literal["2019"] | None = None
    schedules: tuple[str, ...] = ()
    space: Literal["prior", "2019"] = "prior"
    per: Literal["problem", "suite"] = "problem"
    seeds: int = 10
    fresh_seeds: bool = True


RULESETS: Extensions[Ruleset] = Extensions(
    "ruleset", __name__, lambda found: isinstance(found, Ruleset)
)
