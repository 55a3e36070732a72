"""Rulesets as data: how many trials, drawn how, and on which split the best is chosen.

Imported by the command line, so neither torch nor scipy here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

PREDRAWN = ("grid", "random", "sobol", "halton")
"""Samplers whose trials do not depend on what became of the others."""

ADAPTIVE = ("tpe", "gp")
"""Samplers of Optuna (extra `tune`)."""


@dataclass(frozen=True, kw_only=True)
class Ruleset:
    """How one tunes.

    Attributes:
        name: by which it is asked for.
        summary: one sentence.
        source: the paper, or what is our own.
        samplers: those allowed, the first by default.
        budgets: trials by name; empty: any number.
        budget: number of trials if none is asked for.
        select_on: split whose final value decides.
        valid_fraction: of the training examples, held out while tuning.
        recipe: that every run has; None: as asked for.
        schedules: kinds that a study may have; empty: any.
        space: `prior`, or `2019` for the grid of the official runs and no other.
        per: whether each problem gets a configuration of its own, or all of them one.
        seeds: with which the winner is run, if no number is asked for.
    """

    name: str
    summary: str
    source: str
    samplers: tuple[str, ...]
    budget: int
    budgets: Mapping[str, int] = field(default_factory=dict)
    select_on: Literal["valid", "test"] = "valid"
    valid_fraction: float = 0.1
    recipe: Literal["2019"] | None = None
    schedules: tuple[str, ...] = ()
    space: Literal["prior", "2019"] = "prior"
    per: Literal["problem", "suite"] = "problem"
    seeds: int = 10


RULESETS: Mapping[str, Ruleset] = MappingProxyType(
    {
        ruleset.name: ruleset
        for ruleset in (
            Ruleset(
                name="best-of-k",
                summary="the best of K draws from a prior, chosen on the validation split",
                source="Dodge et al., EMNLP 2019; Sivaprasad et al., ICML 2020",
                samplers=("sobol", "halton", "random", "grid", *ADAPTIVE),
                budget=16,
            ),
            Ruleset(
                name="crowded-valley",
                summary="the budgets of Crowded Valley: default values, or 25, 50 or 75 random "
                "draws; one schedule at a time",
                source="Schmidt, Schneider and Hennig, ICML 2021",
                samplers=("random",),
                budgets=MappingProxyType({"one-shot": 1, "small": 25, "medium": 50, "large": 75}),
                budget=25,
                schedules=("constant", "cosine", "cosine-restarts", "trapezoidal"),
            ),
            Ruleset(
                name="shared",
                summary="one configuration for all problems: the best geometric mean of the "
                "shares of progress",
                source="our own",
                samplers=("sobol", "halton", "random", "grid"),
                budget=16,
                per="suite",
            ),
            Ruleset(
                name="deepobs-2019",
                summary="the original protocol: 36 learning rates, chosen ON THE TEST SET with "
                "one seed; for reproduction",
                source="Schneider, Balles and Hennig, ICLR 2019",
                samplers=("grid",),
                budgets=MappingProxyType({"grid": 36}),
                budget=36,
                select_on="test",
                valid_fraction=0.0,
                recipe="2019",
                space="2019",
            ),
        )
    }
)
"""By name."""
